"""Tables of points."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobilens.data.dataset import load_split, load_splits
from mobilens.data.formats import points_csv, read_source
from mobilens.data.listing import Listing
from mobilens.data.names import relative_name
from mobilens.errors import DataError
from mobilens.vision.points import region_around

HEIGHT, WIDTH = 40, 60
HEADER = "image,nose_x,nose_y,nose_v,tail_x,tail_y,tail_v"


def photo(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH), orientation: int = 1) -> Path:
    """Write an image whose stored pixels have this (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size[::-1]).save(path, exif=exif)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "images/c.jpg"):
        photo(tmp_path / name)
    return tmp_path


def write(folder: Path, *lines: str, name: str = "points.csv", encoding: str = "utf-8") -> Path:
    table = folder / name
    table.write_bytes("\n".join(lines).encode(encoding))
    return table


def read(source: Path) -> Listing:
    return read_source(source, "points")


def rows(listing: Listing, split: str | None = None) -> list[tuple[Any, ...]]:
    """Of each thing, its image, and name, place, and "hidden" of each labelled point."""
    part = listing.part(split)
    assert part is not None
    return [
        (
            relative_name(path, part.root),
            *(
                (name, *np.round(label.points[k], 2).tolist())
                + (() if label.visible[k] else ("hidden",))
                for k, name in enumerate(label.names)
                if label.labelled[k]
            ),
        )
        for path, label in part.files
    ]


PLAIN = [("a.jpg", ("nose", 1, 2), ("tail", 3.5, 4)), ("images/c.jpg", ("nose", 5, 6))]


@pytest.mark.parametrize(
    "lines",
    [
        ("image,nose_x,nose_y,tail_x,tail_y", "a.jpg,1,2,3.5,4", "c.jpg,5,6,,"),
        ("image;nose_x;nose_y;tail_x;tail_y", "a.jpg;1;2;3.5;4", "", "c.jpg;5;6;nan;NaN"),
        ("nose_y\tnose_x\ttail_x\ttail_y\tfile", "2\t1\t3.5\t4\ta.jpg", "6\t5\t\t8\tc.jpg"),
        ("id,PATH,nose X,nose Y,tail X,tail Y", "7,a.jpg,1,2,3.5,4", "8,images/c.jpg, 5 ,6, ,"),
        ("image,nose.x,nose.y,tail.x,tail.y", "a.jpg,1,2,3.5,4", "images\\c.jpg,5,6,,"),
        ("image,nose-x,nose-y,tail - x,tail - y", "a.jpg,1,2,3.5,4", "./c.jpg,5,6,,"),
        (HEADER, "a.jpg,1,2,1,3.5,4,1", "c.jpg,5,6,1,0,-22.6,0"),
        (HEADER, "a.jpg,1,2,2,3.5,4,2", "c.jpg,5,6,2.0,7,8,"),
        ("camera_v,image,nose_x,nose_y,tail_x,tail_y", "9,a.jpg,1,2,3.5,4", "9,c.jpg,5,6,,"),
    ],
)
def test_headers_and_marks(photos: Path, lines: tuple[str, ...]):
    for name, encoding in (("points.csv", "utf-8"), ("points.tsv", "utf-8-sig")):
        table = write(photos, *lines, name=name, encoding=encoding)
        for source in (table, photos):
            listing = read(source)
            assert rows(listing) == PLAIN
            assert listing.class_names == ("nose", "tail")
            assert listing.labels == "points"
            assert listing.notes == ()
        table.unlink()


def test_hidden_points(photos: Path):
    table = write(photos, HEADER, "a.jpg,1,2,1,3,4,2", "b.jpg,5,6,0,7,8,1")
    assert rows(read(table)) == [
        ("a.jpg", ("nose", 1, 2, "hidden"), ("tail", 3, 4)),
        ("b.jpg", ("tail", 7, 8, "hidden")),
    ]
    # Points without such a column do not say what 1 means.
    header = "image,nose_x,nose_y,tail_x,tail_y,tail_v"
    table = write(photos, header, "a.jpg,1,2,3,4,1")
    assert rows(read(table)) == [("a.jpg", ("nose", 1, 2), ("tail", 3, 4))]


def test_all_of_an_image_is_looked_at(photos: Path):
    table = write(photos, HEADER, "a.jpg,1,2,1,11,22,1", "b.jpg,1,2,1,,,", "c.jpg,9,9,0,,,")
    listing = read(table)
    (_, one), (_, two) = listing.parts[0].files
    assert one.region is two.region is None
    assert one.area == pytest.approx(0.53 * 10 * 20)
    assert two.area == 1
    assert listing.notes == ("1 thing has no labelled point and is left out: c.jpg",)


@pytest.mark.parametrize(
    ("columns", "box"),
    [
        ("left,top,right,bottom", "10,5,30,35"),
        ("XMin,YMin,XMax,YMax", "10,5,30,35"),
        ("box_x,box_y,box_w,box_h", "10,5,20,30"),
        ("box_x,box_y,box_width,box_height", "10,5,20,30"),
    ],
)
def test_boxes(photos: Path, columns: str, box: str):
    table = write(
        photos,
        f"image,nose_x,nose_y,tail_x,tail_y,{columns}",
        f"a.jpg,12,8,28,9,{box}",
        "a.jpg,1,2,30,40,0,0,60,40",
        "b.jpg,12,8,28,18,,,,",
    )
    listing = read(table)
    assert listing.class_names == ("nose", "tail")
    assert [row[0] for row in rows(listing)] == ["a.jpg", "a.jpg", "b.jpg"]
    one, two, three = (label for _, label in listing.parts[0].files)
    assert one.region == region_around((10, 5, 30, 35))
    assert one.area == pytest.approx(0.53 * 20 * 30)
    assert two.region == region_around((0, 0, 60, 40))
    assert three.region == region_around((12, 8, 28, 18))
    assert listing.notes == (
        "1 thing has no box, so what is looked at is what lies around its points: b.jpg",
    )


def test_a_point_called_box(photos: Path):
    table = write(photos, "image,box_x,box_y", "a.jpg,1,2")
    assert rows(read(table)) == [("a.jpg", ("box", 1, 2))]


def test_several_things_need_boxes(photos: Path):
    table = write(photos, HEADER, "a.jpg,1,2,1,3,4,1", "a.jpg,5,6,1,7,8,1")
    with pytest.raises(DataError) as error:
        read(table)
    assert str(error.value) == (
        f"2 rows of {table} name a.jpg, and no columns say where in it each thing is\n"
        "  expected: one row for each image, or a box in each row\n"
        "  try: add columns left, top, right, bottom, or box_x, box_y, box_w, box_h"
    )
    table = write(photos, HEADER, "a.jpg,1,2,1,3,4,1", "a.jpg,1,2,1,3,4,1")
    listing = read(table)
    assert len(rows(listing)) == 1
    assert listing.notes == ("1 thing is listed twice and counts once: a.jpg",)


def test_points_outside_and_points_that_are_nowhere(photos: Path):
    table = write(photos, HEADER, "a.jpg,60,40,1,,,", "b.jpg,-1,2,1,61,4,1", "c.jpg,1,2,1,3,41,1")
    listing = read(table)
    assert rows(listing) == [("a.jpg", ("nose", 60, 40)), ("images/c.jpg", ("nose", 1, 2))]
    assert listing.notes == (
        "3 points lie outside their images and count as not labelled: b.jpg, c.jpg",
        "1 thing has no labelled point and is left out: b.jpg",
        "1 of 2 points is labelled nowhere: tail",
    )


def test_images_that_are_turned(tmp_path: Path):
    photo(tmp_path / "a.jpg", (HEIGHT, WIDTH), 6)
    listing = read(write(tmp_path, "image,nose_x,nose_y", "a.jpg,30,55"))
    assert rows(listing) == [("a.jpg", ("nose", 30, 55))]
    assert listing.notes == (
        "1 image is turned by its EXIF, and its labels do not tell whether they were drawn after "
        "that, as is assumed: a.jpg",
    )


# Files


def test_missing_and_unreadable_files_are_listed(photos: Path):
    (photos / "b.jpg").write_bytes(b"no image")
    lines = ("image,nose_x,nose_y", "a.jpg,1,2", "b.jpg,99,99", "gone.jpg,99,99")
    listing = read(write(photos, *lines))
    assert [row[0] for row in rows(listing)] == ["a.jpg", "b.jpg", "gone.jpg"]
    assert listing.notes == ("1 files that points.csv names do not exist: gone.jpg",)


def test_all_files_missing_says_where_paths_start(photos: Path):
    table = write(photos, "image,nose_x,nose_y", "x/a.jpg,1,2", "x/b.jpg,1,2")
    with pytest.raises(DataError) as error:
        read(table)
    assert str(error.value) == (
        f"none of the 2 files that {table} names exists, such as x/a.jpg\n"
        f"  expected: absolute paths, or paths that start at {photos} or {photos / 'images'}"
    )


def test_nothing_labelled(photos: Path):
    table = write(photos, "image,nose_x,nose_y", "a.jpg,,")
    with pytest.raises(DataError) as error:
        read(table)
    assert str(error.value).startswith(
        f"{table} labels nothing that can be used: 1 thing has no labelled point and is left out: "
        "a.jpg\n  expected: a header with a path column (path, file, "
    )


# Parts


def test_split_column(photos: Path):
    lines = ("image,nose_x,nose_y,split", "a.jpg,1,2,Train", "b.jpg,1,2,valid", "c.jpg,1,2,test")
    listing = read(write(photos, *lines))
    assert [part.split for part in listing.parts] == ["train", "val", "test"]
    assert rows(listing, "val") == [("b.jpg", ("nose", 1, 2))]


@pytest.mark.parametrize("names", [("train", "val"), ("dogs_train", "dogs-validation")])
def test_a_table_for_each_part(photos: Path, names: tuple[str, str]):
    write(photos, "image,nose_x,nose_y,nose_v", "a.jpg,1,2,1", name=f"{names[0]}.csv")
    write(photos, "image,nose_x,nose_y,nose_v", "b.jpg,3,4,2", ",,,", name=f"{names[1]}.CSV")
    write(photos, "image,nose_x,nose_y", "b.jpg,,", "c.jpg,5,6", name="test.tsv")
    write(photos, "image,ear_x,ear_y", "a.jpg,1,2", name="all.csv")
    write(photos, "image,label", "a.jpg,cat", name="train_labels.csv")
    write(photos, "\0\xff", name="odd.csv", encoding="latin-1")
    listing = read(photos)
    assert [part.split for part in listing.parts] == ["train", "val", "test"]
    # One of them tells what 1 means in all.
    assert rows(listing, "train") == [("a.jpg", ("nose", 1, 2, "hidden"))]
    assert rows(listing, "val") == [("b.jpg", ("nose", 3, 4))]
    assert rows(listing, "test") == [("images/c.jpg", ("nose", 5, 6))]
    assert listing.notes == (
        f"{names[0]}.csv, {names[1]}.CSV, test.tsv are used, not all.csv",
        "test: 1 thing has no labelled point and is left out: b.jpg",
    )


def test_several_tables(photos: Path):
    for name in ("one.csv", "two.csv"):
        write(photos, "image,nose_x,nose_y", "a.jpg,1,2", name=name)
    with pytest.raises(DataError) as error:
        read(photos)
    assert str(error.value) == (
        f"{photos} holds several tables of points: one.csv, two.csv\n"
        "  expected: one, or one for each part, such as train.csv and val.csv\n"
        f"  try: give one of them, such as {photos / 'one.csv'}"
    )


def test_tables_with_different_points(photos: Path):
    write(photos, "image,nose_x,nose_y,tail_x,tail_y", "a.jpg,1,2,3,4", name="train.csv")
    write(photos, "image,tail_x,tail_y,nose_x,nose_y", "b.jpg,3,4,1,2", name="val.csv")
    listing = read(photos)
    assert listing.class_names == ("nose", "tail")
    target = load_split(photos, labels="points").samples[0].target
    assert target.points.tolist() == [[1, 2], [3, 4]]
    write(photos, "image,tail_x,tail_y,ear_x,ear_y", "b.jpg,3,4,1,2", name="val.csv")
    with pytest.raises(DataError) as error:
        read(photos)
    assert str(error.value) == (
        "train.csv and val.csv have different points; only in train.csv: nose; only in val.csv: "
        "ear\n  expected: the same names in both"
    )


def test_other_folders_are_not_taken(tmp_path: Path):
    write(tmp_path, "image,label", "a.jpg,cat")
    assert not points_csv.recognises((str(tmp_path),))
    assert not points_csv.recognises((str(tmp_path / "gone"),))
    assert not points_csv.recognises((str(tmp_path), str(tmp_path)))
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} holds no labels of a known form\n"
        "  expected: COCO's JSON with keypoints, or a CSV file with a path column and NAME_x, "
        "NAME_y (and NAME_v: 0 where it is not known) for each point; or the folder that holds it"
    )


# Errors


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "line 1 of {} is ''\n"),
        (("image,label", "a.jpg,cat"), "line 1 of {} is 'image,label'\n"),
        (("nose_x,nose_y", "1,2"), "line 1 of {} is 'nose_x,nose_y'\n"),
        (("image,nose_v", "a.jpg,1"), "line 1 of {} is 'image,nose_v'\n"),
        (("image,nose_x,nose_v", "a.jpg,1,1"), "line 1 of {} has the x of nose and not its y\n"),
        (("image,nose_y", "a.jpg,1"), "line 1 of {} has the y of nose and not its x\n"),
        (
            ("image,nose_x,nose_y,Nose.X", "a.jpg,1,2,3"),
            "line 1 of {} has two columns for the x of Nose: nose_x and Nose.X\n  expected: one",
        ),
        ((HEADER,), "{} names no images\n"),
        ((HEADER, "a.jpg,1,2,1"), "line 2 of {} has 4 columns\n  expected: 7 or more"),
        ((HEADER, " ,1,2,1,1,2,1"), "line 2 of {} has no path\n"),
        (
            (HEADER, "a.jpg,1,left,1,1,2,1"),
            "line 2 of {} has 'left' for nose_y\n"
            "  expected: a number, or nothing where it is not known",
        ),
        ((HEADER, "a.jpg,1,2,1,inf,2,1"), "line 2 of {} has 'inf' for tail_x\n"),
        (
            (HEADER, "a.jpg,1,2,1,1,2,1", "a.jpg,1,2,3,1,2,1"),
            "line 3 of {} has '3' for nose_v\n  expected: 0 for a point that is not labelled, "
            "1 for a hidden one, 2 for a visible one",
        ),
        (("image,nose_x,nose_y,fold", "a.jpg,1,2,7"), "line 2 of {} has the split '7'\n"),
        (
            ("image,nose_x,nose_y,left,top,right,bottom", "a.jpg,1,2,a,1,1,1"),
            "line 2 of {} has 'a' for left\n",
        ),
        (("image,nose_x,nose_y", '"a.jpg"x,1,2'), "line 2 of {} cannot be read"),
    ],
)
def test_errors_name_the_line(photos: Path, lines: tuple[str, ...], message: str):
    table = write(photos, *lines)
    with pytest.raises(DataError) as error:
        read(table)
    assert str(error.value).startswith(message.format(table))


# Real data


def test_lspet(shared_data: Path):
    data = load_splits(shared_data / "lspet_pose", labels="points")
    assert (len(data.train), len(data.val)) == (480, 120)
    assert len(data.train.class_names) == 14
    assert len(data.train.links) == 15
    assert sum(data.train.class_counts().values()) + sum(data.val.class_counts().values()) == 7345
    assert data.notes == (
        "no validation part: 120 of 600 images are held out (20% of each class, chosen by a hash "
        "of the file's name)",
    )
    names = data.train.class_names
    pairs = {
        (names[k], names[other]) for k, other in enumerate(data.train.samples[0].target.mirrored)
    }
    assert ("left_wrist", "right_wrist") in pairs
    assert ("neck", "neck") in pairs
    assert all(sample.region is None for sample in data.val.samples)
    table = load_split(shared_data / "lspet_pose/joints.csv", "all", labels="points")
    assert len(table) == 600
