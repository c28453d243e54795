"""Masks in folders and as COCO's outlines."""

import json
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_masks_api
from PIL import Image

from mobilens.data.dataset import load_split, load_splits
from mobilens.data.formats import coco_masks, read_source
from mobilens.data.formats.class_map import find_class_map, read_class_map
from mobilens.data.listing import Listing
from mobilens.data.names import relative_name
from mobilens.errors import DataError
from mobilens.vision.masks import VOID

HEIGHT, WIDTH = 4, 6
GUESSED = "no class map: "


def photo(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH), orientation: int = 1) -> Path:
    """Write an image whose stored pixels have this (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size[::-1]).save(path, exif=exif)
    return path


def mask(path: Path, *values: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    """Write a mask whose rows take these values in turns, from the left one on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = np.resize(np.array(values, np.uint8), size[1])
    Image.fromarray(np.tile(row, (size[0], 1))).save(path)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read(*source: Path) -> Listing:
    return read_source(source, "masks")


def found(listing: Listing, split: str | None = None) -> dict[str, tuple[str, ...]]:
    part = listing.part(split)
    assert part is not None
    return {relative_name(path, part.root): label.names for path, label in part.files}


def row(listing: Listing, name: str = "a", split: str | None = None) -> list[str | None]:
    """Names of the first row of an image's mask; None where it does not count."""
    part = listing.part(split)
    assert part is not None
    label = next(label for path, label in part.files if path.stem == name)
    index = {name: number for number, name in enumerate(listing.class_names)}
    numbers = label.build(index).mask((HEIGHT, WIDTH))[0]
    return [None if number == VOID else listing.class_names[number] for number in numbers]


def simple(root: Path, *values: int) -> Path:
    photo(root / "images/a.png")
    mask(root / "masks/a.png", *values)
    return root


# Where they lie


@pytest.mark.parametrize(
    ("image", "name", "split"),
    [
        ("images/a.jpg", "masks/a.png", None),
        ("Images/a.jpg", "Masks/A.PNG", None),
        ("image/a.jpg", "mask/a.png", None),
        ("imgs/a.jpg", "gt/a.png", None),
        ("img/a.jpg", "labels/a.png", None),
        ("images/a.jpg", "annotations/a.png", None),
        ("images/a.jpg", "semantic_masks/a.png", None),
        ("JPEGImages/a.jpg", "SegmentationClass/a.png", None),
        ("images/a.jpg", "labels/a_L.png", None),
        ("images/a.jpg", "masks/a_mask.png", None),
        ("images/a.jpg", "masks/a_label.png", None),
        ("images/a.jpg", "masks/a_seg.png", None),
        ("images/x/a.jpg", "masks/x/a.png", None),
        ("images/x/a.jpg", "masks/a.png", None),
        ("a.jpg", "a_mask.png", None),
        ("train/images/a.jpg", "train/masks/a.png", "train"),
        ("train/a.jpg", "train/a_mask.png", "train"),
        ("images/train/a.jpg", "masks/train/a.png", "train"),
        ("images/train2017/a.jpg", "semantic_masks/train2017/a.png", "train"),
        ("images/training/a.jpg", "annotations/training/a.png", "train"),
        ("images/train/a.jpg", "masks/a.png", "train"),
        ("leftImg8bit/train/b/a_leftImg8bit.png", "gtFine/train/b/a_gtFine_labelIds.png", "train"),
    ],
)
def test_layouts(tmp_path: Path, image: str, name: str, split: str | None):
    photo(tmp_path / image)
    mask(tmp_path / name, 0, 1)
    write(tmp_path / "classes.txt", "road\nsky\n")
    listing = read(tmp_path)
    assert found(listing, split) == {image: ("road", "sky")}
    assert listing.class_names == ("road", "sky")
    assert listing.notes == ()
    assert row(listing, Path(image).stem, split) == ["road", "sky"] * 3


def test_parts_of_every_kind(tmp_path: Path):
    for split in ("train", "valid", "test"):
        photo(tmp_path / split / "images/a.png")
        mask(tmp_path / split / "masks/a.png", 0, 1, 2)
    assert [part.split for part in read(tmp_path).parts] == ["train", "val", "test"]
    data = load_splits(tmp_path, labels="masks")
    assert (len(data.train), len(data.val), len(data.test)) == (1, 1, 1)
    assert data.train.class_counts() == {"0": 1, "1": 1, "2": 1}
    before = data.train.fingerprint()
    mask(tmp_path / "train/masks/a.png", 0, 1, 1, 2)
    assert load_splits(tmp_path, labels="masks").train.fingerprint() != before


def test_the_names_of_a_folder_decide_where_stems_are_the_same(tmp_path: Path):
    for folder, values in (("x", (0, 1)), ("y", (0, 2))):
        photo(tmp_path / "images" / folder / "a.png")
        mask(tmp_path / "masks" / folder / "a.png", *values)
    assert found(read(tmp_path)) == {"images/x/a.png": ("0", "1"), "images/y/a.png": ("0", "2")}
    photo(tmp_path / "images/a.png")
    assert "1 image has no mask and is left out: a.png" in read(tmp_path).notes


def test_what_has_no_partner_is_left_out(tmp_path: Path):
    simple(tmp_path, 0, 1)
    for name in ("b", "c"):
        photo(tmp_path / f"images/{name}.png")
    mask(tmp_path / "masks/z.png", 0, 9)
    listing = read(tmp_path)
    assert found(listing) == {"images/a.png": ("background", "foreground")}
    assert listing.notes[:2] == (
        "2 images have no mask and are left out: b.png, c.png",
        "1 mask has no image and is left out: z.png",
    )


def test_no_mask_of_an_image(tmp_path: Path):
    photo(tmp_path / "images/a.png")
    mask(tmp_path / "masks/b.png", 0, 1)
    with pytest.raises(DataError, match=r"no mask of .* belongs to an image"):
        read(tmp_path)


def test_pascal_voc(tmp_path: Path):
    for name in ("a", "b", "c"):
        photo(tmp_path / f"JPEGImages/{name}.jpg")
    for name, values in (("a", (0, 15, 255)), ("b", (0, 1))):
        palette = Image.open(mask(tmp_path / f"SegmentationClass/{name}.png", *values))
        palette = palette.convert("P")
        palette.putpalette([7, 8, 9] * 256)
        palette.putdata(np.tile(np.resize(values, WIDTH), HEIGHT).tolist())
        palette.save(tmp_path / f"SegmentationClass/{name}.png")
    lists = tmp_path / "ImageSets/Segmentation"
    write(lists / "train.txt", "a\nc\nd\n")
    write(lists / "val.txt", "b\n")
    write(lists / "trainval.txt", "a\nb\n")
    listing = read(tmp_path)
    assert found(listing, "train") == {"JPEGImages/a.jpg": ("background", "person")}
    assert found(listing, "val") == {"JPEGImages/b.jpg": ("background", "aeroplane")}
    assert len(listing.class_names) == 21
    assert row(listing, "a", "train") == ["background", "person", None] * 2
    assert listing.notes == (
        "train: 2 names in lists have no image or no mask and are left out: d, c",
        "train: 19 of 21 classes occur in no mask: aeroplane, bicycle, bird and 16 more",
    )


def test_other_sources_are_not_taken(tmp_path: Path):
    photo(tmp_path / "images/a.jpg")
    with pytest.raises(DataError, match="holds no labels of a known form") as error:
        read(tmp_path)
    assert "a folder with images and masks side by side" in str(error.value)


# What values stand for


def test_two_values_are_background_and_foreground(tmp_path: Path):
    for values in ((0, 255), (0, 1), (3, 7)):
        listing = read(simple(tmp_path, *values))
        assert listing.class_names == ("background", "foreground")
        assert row(listing) == ["background", "foreground"] * 3
        assert listing.notes == (
            f"no class map: {values[0]} in the masks is background and {values[1]} is foreground; "
            f"lines such as '0 road' in {tmp_path / 'classes.txt'} name them",
        )


def test_more_values_are_classes_and_255_does_not_count(tmp_path: Path):
    listing = read(simple(tmp_path, 0, 2, 10, 255, 0, 0))
    assert listing.class_names == ("0", "2", "10")
    assert row(listing) == ["0", "2", "10", None, "0", "0"]
    assert listing.notes == (
        "no class map: the values in the masks are 3 classes, 0, 2, 10, and 255 does not count; "
        f"lines such as '0 road' in {tmp_path / 'classes.txt'}, or in a file given after the "
        "folder, name them, and what is named void does not count",
    )


def test_blurred_edges_of_two_classes(tmp_path: Path):
    photo(tmp_path / "images/a.png", (100, 200))
    values = np.zeros((100, 200), np.uint8)
    values[:, 100:] = 255
    values[0, :64] = np.arange(64) * 4
    (tmp_path / "masks").mkdir()
    Image.fromarray(values).save(tmp_path / "masks/a.png")
    listing = read(tmp_path)
    assert listing.class_names == ("background", "foreground")
    assert "values below 128 in the masks are background" in listing.notes[0]


def test_one_value_teaches_nothing(tmp_path: Path):
    with pytest.raises(DataError, match=r"all masks of .* hold the one value 0"):
        read(simple(tmp_path, 0))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "road\nsky\nvoid\n"),
        ("class_names.txt", "\n# a comment\nroad\nsky\nunlabeled\n"),
        ("classes.txt", "0 road\n1 sky\n2 Ignore\n"),
        ("classes.txt", "0\troad\n1\tsky\n2\tvoid\n"),
        ("classes.txt", "0: road\n1: sky\n2: void\n"),
        ("classes.txt", "1 sky\n2 void\n0 road\n"),
        ("classes.csv", "value,name\n0,road\n1,sky\n2,void\n"),
        ("classes.csv", "name,value\nroad,0\nsky,1\nvoid,2\n"),
        ("classes.csv", "name\nroad\nsky\nvoid\n"),
        ("_classes.csv", "Pixel Value, Class\n0, road\n1, sky\n2, void\n"),
        ("classes.json", '["road", "sky", "unknown"]'),
        ("classes.json", '{"0": "road", "1": "sky", "2": "background-void"}'),
        ("classes.json", '{"road": 0, "sky": 1, "void": 2}'),
        ("classes.yaml", "names: [road, sky, void]"),
        ("semantic.yaml", "train: x\nclasses:\n  0: road\n  1: sky\n  2: unlabelled\n"),
        ("Classes.YML", "1: sky\n0: road\n2: void\n"),
    ],
)
def test_class_maps_of_values(tmp_path: Path, name: str, text: str):
    simple(tmp_path, 0, 1, 2)
    write(tmp_path / name, text)
    listing = read(tmp_path)
    assert listing.class_names == ("road", "sky")
    assert row(listing) == ["road", "sky", None] * 2
    assert listing.notes == ()
    (tmp_path / name).rename(tmp_path / "masks" / name)
    assert read(tmp_path).class_names == ("road", "sky")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("label_colors.txt", "64 128 64\tsky\n192 0 128\troad\n0 0 0 void\n"),
        ("classes.txt", "sky 64 128 64\nroad 192 0 128\nvoid 0 0 0\n"),
        ("labelmap.txt", "# label:color:parts\nsky:64,128,64::\nroad:192,0,128::\nvoid:0,0,0::\n"),
        ("class_dict.csv", "name,r,g,b\nsky,64,128,64\nroad,192,0,128\nvoid,0,0,0\n"),
        ("classes.json", '{"sky": [64, 128, 64], "road": [192, 0, 128], "void": [0, 0, 0]}'),
    ],
)
def test_class_maps_of_colours(tmp_path: Path, name: str, text: str):
    photo(tmp_path / "images/a.png")
    colours = [(192, 0, 128), (64, 128, 64), (0, 0, 0), (9, 9, 9), (64, 128, 64), (64, 128, 64)]
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.array([colours] * HEIGHT, np.uint8)).save(tmp_path / "masks/a.png")
    path = write(tmp_path / name, text)
    listing = read(tmp_path)
    assert listing.class_names == ("sky", "road")
    assert row(listing) == ["road", "sky", None, None, "sky", "sky"]
    assert listing.notes == (
        f"1 colour that {path} does not name is in the masks and does not count, 16.67% of all "
        "pixels: (9 9 9)",
    )


def test_a_map_after_the_folder_goes_before_one_inside(tmp_path: Path):
    simple(tmp_path / "data", 0, 1, 2)
    write(tmp_path / "data/classes.txt", "a\nb\nc\n")
    path = write(tmp_path / "mine.txt", "road\nsky\nvoid\n")
    assert read(tmp_path / "data", path).class_names == ("road", "sky")
    assert load_split([tmp_path / "data", path], "all", labels="masks").class_names[0] == "road"
    with pytest.raises(DataError, match=r"there is no class map at .*none.txt"):
        read(tmp_path / "data", tmp_path / "none.txt")


def test_values_that_the_map_does_not_name_do_not_count(tmp_path: Path):
    simple(tmp_path, 0, 1, 7, 8, 255, 0)
    path = write(tmp_path / "classes.txt", "road\nsky\ntree\n")
    listing = read(tmp_path)
    assert row(listing) == ["road", "sky", None, None, None, "road"]
    assert listing.class_names == ("road", "sky", "tree")
    assert listing.notes == (
        f"2 values that {path} does not name are in the masks and do not count, 33.33% of all "
        "pixels: 7, 8",
        "1 of 3 classes occurs in no mask: tree",
    )


def test_two_names_for_black_and_white(tmp_path: Path):
    simple(tmp_path, 0, 255)
    path = write(tmp_path / "classes.txt", "road\nsky\n")
    listing = read(tmp_path)
    assert row(listing) == ["road", "sky"] * 3
    assert listing.notes == ("255 in the masks is taken for sky, since no mask has the value 1",)
    path.write_text("5 road\n6 sky\n")
    with pytest.raises(DataError, match=r"hold nothing that .*classes.txt names a class, only 0"):
        read(tmp_path)


def test_several_values_of_one_class(tmp_path: Path):
    simple(tmp_path, 0, 1, 2)
    write(tmp_path / "classes.txt", "road\nsky\nroad\n")
    listing = read(tmp_path)
    assert listing.class_names == ("road", "sky")
    assert row(listing) == ["road", "sky", "road"] * 2


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("classes.txt", "", "names no classes"),
        ("classes.txt", "void\n", "names no classes"),
        ("classes.txt", "1 person\n", "names one class only: person"),
        ("classes.txt", "0 a\n0 b\n", "names the value 0 twice"),
        ("classes.txt", "300 a\n1 b\n", "has the value '300'"),
        ("classes.txt", "1 1 1 a\n1 1 1 b\n", "names the colour 1 1 1 twice"),
        ("classes.csv", "a,b,c\nd,e,f\n", "is no class map: 'a,b,c'"),
        ("classes.json", "{", "is not JSON"),
        ("classes.yaml", "a: [", "is not YAML"),
        ("classes.yaml", "5", "is no class map: 5"),
        ("classes.yaml", "{0: yes, 1: b}", "has True for the class of 0"),
        ("classes.yaml", "{a: [1, 2], b: [3, 4]}", "for a"),
        ("classes.json", '{"a": "b"}', "has the value 'a'"),
    ],
)
def test_class_maps_that_are_none(tmp_path: Path, name: str, text: str, words: str):
    path = write(tmp_path / name, text)
    with pytest.raises(DataError, match=name) as error:
        read_class_map(path)
    assert words in error.value.given


def test_no_class_map(tmp_path: Path):
    write(tmp_path / "notes.txt", "a\nb\n")
    assert find_class_map([tmp_path]) is None


# Odd masks


def test_colours_without_a_map(tmp_path: Path):
    simple(tmp_path, 0, 1)
    photo(tmp_path / "images/b.png")
    Image.new("RGB", (WIDTH, HEIGHT), (1, 2, 3)).save(tmp_path / "masks/b.png")
    with pytest.raises(DataError, match=r"b.png tells classes by colour") as error:
        read(tmp_path)
    assert error.value.remedy == (
        f"a file {tmp_path / 'classes.txt'} with a line 'r g b name' for each class"
    )


def test_unreadable_masks_are_left_out(tmp_path: Path):
    simple(tmp_path, 0, 1)
    photo(tmp_path / "images/b.png")
    broken = write(tmp_path / "masks/b.png", "no picture")
    listing = read(tmp_path)
    assert set(found(listing)) == {"images/a.png"}
    assert listing.notes[0].startswith(
        f"1 mask cannot be read and is left out with its image, first: the mask {broken} cannot"
    )
    write(tmp_path / "masks/a.png", "no picture")
    with pytest.raises(DataError, match="none of 2 masks can be read, first: the mask"):
        read(tmp_path)


def test_masks_of_other_sizes_and_shapes(tmp_path: Path):
    for name in ("a", "b", "c"):
        photo(tmp_path / f"images/{name}.png", (400, 600))
    mask(tmp_path / "masks/a.png", 0, 1, size=(400, 600))
    mask(tmp_path / "masks/b.png", 0, 1, size=(133, 200))
    mask(tmp_path / "masks/c.png", 0, 1, size=(400, 500))
    assert read(tmp_path).notes[:2] == (
        "1 mask is of another size than its image and is scaled to it: b.png",
        "1 mask is of another shape than its image and is stretched to it; look whether they "
        "belong together: c.png",
    )


def test_masks_of_images_on_their_side(tmp_path: Path):
    photo(tmp_path / "images/a.jpg", (WIDTH, HEIGHT), orientation=6)
    path = mask(tmp_path / "masks/a.png", 0, 1)
    listing = read(tmp_path)
    assert row(listing) == ["background", "foreground"] * 3
    assert len(listing.notes) == 1
    stored = np.array(Image.open(path).transpose(Image.Transpose.ROTATE_90))
    Image.fromarray(stored).save(path)
    listing = read(tmp_path)
    assert row(listing) == ["background", "foreground"] * 3
    assert listing.notes[0] == (
        "1 image is turned by its EXIF and was labelled before that, so its mask is turned with "
        "it: a.jpg"
    )
    photo(tmp_path / "images/a.jpg", orientation=3)
    mask(tmp_path / "masks/a.png", 0, 1)
    assert row(read(tmp_path)) == ["background", "foreground"] * 3
    assert read(tmp_path).notes[0] == (
        "1 image is turned by its EXIF, and its mask does not tell whether it was drawn after "
        "that, as is assumed: a.jpg"
    )


# COCO


def thing(shape: object, category: int = 1, image: int = 1, **more: object) -> dict:
    return {"image_id": image, "category_id": category, "segmentation": shape, **more}


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def coco(
    root: Path,
    things: list[dict],
    names: tuple[str, ...] = ("cat", "dog"),
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Path:
    images = [{"id": 1, "file_name": "a.png", "height": size[0], "width": size[1]}]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    content = {"images": images, "annotations": things, "categories": categories}
    return write(root / "annotations/instances.json", json.dumps(content))


def test_coco_outlines(tmp_path: Path):
    photo(tmp_path / "images/a.png")
    path = coco(
        tmp_path,
        [
            thing([box(1, 0, 2, 4)], 2),  # on top of the larger one, though it is named first
            thing([box(0, 0, 3, 4), box(5, 0, 6, 4)], 1, iscrowd=1),
        ],
    )
    for given in (tmp_path, path):
        listing = read(given)
        assert listing.class_names == ("background", "cat", "dog")
        assert row(listing) == ["cat", "dog", "cat", "background", "background", "cat"]
        assert found(listing) == {"images/a.png": ("background", "cat", "dog")}
        assert listing.notes == ()


def test_coco_run_lengths_plain_and_packed(tmp_path: Path):
    photo(tmp_path / "images/a.png")
    inside = np.zeros((HEIGHT, WIDTH), np.uint8)
    inside[:3, 1:4] = 1
    packed = coco_masks_api.encode(np.asfortranarray(inside))
    text = packed["counts"].decode() if isinstance(packed["counts"], bytes) else packed["counts"]
    for counts in (text, [4, 3, 1, 3, 1, 3, 9]):
        coco(tmp_path, [thing({"size": [HEIGHT, WIDTH], "counts": counts})])
        listing = read(tmp_path)
        label = listing.part(None).files[0][1]
        numbers = label.build({"background": 0, "cat": 1, "dog": 2}).mask((HEIGHT, WIDTH))
        assert np.array_equal(numbers, inside)
        assert listing.notes == ("1 of 3 classes occurs in no mask: dog",)


def test_packed_run_lengths_of_any_shape():
    stream = np.random.default_rng(0)
    for share in (0.0, 0.01, 0.5, 0.99, 1.0):
        inside = (stream.random((70, 90)) < share).astype(np.uint8)
        packed = coco_masks_api.encode(np.asfortranarray(inside))
        text = packed["counts"]
        runs = coco_masks._runs(
            {"size": [70, 90], "counts": text.decode() if isinstance(text, bytes) else text}
        )
        assert np.array_equal(runs.inside(), inside.astype(bool))


@pytest.mark.parametrize(
    "shape",
    [
        None,
        [],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        [["a"] * 6],
        [[float("nan")] * 6],
        {"size": [HEIGHT, WIDTH]},
        {"counts": [1, 2]},
        {"size": [HEIGHT, WIDTH], "counts": [1, -2]},
        {"size": [HEIGHT, WIDTH], "counts": [1, 200]},
        {"size": [HEIGHT, WIDTH], "counts": "o"},
        {"size": [HEIGHT, WIDTH], "counts": "ooooooooooooooooooooo0"},
        {"size": [1 << 40, WIDTH], "counts": [1]},
    ],
)
def test_coco_counts_what_has_no_outline(tmp_path: Path, shape: object):
    photo(tmp_path / "images/a.png")
    path = coco(tmp_path, [thing([box(0, 0, 2, 2)]), thing(shape, 2)])
    assert read(tmp_path).notes[0] == "1 annotation without a segmentation is left out"
    coco(tmp_path, [thing(shape)])
    with pytest.raises(DataError, match=r"none of the 1 annotations of .* can be used: 1 without"):
        read(path)


def test_coco_images_without_outlines_and_a_category_named_background(tmp_path: Path):
    photo(tmp_path / "images/a.png")
    coco(tmp_path, [], ("cat", "background"))
    listing = read(tmp_path / "annotations/instances.json")
    assert listing.class_names == ("background", "cat")
    assert row(listing) == ["background"] * 6
    assert listing.notes == (
        "1 image has no outlines and is background alone: a.png",
        "1 of 2 classes occurs in no mask: cat",
    )


def test_coco_outlines_for_other_sizes(tmp_path: Path):
    photo(tmp_path / "images/a.png")
    coco(tmp_path, [thing([box(0, 0, 6, 8)])], size=(8, 12))
    listing = read(tmp_path)
    assert row(listing) == ["cat"] * 3 + ["background"] * 3
    assert listing.notes[0] == (
        "1 image is of another size than its labels say, so its outlines are scaled: a.png"
    )
    photo(tmp_path / "images/a.png", (HEIGHT, 60))
    assert "is of another shape than its labels say" in read(tmp_path).notes[0]


def test_coco_outlines_of_an_image_on_its_side(tmp_path: Path):
    photo(tmp_path / "images/a.png", (WIDTH, HEIGHT), orientation=6)
    coco(tmp_path, [thing([box(0, 5, 4, 6)])], size=(WIDTH, HEIGHT))
    listing = read(tmp_path)
    assert row(listing) == ["cat"] + ["background"] * 5
    assert "so its mask is turned with it" in listing.notes[0]


# Real data


def test_camvid(shared_data: Path, tmp_path: Path):
    names = [f"c{number}" for number in range(11)]
    path = write(tmp_path / "classes.txt", "\n".join([*names, "void"]))
    data = load_splits([shared_data / "camvid", path], labels="masks")
    assert (len(data.train), len(data.val)) == (367, 101)
    assert data.train.class_names == tuple(names)
    assert data.notes == ()
    assert data.train.class_counts()["c10"] == 201
    target = data.train.samples[0].target.mask((360, 480))
    assert set(np.unique(target)) <= {*range(11), VOID}
    assert len(data.fingerprint()) == 64


def test_camvid_without_a_map(shared_data: Path):
    data = load_splits(shared_data / "camvid", labels="masks")
    assert len(data.train.class_names) == 12
    assert "the values in the masks are 12 classes" in data.notes[0]


def test_humanseg(shared_data: Path):
    data = load_splits(shared_data / "humanseg", labels="masks")
    assert (len(data.train), len(data.val)) == (160, 40)
    assert data.train.class_names == ("background", "foreground")
    assert data.notes[0].startswith("131 masks are of other sizes than their images")
    assert not any("other shape" in note for note in data.notes)


def test_coco128(shared_data: Path):
    data = load_split(shared_data / "coco128", "all", labels="masks")
    assert len(data) == 100
    assert len(data.class_names) == 129
    assert "unlabeled" not in data.class_names
    outlines = load_split(
        shared_data / "coco128/annotations/instances_train2017.json", "all", labels="masks"
    )
    assert len(outlines) == 128
    assert len(outlines.class_names) == 81
    # Both were drawn by other hands, from the same things.
    by_name = {sample.path.name: sample for sample in data.samples}
    hits = total = 0
    for sample in outlines.samples[::8]:
        if sample.path.name not in by_name:
            continue
        with Image.open(sample.path) as picture:
            size = picture.size[::-1]
        person = [
            one.target.mask(size) == names.index("person")
            for one, names in (
                (sample, outlines.class_names),
                (by_name[sample.path.name], data.class_names),
            )
        ]
        hits += int((person[0] & person[1]).sum())
        total += int((person[0] | person[1]).sum())
    assert total
    assert hits > 0.8 * total
