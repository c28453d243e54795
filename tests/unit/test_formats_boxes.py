"""Boxes as COCO, YOLO and Pascal VOC have them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobilens.data.dataset import load_split, load_splits
from mobilens.data.formats import read_source
from mobilens.data.listing import Listing
from mobilens.data.names import relative_name
from mobilens.errors import DataError
from mobilens.vision.orientation import stored_box

HEIGHT, WIDTH = 40, 60
EMPTY = "1 image has no boxes and counts as one without things: "

Found = dict[str, list[tuple[Any, ...]]]


def photo(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH), orientation: int = 1) -> Path:
    """Write an image whose stored pixels have this (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
    Image.new("RGB", size[::-1]).save(path, kind, exif=exif)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def found(listing: Listing, split: str | None = None) -> Found:
    """Things of each image of a part: name, corners, and "ignored" where it is."""
    part = listing.part(split)
    assert part is not None
    return {
        relative_name(path, part.root): [
            (name, *np.round(box, 2).tolist(), *(["ignored"] if ignored else []))
            for name, box, ignored in zip(label.names, label.boxes, label.ignored, strict=True)
        ]
        for path, label in part.files
    }


def read(source: Path) -> Listing:
    return read_source(source, "boxes")


def splits(listing: Listing) -> list[str | None]:
    return [part.split for part in listing.parts]


# The lookup


def test_a_folder_without_labels(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="holds no labels of a known form") as error:
        read(tmp_path)
    assert "COCO's JSON, YOLO's text files or Pascal VOC's XML" in str(error.value)


def test_coco_comes_before_yolo_and_yolo_before_voc(tmp_path: Path):
    voc(tmp_path / "a.xml", ("cat", 1, 1, 20, 20))
    photo(tmp_path / "images/a.jpg")
    photo(tmp_path / "a.jpg")
    assert read(tmp_path).part(None).files[0][1].names == ("cat",)
    write(tmp_path / "labels/a.txt", "0 .5 .5 .2 .2")
    assert read(tmp_path).part(None).files[0][1].names == ("0",)
    coco(tmp_path / "all.json", [image(1, "a.jpg")], [thing(1, 1, [0, 0, 9, 9])], ["dog"])
    assert read(tmp_path).part(None).files[0][1].names == ("dog",)


# COCO


def image(number: int, name: str, size: tuple[int, int] | None = (HEIGHT, WIDTH)) -> dict:
    sides = {"height": size[0], "width": size[1]} if size else {}
    return {"id": number, "file_name": name, **sides}


def thing(image_id: Any, category_id: Any, bbox: Any, **more: Any) -> dict:
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, **more}


def coco(path: Path, images: list[dict], things: list[dict], categories: list[Any]) -> Path:
    """Write a file of COCO's kind; categories that are names get the ids 1, 2, ..."""
    numbered = [
        {"id": number, "name": entry, "supercategory": "none"} if isinstance(entry, str) else entry
        for number, entry in enumerate(categories, start=1)
    ]
    content = {"images": images, "annotations": things, "categories": numbered}
    return write(path, json.dumps(content))


def test_coco_corners_crowds_order_and_images_without_things(tmp_path: Path):
    photo(tmp_path / "images/a.jpg")
    photo(tmp_path / "images/b.jpg")
    source = coco(
        tmp_path / "annotations/instances.json",
        [image(7, "a.jpg"), image(3, "b.jpg")],
        [thing(7, 10, [0, 0, 10.5, 20]), thing(7, 9, [30, 5, 30, 35], iscrowd=1)],
        [
            {"id": 10, "name": "zebra"},
            {"id": 9, "name": "horse"},
            {"id": 90, "name": "a unicorn"},
        ],
    )
    for given in (tmp_path, source):
        listing = read(given)
        assert found(listing) == {
            "images/a.jpg": [("zebra", 0, 0, 10.5, 20), ("horse", 30, 5, 60, 40, "ignored")],
            "images/b.jpg": [],
        }
        assert listing.class_names == ("horse", "zebra", "a unicorn")
        assert listing.notes == (EMPTY + "b.jpg", "2 of 3 classes have no box: horse, a unicorn")


@pytest.mark.parametrize(
    ("json_name", "image_name", "file_name"),
    [
        ("labels.json", "a.jpg", "a.jpg"),
        ("labels.json", "images/a.jpg", "a.jpg"),
        ("labels.json", "data/a.jpg", "a.jpg"),
        ("labels.json", "photos/a.jpg", "a.jpg"),
        ("labels.json", "photos/a.jpg", "photos/a.jpg"),
        ("labels.json", "images/a.jpg", "/home/me/data/images/a.jpg"),
        ("labels.json", "images/a.jpg", "C:\\data\\images\\a.jpg"),
        ("labels.json", "a.JPG", "a.jpg"),
        ("labels.json", "images/A.jpg", "a.JPG"),
        ("annotations/train.json", "annotations/a.jpg", "a.jpg"),
        ("annotations/train.json", "a.jpg", "a.jpg"),
        ("Annotations/train.JSON", "train/a.jpg", "a.jpg"),
        ("annotations/train.json", "train/images/a.jpg", "a.jpg"),
        ("annotations/instances_train2017.json", "train2017/a.jpg", "a.jpg"),
        ("annotations/instances_train2017.json", "images/train2017/a.jpg", "a.jpg"),
        ("annotations/instances_train2017.json", "images/train2017/a.jpg", "train2017/a.jpg"),
        ("train/_annotations.coco.json", "train/a.jpg", "a.jpg"),
        ("train/annotations.json", "train/images/a.jpg", "a.jpg"),
    ],
)
def test_coco_finds_images(tmp_path: Path, json_name: str, image_name: str, file_name: str):
    photo(tmp_path / image_name)
    coco(tmp_path / json_name, [image(1, file_name)], [thing(1, 1, [0, 0, 9, 9])], ["cat"])
    listing = read(tmp_path)
    (part,) = listing.parts
    assert [path for path, _ in part.files] == [tmp_path / image_name]
    assert part.split == ("train" if "train" in json_name else None)
    assert listing.notes == ()


def test_coco_takes_the_folder_of_the_year(tmp_path: Path):
    for year in (2014, 2017):
        photo(tmp_path / f"train{year}/a.jpg")
    coco(
        tmp_path / "annotations/instances_train2017.json",
        [image(1, "a.jpg")],
        [thing(1, 1, [0, 0, 9, 9])],
        ["cat"],
    )
    assert list(found(read(tmp_path), "train")) == ["train2017/a.jpg"]


def test_a_name_without_its_folders_stands_for_one_image(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    images = [image(1, "x/a.jpg"), image(2, "y/a.jpg")]
    coco(tmp_path / "labels.json", images, [], ["cat"])
    with pytest.raises(DataError, match=r"none of the 2 images that .*labels\.json names exists"):
        read(tmp_path)


def test_roboflow_as_coco(tmp_path: Path):
    categories = [
        {"id": 0, "name": "raccoon", "supercategory": "none"},
        {"id": 1, "name": "raccoon", "supercategory": "raccoon"},
    ]
    for part in ("train", "valid", "test"):
        photo(tmp_path / part / "a.jpg")
        coco(
            tmp_path / part / "_annotations.coco.json",
            [image(0, "a.jpg")],
            [thing(0, 1, [1, 2, 10, 10])],
            categories,
        )
    listing = read(tmp_path)
    assert splits(listing) == ["train", "val", "test"]
    assert listing.class_names == ("raccoon",)
    assert found(listing, "val") == {"valid/a.jpg": [("raccoon", 1, 2, 11, 12)]}
    alone = read(tmp_path / "valid/_annotations.coco.json")
    assert found(alone) == {"a.jpg": [("raccoon", 1, 2, 11, 12)]}
    data = load_splits(tmp_path, labels="boxes")
    assert data.test is not None
    assert [len(one) for one in (data.train, data.val, data.test)] == [1, 1, 1]
    assert data.train.samples[0].target.classes.tolist() == [0]


def test_a_first_category_with_boxes_stays(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    coco(
        tmp_path / "labels.json",
        [image(1, "a.jpg")],
        [thing(1, 0, [1, 2, 10, 10]), thing(1, 1, [1, 2, 10, 10])],
        [
            {"id": 0, "name": "animal", "supercategory": "none"},
            {"id": 1, "name": "cat", "supercategory": "animal"},
        ],
    )
    assert read(tmp_path).class_names == ("animal", "cat")


def test_coco_own_folder_and_what_else_lies_in_it(tmp_path: Path):
    for part in ("train2017", "val2017"):
        photo(tmp_path / part / "a.jpg")
        folder, images = tmp_path / "annotations", [image(1, "a.jpg")]
        things = [thing(1, 1, [0, 0, 9, 9])]
        coco(folder / f"instances_{part}.json", images, things, ["cat"])
        coco(folder / f"person_keypoints_{part}.json", images, things, ["person"])
        coco(folder / f"image_info_{part}.json", images, [{"image_id": 1}], ["cat"])
        captions = {"images": images, "annotations": [{"image_id": 1, "caption": "a cat"}]}
        write(folder / f"captions_{part}.json", json.dumps(captions))
        segments = {**thing(1, 1, [0, 0, 9, 9]), "segments_info": []}
        coco(folder / f"panoptic_{part}.json", images, [segments], ["cat"])
    coco(tmp_path / "annotations/instances_all.json", images, things, ["dog"])
    write(tmp_path / "annotations/broken.json", "")
    listing = read(tmp_path)
    assert splits(listing) == ["train", "val"]
    assert listing.class_names == ("cat",)
    assert listing.notes == (
        "instances_train2017.json, instances_val2017.json are used, not instances_all.json, "
        "person_keypoints_train2017.json, person_keypoints_val2017.json",
    )


def test_a_part_may_have_no_annotations(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "b.jpg")
    coco(tmp_path / "train.json", [image(1, "a.jpg")], [thing(1, 1, [0, 0, 9, 9])], ["cat"])
    coco(tmp_path / "val.json", [image(1, "b.jpg")], [], ["cat"])
    listing = read(tmp_path)
    assert found(listing, "val") == {"b.jpg": []}
    assert listing.notes == (f"val: {EMPTY}b.jpg",)


def test_coco_counts_what_cannot_be_used(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    coco(
        tmp_path / "train.json",
        [image(1, "a.jpg"), image(2, "gone.jpg")],
        [
            thing("1", 1.0, [0, 0, 9, 9]),
            thing(5, 1, [0, 0, 9, 9]),
            thing([5], 1, [0, 0, 9, 9]),
            thing(1, 8, [0, 0, 9, 9]),
            thing(1, 1, None),
            thing(1, 1, []),
            thing(1, 1, [0, 0, "9", 9]),
            thing(1, 1, [0, 0, 10**400, 9]),
            thing(1, 1, [0, 0, float("nan"), 9]),
            thing(2, 1, [0, 0, 9, 9]),
        ],
        ["cat"],
    )
    listing = read(tmp_path)
    assert found(listing, "train") == {"a.jpg": [("cat", 0, 0, 9, 9)]}
    assert listing.notes == (
        "train: 2 annotations of an image that is not listed are left out",
        "train: 1 annotation of a category that is not listed is left out",
        "train: 4 annotations without a bbox of four numbers are left out",
        "train: 1 box is at most a pixel wide or high and is left out: a.jpg",
        "train: 1 image of train.json does not exist and is left out: gone.jpg",
    )


def test_an_image_that_is_listed_twice_is_one(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    coco(
        tmp_path / "labels.json",
        [image(1, "a.jpg"), image(2, "A.jpg")],
        [thing(1, 1, [0, 0, 9, 9]), thing(2, 1, [5, 5, 9, 9])],
        ["cat"],
    )
    listing = read(tmp_path)
    assert found(listing) == {"a.jpg": [("cat", 0, 0, 9, 9), ("cat", 5, 5, 14, 14)]}
    assert listing.notes == ("1 image is listed more than once and gets the boxes of all: a.jpg",)


def test_coco_parts_need_the_same_names_in_any_order(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    images, things = [image(1, "a.jpg")], [thing(1, 1, [0, 0, 9, 9])]
    coco(tmp_path / "train.json", images, things, ["cat", "dog"])
    coco(tmp_path / "val.json", images, things, ["dog", "cat"])
    listing = read(tmp_path)
    assert listing.class_names == ("cat", "dog")
    assert found(listing, "train") == {"a.jpg": [("cat", 0, 0, 9, 9)]}
    assert found(listing, "val") == {"a.jpg": [("dog", 0, 0, 9, 9)]}
    coco(tmp_path / "val.json", images, things, ["dog", "cow"])
    folder = tmp_path.name
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert str(error.value) == (
        f"{folder}/train.json and {folder}/val.json have different categories; "
        f"only in {folder}/train.json: cat; only in {folder}/val.json: cow\n"
        "  expected: the same names in both, whether they are used or not"
    )


def test_coco_images_of_one_part_may_be_away(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    things = [thing(1, 1, [0, 0, 9, 9])]
    coco(tmp_path / "train.json", [image(1, "a.jpg")], things, ["cat"])
    coco(tmp_path / "val.json", [image(1, "b.jpg")], things, ["cat"])
    listing = read(tmp_path)
    assert splits(listing) == ["train"]
    assert listing.notes == ("val: 1 image of val.json does not exist and is left out: b.jpg",)
    (tmp_path / "a.jpg").rename(tmp_path / "b.jpg")
    with pytest.raises(DataError, match=r"none of the 1 images that .*train\.json names exists"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON: "),
        ("[" * 100_000, "is not JSON: "),
        ("[]", "is JSON of another kind"),
        ('{"images": [], "annotations": []}', "is JSON of another kind"),
        ('{"images": [], "annotations": [], "categories": []}', "lists no images"),
        ('{"images": 1, "annotations": [], "categories": []}', "images of .* is int"),
        ('{"images": [1], "annotations": [], "categories": []}', r"images\[0\] of .* is 1\n"),
        (
            '{"images": [{"id": 1}], "annotations": [], "categories": []}',
            r"images\[0\] of .* has the file_name None",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"name": "cat"}]}',
            r"categories\[0\] of .* has the id None",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [],'
            ' "annotations": [{"image_id": 2}, {"image_id": 1}]}',
            r"none of the 2 annotations of .* can be used: 1 of an image that is not listed, "
            "1 of a category that is not listed",
        ),
    ],
)
def test_json_of_other_kinds(tmp_path: Path, text: str, words: str):
    with pytest.raises(DataError, match=words):
        read(write(tmp_path / "labels.json", text))


def test_two_categories_of_one_name(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    coco(tmp_path / "a.json", [image(1, "a.jpg")], [thing(1, 1, [0, 0, 9, 9])], ["cat", "cat"])
    with pytest.raises(DataError, match=r"a\.json has several categories of the name cat\n"):
        read(tmp_path)


# YOLO


def yolo(root: Path, part: str = "train", name: str = "a", rows: str = "0 .5 .5 .5 .5") -> None:
    photo(root / f"images/{part}/{name}.jpg")
    write(root / f"labels/{part}/{name}.txt", rows)


CENTRE = (15, 10, 45, 30)


def test_yolo_rows(tmp_path: Path):
    yolo(tmp_path, rows="1 0.5 0.5 0.5 0.5\n\n0 .25 .5 .5 1\n2.0 0 0 .5 0 .5 .25 0.1 0.5\n")
    yolo(tmp_path, name="empty", rows="\n")
    photo(tmp_path / "images/train/none.PNG")
    yolo(tmp_path, "val", "b", "\ufeff0 .5 .5 .5 .5")
    source = write(
        tmp_path / "data.yaml",
        "path: .\ntrain: images/train\nval: images/val\ntest:\nnc: 4\n"
        "names: {2: c, 0: a, 1: b, 4: e}\n",
    )
    for given in (tmp_path, source):
        listing = read(given)
        assert splits(listing) == ["train", "val"]
        assert listing.class_names == ("a", "b", "c", "e")
        assert found(listing, "train") == {
            "images/train/a.jpg": [
                ("b", *CENTRE),
                ("a", 0, 0, 30, 40),
                ("c", 0, 0, 30, 20),
            ],
            "images/train/empty.jpg": [],
            "images/train/none.PNG": [],
        }
        assert found(listing, "val") == {"images/val/b.jpg": [("a", *CENTRE)]}
        assert listing.notes == (
            "train: 2 images have no boxes and count as images without things: empty.jpg, none.PNG",
            "train: 1 of 4 classes has no box: e",
        )


def test_yolo_rows_with_keypoints(tmp_path: Path):
    yolo(tmp_path, rows="0 .5 .5 .5 .5 .1 .1 2 .9 .9 2")
    write(tmp_path / "pose.yaml", "train: images/train\nnames: [a]\nkpt_shape: [2, 3]")
    assert found(read(tmp_path), "train") == {"images/train/a.jpg": [("a", *CENTRE)]}


def test_roboflow_as_yolo(tmp_path: Path):
    for part in ("train", "valid", "test"):
        photo(tmp_path / part / "images/a_jpg.rf.1.jpg")
        write(tmp_path / part / "labels/a_jpg.rf.1.txt", "0 .5 .5 .5 .5")
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnames: ['a']\n"
    write(tmp_path / "data.yaml", text)
    listing = read(tmp_path)
    assert splits(listing) == ["train", "val", "test"]
    assert found(listing, "val") == {"valid/images/a_jpg.rf.1.jpg": [("a", *CENTRE)]}
    assert listing.notes == ()
    # Without the file, classes are numbers.
    (tmp_path / "data.yaml").unlink()
    bare = read(tmp_path)
    assert splits(bare) == ["train", "val", "test"]
    assert bare.class_names == ("0",)


@pytest.mark.parametrize(
    ("path", "train"),
    [
        ("", "images/train"),
        ("set", "images/train"),
        ("../elsewhere", "images/train"),
        ("/content/set", "/content/set/images/train"),
        (".", "[images/train]"),
        (".", ".\\images\\train"),
        (".", "train.txt"),
    ],
)
def test_yaml_paths(tmp_path: Path, path: str, train: str):
    root = tmp_path / path if path == "set" else tmp_path
    yolo(root)
    yolo(root, name="b")
    write(tmp_path / "train.txt", "./images/train/a.jpg\n\nimages/train/b.jpg\n")
    source = write(tmp_path / "data.yml", f"path: {path}\ntrain: {train}\nnames: [cat]")
    assert found(read(source), "train") == {
        "images/train/a.jpg": [("cat", *CENTRE)],
        "images/train/b.jpg": [("cat", *CENTRE)],
    }


def test_a_path_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    yolo(tmp_path / "set")
    source = write(tmp_path / "other/data.yaml", "path: set\ntrain: images/train\nnames: [cat]")
    monkeypatch.chdir(tmp_path)
    assert found(read(source), "train") == {"images/train/a.jpg": [("cat", *CENTRE)]}


def test_lists_and_folders_together(tmp_path: Path):
    yolo(tmp_path, "one")
    yolo(tmp_path, "two", "b")
    yolo(tmp_path, "two", "c")
    write(tmp_path / "two.txt", "images/two/b.jpg\nimages/two/gone.jpg\nimages/two/b.jpg\n")
    write(tmp_path / "data.yaml", "train: [images/one, two.txt, three]\nnames: [cat]")
    listing = read(tmp_path)
    assert list(found(listing, "train")) == ["images/one/a.jpg", "images/two/b.jpg"]
    assert listing.notes == (
        "2 files that train of data.yaml names do not exist: images/two/gone.jpg, three",
    )


def test_parts_that_are_not_there(tmp_path: Path):
    yolo(tmp_path)
    photo(tmp_path / "images/test/a.jpg")
    text = "train: images/train\nval: images/val2017\ntest: images/test\nnames: [cat]"
    source = write(tmp_path / "data.yaml", text)
    listing = read(tmp_path)
    assert splits(listing) == ["train"]
    assert listing.notes == (
        "val of data.yaml leads to no image and is left out: images/val2017",
        "test: none of 1 images has a label file: left out",
    )
    write(source, "train: images/gone\nval: images/train\nnames: [cat]")
    with pytest.raises(DataError, match=r"train of .*data\.yaml leads to no image: images/gone\n"):
        read(source)


def test_validation_on_the_images_for_training_is_none(tmp_path: Path):
    yolo(tmp_path)
    yolo(tmp_path, name="b")
    write(tmp_path / "data.yaml", "train: images/train\nval: images/train\nnames: [cat]")
    data = load_splits(tmp_path, labels="boxes")
    assert (len(data.train), len(data.val)) == (1, 1)
    assert data.notes[0] == "val of data.yaml names the same images as train and is left out"


def test_the_yaml_that_fits_is_taken(tmp_path: Path):
    yolo(tmp_path)
    write(tmp_path / "a.yaml", "train: {images: images/train}\nclasses: [cat]")
    write(tmp_path / "b.yaml", "train: images/elsewhere\nnames: [bird]")
    write(tmp_path / "c.yaml", "names: [unclosed")
    write(tmp_path / "d.yaml", "train: images/train\nnames: [cat]")
    write(tmp_path / "e.yaml", "train: images/train\nnames: [dog]")
    listing = read(tmp_path)
    assert listing.class_names == ("cat",)
    assert listing.notes == ("d.yaml is used, not e.yaml",)


def test_a_yaml_from_another_machine_gives_its_names(tmp_path: Path):
    yolo(tmp_path)
    write(tmp_path / "data.yaml", "train: /content/photos\nnames: [cat]")
    assert read(tmp_path).class_names == ("cat",)


@pytest.mark.parametrize("part", ["", "train", "train2017"])
def test_folders_side_by_side(tmp_path: Path, part: str):
    yolo(tmp_path, part, rows="1 .5 .5 .5 .5")
    split = "train" if part else None
    listing = read(tmp_path)
    assert listing.class_names == ("0", "1")
    assert [thing[0] for (thing,) in found(listing, split).values()] == ["1"]
    # labelImg writes it to where the label files are.
    write(tmp_path / "labels" / part / "classes.txt", "cat\ndog\n\n")
    assert read(tmp_path).class_names == ("cat", "dog")
    write(tmp_path / "classes.txt", "ant\nbee\n")
    listing = read(tmp_path)
    assert listing.class_names == ("ant", "bee")
    assert listing.notes[-1].removeprefix("train: ") == "1 of 2 classes has no box: ant"


def test_labels_beside_images(tmp_path: Path):
    photo(tmp_path / "a.JPG")
    write(tmp_path / "a.txt", "0 .5 .5 .5 .5")
    write(tmp_path / "classes.txt", "cat")
    assert found(read(tmp_path)) == {"a.JPG": [("cat", *CENTRE)]}


def test_wrong_rows_are_left_out(tmp_path: Path):
    yolo(tmp_path, rows="0 .5 .5 .5 .5\n" * 12 + "9 .5 .5 .5 .5\n")
    write(tmp_path / "data.yaml", "train: images/train\nnames: [cat]")
    assert read(tmp_path).notes == (
        "train: 11 boxes are drawn twice and count once: a.jpg",
        "1 row is wrong and is left out, first line 13 of "
        f"{tmp_path / 'labels/train/a.txt'}: class 9 is none of the 1",
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("cat .5 .5 .5 .5", "'cat .5 .5 .5 .5' is not numbers"),
        ("0 .5 .5 .5", "it has 4 numbers"),
        ("0 .5 .5 .5 .5 .9", "it has 6 numbers"),
        ("0 .5 .5 .5 nan", "nan is no share of a side"),
        ("0 320 240 50 60", "320 is no share of a side"),
        ("-1 .5 .5 .5 .5", "class -1 is none of the 2"),
        ("0.5 .5 .5 .5 .5", "class 0.5 is none of the 2"),
        ("nan .5 .5 .5 .5", "class nan is none of the 2"),
        ("\x00\ufffd", "is not numbers"),
    ],
)
def test_too_many_wrong_rows(tmp_path: Path, row: str, reason: str):
    yolo(tmp_path, rows="0 .5 .5 .5 .5\n" + row)
    write(tmp_path / "data.yaml", "train: images/train\nnames: [cat, dog]")
    with pytest.raises(DataError) as error:
        read(tmp_path)
    label_file = tmp_path / "labels/train/a.txt"
    assert error.value.given.startswith(f"1 of 2 rows are wrong, first line 2 of {label_file}: ")
    assert error.value.given.endswith(reason)
    assert error.value.expected == (
        "class, centre x, centre y, width and height, each but the first a share, 0 to 1"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: [", "line [0-9] of .* is not YAML: "),
        ("train: \x07", "is not YAML: "),
        ("train: a", "has no names"),
        ("names: [a]", "names no images"),
        ("names: [a]\ntrain: 3", "train of .* is 3"),
        ("names: [a]\ntrain: [images/train, 3]", "train of .* is "),
        ("names: []\ntrain: images/train", "names no classes"),
        ("names: cat\ntrain: images/train", "names of .* is 'cat'"),
        ("names: [a, b, a]\ntrain: images/train", "names a twice"),
        ("names: {a: 1}\ntrain: images/train", "names of .* has 'a'\n"),
        ("names: [yes, no]\ntrain: images/train", r"class 0 of .* is True\n(.|\n)*in quotes"),
        ("names: [a, ]\ntrain: images/bare", "none of 1 images has a label file, such as "),
    ],
)
def test_yaml_of_other_kinds(tmp_path: Path, text: str, words: str):
    yolo(tmp_path)
    photo(tmp_path / "images/bare/a.jpg")
    with pytest.raises(DataError, match=words):
        read(write(tmp_path / "other/data.yaml", f"path: {tmp_path}\n{text}"))


# Pascal VOC


def voc(
    path: Path, *things: tuple[Any, ...], size: tuple[int, int] | None = (HEIGHT, WIDTH)
) -> Path:
    """Write an XML file; things are name, corners and, where it is, "difficult"."""
    objects = "".join(
        f"<object><name>{name}</name><difficult>{len(more)}</difficult><bndbox>"
        f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
        "</bndbox></object>"
        for name, left, top, right, bottom, *more in things
    )
    sides = f"<size><width>{size[1]}</width><height>{size[0]}</height></size>" if size else ""
    return write(path, f"<annotation>{sides}{objects}</annotation>")


def test_voc_corners_difficult_and_lists(tmp_path: Path):
    for name, part in (("a", "train"), ("b", "val"), ("c", "")):
        photo(tmp_path / f"JPEGImages/{name}.JPG")
        voc(
            tmp_path / f"Annotations/{name}.xml",
            ("cat", 1, 1, 60, 40),
            ("dog", 11, 6, 20, 20, "difficult"),
        )
        if part:
            write(tmp_path / f"ImageSets/Main/{part}.txt", f"{name}\n")
    listing = read(tmp_path)
    assert sorted(map(str, splits(listing))) == ["train", "val"]
    assert found(listing, "train") == {
        "JPEGImages/a.JPG": [("cat", 0, 0, 60, 40), ("dog", 10, 5, 20, 20, "ignored")]
    }
    assert listing.notes == ()


def test_roboflow_as_voc(tmp_path: Path):
    for part in ("train", "valid"):
        photo(tmp_path / part / "a.jpg")
        voc(tmp_path / part / "a.xml", ("cat", 1, 1, 60, 40))
    listing = read(tmp_path)
    assert sorted(map(str, splits(listing))) == ["train", "val"]
    assert found(listing, "val") == {"valid/a.jpg": [("cat", 0, 0, 60, 40)]}


def test_voc_images_without_xml_are_told(tmp_path: Path):
    for name in "abc":
        photo(tmp_path / "train" / f"{name}.jpg")
    voc(tmp_path / "train" / "b.xml", ("cat", 1, 1, 60, 40))
    assert read(tmp_path).notes == (
        "train: 2 images have no XML file and are left out: a.jpg, c.jpg",
    )


# What is odd about boxes, whichever format they come from


def test_odd_boxes_are_mended_and_told(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "b.jpg")
    voc(
        tmp_path / "a.xml",
        ("cat", 1, 1, 20, 20),
        ("cat", 1, 1, 20, 20),
        ("dog", 1, 1, 20, 20),
        ("cat", 31, 11, 31, 11),
        ("cat", 11, 11, 20, 5),
        ("cat", 51, 21, 90, 30),
        ("cat", 71, 21, 90, 30),
        ("cat", 51, 31, 61, 40),
        ("cat", "inf", 1, "inf", 20),
    )
    voc(tmp_path / "b.xml", ("cat", 101, 1, 150, 40))
    listing = read(tmp_path)
    assert found(listing) == {
        "a.jpg": [
            ("cat", 0, 0, 20, 20),
            ("dog", 0, 0, 20, 20),
            ("cat", 50, 20, 60, 30),
            ("cat", 50, 30, 60, 40),
        ],
        "b.jpg": [],
    }
    assert sorted(listing.notes) == [
        "1 box is drawn twice and counts once: a.jpg",
        "1 box reaches out of its image and is cut off: a.jpg",
        f"{EMPTY}b.jpg",
        "2 boxes lie outside their images and are left out: a.jpg, b.jpg",
        "3 boxes are at most a pixel wide or high and are left out: a.jpg",
    ]


def test_labels_for_another_size_are_scaled(tmp_path: Path):
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "b.jpg")
    things = [thing(1, 1, [20, 20, 40, 40]), thing(2, 1, [20, 20, 40, 20])]
    sizes = (HEIGHT * 2, WIDTH * 2), None
    images = [image(number + 1, f"{'ab'[number]}.jpg", sizes[number]) for number in (0, 1)]
    coco(tmp_path / "labels.json", images, things, ["cat"])
    listing = read(tmp_path)
    assert found(listing) == {
        "a.jpg": [("cat", 10, 10, 30, 30)],
        "b.jpg": [("cat", 20, 20, 60, 40)],
    }
    assert listing.notes == (
        "1 image is of another size than its labels say, so its boxes are scaled: a.jpg",
    )


def test_an_image_that_cannot_be_read_stays_listed(tmp_path: Path):
    write(tmp_path / "a.jpg", "no image")
    write(tmp_path / "b.jpg", "no image")
    things = [thing(1, 1, [20, 20, 30, 10]), thing(2, 1, [20, 20, 30, 10])]
    images = [image(1, "a.jpg"), image(2, "b.jpg", None)]
    coco(tmp_path / "labels.json", images, things, ["cat"])
    listing = read(tmp_path)
    assert found(listing) == {"a.jpg": [("cat", 20, 20, 50, 30)], "b.jpg": []}
    assert listing.notes == ()


# EXIF

UPRIGHT_BOX = (5, 10, 15, 40)
TURNED = (
    "1 image is turned by its EXIF and was labelled before that, so its boxes are turned with it"
)
UNSURE = (
    "1 image is turned by its EXIF, and its labels do not tell whether they were drawn after that, "
    "as is assumed"
)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("drawn_on", ["stored", "upright"])
@pytest.mark.parametrize("kind", ["coco", "voc"])
def test_labels_of_an_image_on_its_side(tmp_path: Path, orientation: int, drawn_on: str, kind: str):
    photo(tmp_path / "a.jpg", (HEIGHT, WIDTH), orientation)
    size, box = (WIDTH, HEIGHT), UPRIGHT_BOX
    if drawn_on == "stored":
        box = stored_box(box, size, orientation)
        size = (HEIGHT, WIDTH)
    left, top, right, bottom = map(int, box)
    if kind == "coco":
        things = [thing(1, 1, [left, top, right - left, bottom - top])]
        coco(tmp_path / "labels.json", [image(1, "a.jpg", size)], things, ["cat"])
    else:
        voc(tmp_path / "a.xml", ("cat", left + 1, top + 1, right, bottom), size=size)
    listing = read(tmp_path)
    assert found(listing) == {"a.jpg": [("cat", *UPRIGHT_BOX)]}
    assert listing.notes == ((f"{TURNED}: a.jpg",) if drawn_on == "stored" else ())


def test_where_labels_do_not_tell_they_are_for_the_upright_image(tmp_path: Path):
    photo(tmp_path / "images/a.jpg", (HEIGHT, WIDTH), 6)
    write(tmp_path / "labels/a.txt", "0 .25 .5 .5 .5")
    listing = read(tmp_path)
    assert found(listing) == {"images/a.jpg": [("0", 0, 15, 20, 45)]}
    assert listing.notes == (f"{UNSURE}: a.jpg",)


@pytest.mark.parametrize(
    ("stored", "stated"),
    [((HEIGHT, WIDTH), (HEIGHT, WIDTH)), ((HEIGHT, WIDTH), None), ((WIDTH, WIDTH), (WIDTH, WIDTH))],
)
def test_a_half_turn_and_a_square_do_not_tell(
    tmp_path: Path, stored: tuple[int, int], stated: tuple[int, int] | None
):
    photo(tmp_path / "a.jpg", stored, 8 if stored[0] == stored[1] else 3)
    things = [thing(1, 1, [0, 0, 9, 9])]
    coco(tmp_path / "labels.json", [image(1, "a.jpg", stated)], things, ["cat"])
    listing = read(tmp_path)
    assert found(listing) == {"a.jpg": [("cat", 0, 0, 9, 9)]}
    assert listing.notes == (f"{UNSURE}: a.jpg",)


def test_an_image_on_its_side_without_things_is_no_matter(tmp_path: Path):
    photo(tmp_path / "a.jpg", orientation=6)
    coco(tmp_path / "labels.json", [image(1, "a.jpg")], [], ["cat"])
    assert read(tmp_path).notes == (f"{EMPTY}a.jpg", "1 of 1 classes has no box: cat")


# Real data


def test_bccd(shared_data: Path):
    data = load_splits(shared_data / "bccd_voc", labels="boxes")
    assert (len(data.train), len(data.val)) == (205, 87)
    assert data.train.class_names == ("Platelets", "RBC", "WBC")
    assert data.train.class_counts() == {"Platelets": 209, "RBC": 2381, "WBC": 214}
    assert data.notes == (
        "train: 1 box is at most a pixel wide or high and is left out: BloodImage_00343.jpg",
        "val: 1 box is at most a pixel wide or high and is left out: BloodImage_00338.jpg",
    )


def test_coco128_says_the_same_as_coco_and_as_yolo(shared_data: Path):
    """The same 929 boxes to a hundredth of a pixel; the JSON file has ten crowds more."""
    as_coco = load_split(shared_data / "coco128", "all", labels="boxes")
    as_yolo = load_split(shared_data / "coco128/detection.yaml", "all", labels="boxes")
    assert len(as_coco) == len(as_yolo) == 128
    assert as_coco.class_names == as_yolo.class_names
    assert sum(int(sample.target.ignored.sum()) for sample in as_coco.samples) == 10
    assert sum(len(sample.target.boxes) for sample in as_yolo.samples) == 929
    by_name = {as_yolo.name_of(sample): sample.target for sample in as_yolo.samples}
    for sample in as_coco.samples:
        other, counts = by_name[as_coco.name_of(sample)], ~sample.target.ignored
        ours = rows(sample.target.classes[counts], sample.target.boxes[counts])
        theirs = rows(other.classes, other.boxes)
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max(initial=0) < 0.01


def rows(classes: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Class and corners, in the order of these; rounded, so that the last bit decides nothing."""
    both = np.concatenate([classes[:, None], boxes], axis=1)
    return both[np.lexsort(both.round(1).T[::-1])]


def test_coco128_holds_the_same_images_out_whichever_way_it_is_given(shared_data: Path):
    root = shared_data / "coco128"
    sources = (root, root / "annotations/instances_train2017.json", root / "detection.yaml")
    all_splits = [load_splits(source, labels="boxes") for source in sources]
    held = [[data.val.name_of(sample) for sample in data.val.samples] for data in all_splits]
    assert sorted(held[0]) == sorted(held[1]) == sorted(held[2])
    assert all_splits[2].notes[0] == (
        "val of detection.yaml leads to no image and is left out: images/val2017"
    )
