"""Keypoints as COCO has them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobilens.data.dataset import load_split, load_splits
from mobilens.data.formats import FORMATS, read_source
from mobilens.data.labels.points import PointLabel
from mobilens.data.listing import Listing
from mobilens.data.names import relative_name
from mobilens.errors import DataError
from mobilens.vision.orientation import stored_box
from mobilens.vision.points import region_around

HEIGHT, WIDTH = 40, 60
NAMES = ["nose", "left_eye", "right_eye"]
BOX = [10, 5, 20, 30]
POINTS = [12, 8, 2, 28, 9, 1, 0, 0, 0]
FACE = {"name": "face", "keypoints": NAMES, "skeleton": [[1, 2], [3, 1]]}


def photo(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH), orientation: int = 1) -> Path:
    """Write an image whose stored pixels have this (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size[::-1]).save(path, exif=exif)
    return path


def image(number: int, name: str, size: tuple[int, int] | None = (HEIGHT, WIDTH)) -> dict:
    sides = {"height": size[0], "width": size[1]} if size else {}
    return {"id": number, "file_name": name, **sides}


def thing(keypoints: Any, image_id: int = 1, category: int = 1, **more: Any) -> dict:
    return {"image_id": image_id, "category_id": category, "keypoints": keypoints, **more}


def coco(path: Path, images: list[dict], things: list[dict], *categories: dict) -> Path:
    """Write a file of COCO's kind; categories get the ids 1, 2, ..."""
    numbered = [{"id": id_, **entry} for id_, entry in enumerate(categories or [FACE], start=1)]
    content = {"images": images, "annotations": things, "categories": numbered}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def simple(root: Path, *things: dict, **more: Any) -> Path:
    """One image with some things."""
    photo(root / "a.jpg", **more)
    return coco(root / "labels.json", [image(1, "a.jpg")], list(things))


def read(source: Path) -> Listing:
    return read_source(source, "points")


def labels(listing: Listing, split: str | None = None) -> list[tuple[str, PointLabel]]:
    part = listing.part(split)
    assert part is not None
    return [(relative_name(path, part.root), label) for path, label in part.files]


def rows(label: PointLabel) -> list[tuple[Any, ...]]:
    """Of each labelled point, its name, place, and whether it is hidden."""
    return [
        (name, *np.round(label.points[k], 2).tolist(), *([] if label.visible[k] else ["hidden"]))
        for k, name in enumerate(label.names)
        if label.labelled[k]
    ]


def test_formats_are_listed():
    assert FORMATS["points"] == ("coco_points", "points_csv")


def test_a_thing_is_a_sample(tmp_path: Path):
    photo(tmp_path / "images/a.jpg")
    photo(tmp_path / "images/b.jpg")
    source = coco(
        tmp_path / "annotations/person_keypoints.json",
        [image(7, "a.jpg"), image(3, "b.jpg")],
        [
            thing(POINTS, 3, bbox=BOX, area=321.5),
            thing([1, 2, 2, 3, 4, 2, 5, 6, 2], 7, bbox=[0, 0, 60, 40]),
            thing([20, 20, 0, 30, 30, 2, 31, 31, 2], 3, bbox=[20, 20, 20, 20], area=0),
        ],
    )
    for given in (tmp_path, source):
        listing = read(given)
        assert listing.class_names == tuple(NAMES)
        assert listing.links == (("nose", "left_eye"), ("right_eye", "nose"))
        assert listing.notes == ()
        (first, one), (second, two), (third, three) = labels(listing)
        assert [first, second, third] == ["images/a.jpg", "images/b.jpg", "images/b.jpg"]
        assert rows(one) == [("nose", 1, 2), ("left_eye", 3, 4), ("right_eye", 5, 6)]
        assert rows(two) == [("nose", 12, 8), ("left_eye", 28, 9, "hidden")]
        assert rows(three) == [("left_eye", 30, 30), ("right_eye", 31, 31)]
        assert two.area == 321.5
        # Without an outline, a thing fills about this much of its box.
        assert one.area == 0.53 * 60 * 40
        assert three.area == pytest.approx(0.53 * 20 * 20)
        assert two.region == region_around((10, 5, 30, 35))
        assert three.region == region_around((20, 20, 40, 40))


def test_data_sets_of_them(tmp_path: Path):
    for split in ("train", "val"):
        photo(tmp_path / f"{split}/a.jpg")
        coco(
            tmp_path / f"annotations/person_keypoints_{split}.json",
            [image(1, "a.jpg")],
            [thing(POINTS, bbox=BOX), thing(POINTS, bbox=[0, 0, 60, 40])],
        )
    data = load_splits(tmp_path, labels="points")
    assert data.train.class_names == tuple(NAMES)
    assert data.train.links == ((0, 1), (2, 0))
    assert data.train.class_counts() == {"nose": 2, "left_eye": 2, "right_eye": 0}
    assert data.notes == ("train: 1 of 3 points is labelled nowhere: right_eye",)
    one, two = data.val.samples
    assert one.path == two.path == tmp_path / "val/a.jpg"
    assert one.region == region_around((10, 5, 30, 35))
    assert one.target.mirrored.tolist() == [0, 2, 1]
    assert data.val.label_text(one) == (
        "nose 12.00 8.00 visible;left_eye 28.00 9.00 hidden;in 7.50 1.25 32.50 38.75 of 318.00"
    )
    others = ("right_eye", "tail", "left_eye", "nose")
    val = load_split(tmp_path, class_names=others, labels="points")
    assert val.samples[0].target.points.tolist() == [[0, 0], [0, 0], [28, 9], [12, 8]]
    assert val.links == ((3, 2), (0, 3))
    before = data.fingerprint()
    coco(
        tmp_path / "annotations/person_keypoints_val.json",
        [image(1, "a.jpg")],
        [thing([12, 8, 2, 28, 9, 2, 0, 0, 0], bbox=BOX), thing(POINTS, bbox=[0, 0, 60, 40])],
    )
    assert load_splits(tmp_path, labels="points").fingerprint() != before


def test_all_things_of_an_image_are_held_out_together(tmp_path: Path):
    for name in "abcde":
        photo(tmp_path / f"{name}.jpg")
    images = [image(number, f"{name}.jpg") for number, name in enumerate("abcde")]
    things = [
        thing(POINTS, number, bbox=[0, 0, width, 30]) for number in range(5) for width in (20, 40)
    ]
    coco(tmp_path / "labels.json", images, things)
    data = load_splits(tmp_path, labels="points")
    assert (len(data.train), len(data.val)) == (8, 2)
    assert len({sample.path for sample in data.val.samples}) == 1


# Boxes


@pytest.mark.parametrize(
    "bbox",
    [None, [], [1, 2, 3], [10, 5, 0, 30], [10, 5, -20, 30], [0, 0, float("nan"), 9], [70, 0, 9, 9]],
)
def test_without_a_box_what_lies_around_the_points_is_looked_at(tmp_path: Path, bbox: object):
    listing = read(simple(tmp_path, thing([12, 8, 2, 28, 18, 1, 99, 99, 0], bbox=bbox)))
    ((_, label),) = labels(listing)
    assert label.region == region_around((12, 8, 28, 18))
    assert label.area == pytest.approx(0.53 * 16 * 10)
    assert listing.notes == (
        "1 thing has no box, so what is looked at is what lies around its points: a.jpg",
        "1 of 3 points is labelled nowhere: right_eye",
    )


def test_one_point_without_a_box_is_left_out(tmp_path: Path):
    dot = [12, 8, 2, 0, 0, 0, 0, 0, 0]
    listing = read(simple(tmp_path, thing(POINTS, bbox=BOX), thing(dot), thing(dot, bbox=BOX)))
    assert len(labels(listing)) == 2
    assert listing.notes[0] == "1 thing has no box and one point only, and is left out: a.jpg"


def test_a_box_ends_where_its_image_does(tmp_path: Path):
    listing = read(simple(tmp_path, thing(POINTS, bbox=[-30, 5, 60, 90], area=float("inf"))))
    ((_, label),) = labels(listing)
    assert label.region == region_around((0, 5, 30, 40))
    assert label.area == pytest.approx(0.53 * 30 * 35)


# What cannot be used


def test_what_is_left_out_is_counted(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "b.jpg")
    coco(
        tmp_path / "train.json",
        [image(1, "a.jpg"), image(2, "b.jpg"), image(3, "gone.jpg")],
        [
            thing(POINTS, bbox=BOX),
            thing(POINTS, bbox=BOX),
            thing([0] * 9, bbox=BOX),
            thing([0] * 6, category=2, bbox=BOX),
            thing([30, 41, 2, -1, 3, 2, 0, 0, 0], bbox=BOX),
            thing([30, 30, 2, 61, 3, 1, 60, 40, 2], bbox=BOX),
            thing(POINTS, bbox=BOX, iscrowd=1),
            thing(POINTS[:6], bbox=BOX),
            thing(POINTS[:8], bbox=BOX),
            thing([*POINTS[:8], float("nan")], bbox=BOX),
            thing([*POINTS[:8], 10**400], bbox=BOX),
            thing([*POINTS[:8], "2"], bbox=BOX),
            thing(None, bbox=BOX),
            thing(POINTS, 3),
            thing(POINTS, 9),
            thing(POINTS, category=9),
        ],
        FACE,
        {"name": "car"},
    )
    listing = read(tmp_path)
    first, second = (label for _, label in labels(listing, "train"))
    assert rows(first) == [("nose", 12, 8), ("left_eye", 28, 9, "hidden")]
    assert rows(second) == [("nose", 30, 30), ("right_eye", 60, 40)]
    assert listing.notes == (
        "train: 5 annotations without keypoints of three finite numbers each are left out",
        "train: 1 annotation of an image that is not listed is left out",
        "train: 1 annotation of a category that is not listed is left out",
        "train: 1 annotation of a crowd is left out",
        "train: 1 annotation has another number of keypoints than its category and is left out",
        "train: 1 thing is listed twice and counts once: a.jpg",
        "train: 3 things have no labelled point and are left out: a.jpg",
        "train: 3 points lie outside their images and count as not labelled: a.jpg",
        "train: 1 image has nothing with points and is left out: b.jpg",
        "train: 1 image of train.json does not exist and is left out: gone.jpg",
    )


def test_no_labelled_point_at_all(tmp_path: Path):
    source = simple(tmp_path, thing([0] * 9, bbox=BOX), thing(POINTS, iscrowd=1))
    with pytest.raises(DataError) as error:
        read(source)
    assert str(error.value) == (
        f"{source} labels nothing that can be used: 1 annotation of a crowd is left out; "
        "1 thing has no labelled point and is left out: a.jpg\n"
        "  expected: COCO's JSON with images, annotations with keypoints, and categories that "
        "name them"
    )
    source = simple(tmp_path, {"image_id": 1, "category_id": 1, "bbox": BOX})
    with pytest.raises(DataError, match=r"none of the 1 annotations of .* can be used: 1 without "):
        read(source)
    with pytest.raises(DataError, match="1 image has nothing with points and is left out: a"):
        read(simple(tmp_path))


def test_a_part_without_annotations_is_left_out(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    coco(tmp_path / "train.json", [image(1, "a.jpg")], [thing(POINTS, bbox=BOX)])
    coco(tmp_path / "val.json", [image(1, "a.jpg")], [])
    listing = read(tmp_path)
    assert [part.split for part in listing.parts] == ["train"]
    assert listing.notes[0] == "val: 1 image has nothing with points and is left out: a.jpg"


def test_an_image_that_does_not_decode_is_listed(tmp_path: Path):
    source = simple(tmp_path, thing([30, 41, 2, 28, 9, 1, 0, 0, 0], bbox=BOX))
    (tmp_path / "a.jpg").write_bytes(b"no image")
    listing = read(source)
    assert rows(labels(listing)[0][1]) == [("left_eye", 28, 9, "hidden")]
    coco(source, [image(1, "a.jpg", None)], [thing([30, 41, 2, 28, 9, 1, 0, 0, 0], bbox=BOX)])
    listing = read(source)
    assert rows(labels(listing)[0][1]) == [("nose", 30, 41), ("left_eye", 28, 9, "hidden")]


def test_an_image_that_is_listed_twice_is_one(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    source = coco(
        tmp_path / "labels.json",
        [image(1, "a.jpg"), image(2, "A.jpg")],
        [thing(POINTS, 1, bbox=BOX), thing(POINTS, 2, bbox=[0, 0, 60, 40])],
    )
    listing = read(source)
    assert [name for name, _ in labels(listing)] == ["a.jpg", "a.jpg"]
    assert "1 image is listed more than once and gets the things of all: a.jpg" in listing.notes


# Categories


def test_categories_with_the_same_keypoints(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    things = [thing(POINTS, bbox=BOX), thing(POINTS, category=2, bbox=BOX)]
    other = {"name": "mask", "keypoints": NAMES[::-1], "skeleton": []}
    unused = {"name": "hand", "keypoints": ["thumb"]}
    source = coco(tmp_path / "a.json", [image(1, "a.jpg")], things, FACE, other, unused)
    listing = read(source)
    assert listing.class_names == tuple(NAMES)
    assert listing.links == (("nose", "left_eye"), ("right_eye", "nose"))
    first, second = (label for _, label in labels(listing))
    assert rows(first) == [("nose", 12, 8), ("left_eye", 28, 9, "hidden")]
    assert rows(second) == [("right_eye", 12, 8), ("left_eye", 28, 9, "hidden")]


def test_categories_with_different_keypoints(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    things = [thing(POINTS, bbox=BOX), thing([1, 2, 2], category=2, bbox=BOX)]
    hand = {"name": "hand", "keypoints": ["thumb"]}
    source = coco(tmp_path / "a.json", [image(1, "a.jpg")], things, FACE, hand)
    with pytest.raises(DataError) as error:
        read(source)
    assert str(error.value) == (
        f"{source} has different keypoints for 'face' (nose, left_eye, right_eye) and 'hand' "
        "(thumb)\n"
        "  expected: the same keypoints for all categories whose things have points\n"
        "  try: train a model for each, on a file with the annotations of 'face' and one with "
        "those of 'hand'"
    )


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (None, "has the keypoints None\n  expected: a list of their names, in the order of the"),
        ([], r"has the keypoints \[\]\n  expected: a list"),
        ("nose", "has the keypoints 'nose'\n  expected: a list"),
        (["nose", 1, 2], r"has the keypoints \['nose', 1, 2\]\n  expected: a list"),
        (
            ["nose", "ear", "ear "],
            "has the keypoints nose, ear, ear\n  expected: a name of its own",
        ),
        (["nose", "", "ear"], "has the keypoints nose, , ear\n  expected: a name of its own"),
    ],
)
def test_categories_that_name_no_keypoints(tmp_path: Path, names: object, words: str):
    photo(tmp_path / "a.jpg")
    face = {"name": "face", "keypoints": names}
    coco(tmp_path / "a.json", [image(1, "a.jpg")], [thing(POINTS, bbox=BOX)], face)
    with pytest.raises(DataError, match=rf"the category 'face' of .*a\.json {words}"):
        read(tmp_path)


def test_skeletons_that_lead_nowhere(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    bad = [[0, 1], [1, 4], [1], 7, [2, 2], ["1", "2"]]
    face = {**FACE, "skeleton": [[1, 2], *bad]}
    source = coco(tmp_path / "a.json", [image(1, "a.jpg")], [thing(POINTS, bbox=BOX)], face)
    listing = read(source)
    assert listing.links == (("nose", "left_eye"),)
    assert listing.notes[0] == (
        "6 links of the skeleton are no pairs of keypoints, counted from 1, and are left out"
    )
    coco(source, [image(1, "a.jpg")], [thing(POINTS)], {"name": "face", "keypoints": NAMES})
    assert read(source).links == ()


def test_roboflow_keypoints(tmp_path: Path):
    umbrella = {"id": 0, "name": "faces", "supercategory": "none"}
    for part in ("train", "valid"):
        photo(tmp_path / part / "a.jpg")
        coco(
            tmp_path / part / "_annotations.coco.json",
            [image(0, "a.jpg")],
            [thing(POINTS, 0, 2, bbox=BOX)],
            umbrella,
            {**FACE, "id": 2, "supercategory": "faces"},
        )
    listing = read(tmp_path)
    assert [part.split for part in listing.parts] == ["train", "val"]
    assert listing.class_names == tuple(NAMES)


def test_parts_need_the_same_keypoints_in_any_order(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    images, things = [image(1, "a.jpg")], [thing(POINTS, bbox=BOX)]
    coco(tmp_path / "train.json", images, things)
    coco(tmp_path / "val.json", images, things, {"name": "f", "keypoints": NAMES[::-1]})
    listing = read(tmp_path)
    assert listing.class_names == tuple(NAMES)
    assert rows(labels(listing, "val")[0][1])[0] == ("right_eye", 12, 8)
    coco(tmp_path / "val.json", images, things, {"name": "f", "keypoints": ["a", "nose", "b"]})
    folder = tmp_path.name
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert str(error.value) == (
        f"{folder}/train.json and {folder}/val.json have different keypoints; "
        f"only in {folder}/train.json: left_eye, right_eye; only in {folder}/val.json: a, b\n"
        "  expected: the same names in both, whether they are used or not"
    )


def test_coco_own_folder(tmp_path: Path):
    photo(tmp_path / "train2017/a.jpg")
    images, folder = [image(1, "a.jpg")], tmp_path / "annotations"
    boxes = [{"image_id": 1, "category_id": 1, "bbox": BOX}]
    coco(folder / "instances_train2017.json", images, boxes, {"name": "face"})
    coco(folder / "person_keypoints_train2017.json", images, [thing(POINTS, bbox=BOX)])
    coco(folder / "densepose_keypoints_instances_train2017.json", images, [thing(POINTS)])
    listing = read(tmp_path)
    assert rows(labels(listing, "train")[0][1])[0] == ("nose", 12, 8)
    assert listing.notes[0] == (
        "person_keypoints_train2017.json is used, not densepose_keypoints_instances_train2017.json"
    )


# EXIF and sizes


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("drawn_on", ["stored", "upright"])
@pytest.mark.parametrize("scale", [1, 2])
def test_labels_of_an_image_on_its_side(
    tmp_path: Path, orientation: int, drawn_on: str, scale: int
):
    photo(tmp_path / "a.jpg", (HEIGHT, WIDTH), orientation)
    upright, places = (WIDTH, HEIGHT), [(5.0, 10.0), (15.0, 40.0)]
    size, box, points = upright, (5.0, 10.0, 15.0, 40.0), places
    if drawn_on == "stored":
        size = (HEIGHT, WIDTH)
        box = stored_box(box, upright, orientation)
        points = [stored_box((x, y, x, y), upright, orientation)[:2] for x, y in places]
    left, top, right, bottom = (scale * side for side in box)
    flat = [number for x, y in points for number in (scale * x, scale * y, 2)]
    one = thing([*flat, 0, 0, 0], bbox=[left, top, right - left, bottom - top], area=100 * scale**2)
    size = (scale * size[0], scale * size[1])
    listing = read(coco(tmp_path / "labels.json", [image(1, "a.jpg", size)], [one]))
    ((_, label),) = labels(listing)
    assert rows(label) == [("nose", 5, 10), ("left_eye", 15, 40)]
    assert label.region == pytest.approx(region_around((5, 10, 15, 40)))
    assert label.area == pytest.approx(100)
    turned = (
        "1 image is turned by its EXIF and was labelled before that, so its points are turned "
        "with it: a.jpg"
    )
    scaled = "1 image is of another size than its labels say, so its points are scaled: a.jpg"
    assert listing.notes[:-1] == (
        *([turned] if drawn_on == "stored" else []),
        *([scaled] if scale == 2 else []),
    )


@pytest.mark.parametrize("stated", [(HEIGHT, WIDTH), None])
def test_a_half_turn_does_not_tell(tmp_path: Path, stated: tuple[int, int] | None):
    photo(tmp_path / "a.jpg", orientation=3)
    images = [image(1, "a.jpg", stated)]
    listing = read(coco(tmp_path / "labels.json", images, [thing(POINTS, bbox=BOX)]))
    assert rows(labels(listing)[0][1])[0] == ("nose", 12, 8)
    assert listing.notes[0] == (
        "1 image is turned by its EXIF, and its labels do not tell whether they were drawn after "
        "that, as is assumed: a.jpg"
    )
