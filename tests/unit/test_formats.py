"""The lookup, image folders and patterns."""

import os
import unicodedata
from pathlib import Path

import pytest

from mobilens.data.formats import FORMATS, read_source
from mobilens.data.listing import Listing
from mobilens.data.names import relative_name
from mobilens.errors import DataError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def labels(listing: Listing) -> dict[str, str]:
    """File name from the root of its part, to label."""
    return {
        relative_name(path, part.root): label
        for part in listing.parts
        for path, label in part.files
    }


# Lookup


def test_formats_are_listed():
    assert FORMATS["class"] == ("image_folder", "csv_file", "globs")


def test_nothing_there_names_the_nearest(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError) as error:
        read_source(tmp_path / "photo")
    assert str(error.value) == (
        f"there is nothing at {tmp_path / 'photo'}\n"
        "  expected: a folder with one folder of images per class, a CSV file with a path and a "
        "label column, or patterns such as 'cats/*.jpg' 'dogs/*.jpg'\n"
        f"  try: {tmp_path / 'photos'}"
    )


def test_an_archive_or_another_file(tmp_path: Path):
    touch(tmp_path, "photos.zip", "photo.jpg")
    with pytest.raises(DataError, match=r"is an archive\n(.|\n)*try: unpack it and give the folde"):
        read_source(tmp_path / "photos.zip")
    with pytest.raises(DataError, match=r"photo\.jpg is a file"):
        read_source(tmp_path / "photo.jpg")
    with pytest.raises(DataError, match="no data was given"):
        read_source([])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder closed to us")
def test_a_folder_that_cannot_be_listed(tmp_path: Path):
    touch(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "a").chmod(0)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read_source(tmp_path)
    (tmp_path / "a").chmod(0o755)


# Image folder


def test_clutter_is_passed_over(tmp_path: Path):
    touch(tmp_path, "cat/1.jpg", "cat/deep/er/2.PNG", "dog/3.jpeg", "dog/SOURCE.txt", "SOURCE.txt")
    touch(tmp_path, ".DS_Store", ".ipynb_checkpoints/1.jpg", "__MACOSX/cat/._1.jpg", "Thumbs.db")
    touch(tmp_path, "cat/.ipynb_checkpoints/1.jpg", "cat/._1.jpg", "cat/Thumbs.db", "README")
    (tmp_path / "aardvark").mkdir()
    listing = read_source(tmp_path)
    assert labels(listing) == {"cat/1.jpg": "cat", "cat/deep/er/2.PNG": "cat", "dog/3.jpeg": "dog"}
    assert listing.notes == (f"class folders without an image in {tmp_path.name}: aardvark",)


def test_links_are_followed_and_loops_are_not(tmp_path: Path):
    touch(tmp_path / "elsewhere", "5.jpg")
    touch(tmp_path / "data", "cat/1.jpg", "dog/2.jpg")
    (tmp_path / "data/dog/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/cat/loop").symlink_to(tmp_path / "data/cat")
    (tmp_path / "data/cat/up").symlink_to(tmp_path / "data")
    (tmp_path / "data/cat/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = labels(read_source(tmp_path / "data"))
    assert found["dog/more/5.jpg"] == "dog"
    assert found["cat/gone.jpg"] == "cat"
    assert not any("loop" in name or "up" in name for name in found)
    assert len(found) == 4


def test_names_that_differ_in_normal_form_only_clash(tmp_path: Path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    touch(tmp_path, f"{composed}/1.jpg", f"{decomposed}/2.jpg", "tea/1.jpg")
    if len(list(tmp_path.iterdir())) == 2:
        pytest.skip("this file system takes both names for one")
    with pytest.raises(DataError, match="have the same name 'café'"):
        read_source(tmp_path)


def test_labels_are_normalised(tmp_path: Path):
    touch(tmp_path, unicodedata.normalize("NFD", "café") + "/1.jpg", "tea/1.jpg")
    assert {label for _, label in read_source(tmp_path).parts[0].files} == {"café", "tea"}


def test_images_without_class_folders(tmp_path: Path):
    touch(tmp_path, "1.jpg", "2.jpg", "notes.txt")
    with pytest.raises(DataError) as error:
        read_source(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} holds 2 images and no class folders\n"
        "  expected: one folder per class with its images in it\n"
        "  try: move the images into a folder per class, or write a CSV file of path,label"
    )


def test_no_images(tmp_path: Path):
    with pytest.raises(DataError, match="holds no images, and no class folders"):
        read_source(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="holds no images, only empty folders: cat"):
        read_source(tmp_path)
    touch(tmp_path, "cat/1.heic", "cat/2.HEIC")
    with pytest.raises(DataError, match=r"only 2 \.heic\n(.|\n)*try: convert them to JPEG"):
        read_source(tmp_path)


def test_loose_images_and_other_pictures_are_noted(tmp_path: Path):
    touch(tmp_path, "cat/1.jpg", "cat/2.heic", "dog/1.jpg", "loose.jpg")
    assert read_source(tmp_path).notes == (
        f"images in {tmp_path.name} beside the class folders, left out: 1",
        f"files in {tmp_path.name} of kinds that are not read: 1 .heic",
    )


def test_a_folder_around_the_classes_is_named(tmp_path: Path):
    touch(tmp_path, "photos/cat/1.jpg", "photos/dog/2.jpg")
    with pytest.raises(DataError) as error:
        read_source(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} holds one folder, and photos holds cat, dog\n"
        "  expected: one folder per class with its images in it\n"
        f"  try: {tmp_path / 'photos'}"
    )


def test_parts_with_unknown_names_are_noted(tmp_path: Path):
    touch(tmp_path, *(f"{part}/{name}/1.jpg" for part in ("one", "two") for name in "ab"))
    assert read_source(tmp_path).notes == (
        "one, two were taken for classes, but hold folders of the same names (a, b); "
        "if they are parts of the data, name them train and val",
    )


def test_a_class_called_train(tmp_path: Path):
    touch(tmp_path, "train/1.jpg", "bus/2.jpg", "car/3.jpg")
    assert set(labels(read_source(tmp_path)).values()) == {"train", "bus", "car"}


def test_a_folder_beside_train_and_val(tmp_path: Path):
    touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "raw/a/9.jpg")
    listing = read_source(tmp_path)
    assert [part.split for part in listing.parts] == ["train"]
    assert listing.notes == ("left out, since it is no part of the split: raw",)


def test_classes_beside_val_without_train(tmp_path: Path):
    touch(tmp_path, "cat/1.jpg", "dog/2.jpg", "val/cat/3.jpg")
    with pytest.raises(DataError, match="holds val beside cat, dog, and no train"):
        read_source(tmp_path)


def test_a_test_folder_without_labels_is_left_out(tmp_path: Path):
    touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "test/3.jpg")
    listing = read_source(tmp_path)
    assert [part.split for part in listing.parts] == ["train"]
    assert listing.notes == ("test holds no class folders with images: left out",)


def test_an_empty_validation_folder_is_none(tmp_path: Path):
    touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "valid/a/3.jpg", "valid/b/3.jpg")
    (tmp_path / "val").mkdir()
    assert read_source(tmp_path).parts[1].root.name == "valid"


def test_a_validation_folder_without_class_folders(tmp_path: Path):
    touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/3.jpg")
    with pytest.raises(DataError, match="val holds 1 images and no class folders"):
        read_source(tmp_path)


def test_two_validation_folders(tmp_path: Path):
    touch(
        tmp_path, *(f"{part}/{name}/1.jpg" for part in ("train", "valid", "val") for name in "ab")
    )
    assert read_source(tmp_path).notes == ("val is used and valid is not",)


# Patterns


@pytest.fixture
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    touch(tmp_path, "cats/1.jpg", "cats/.2.jpg", "cats/notes.txt", "dogs/3.png", "dogs/big/4.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("animals")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (["cats/*", "dogs/*.png"], {"cats/1.jpg": "cats", "dogs/3.png": "dogs"}),
        (
            ["cats/*.jpg", "dogs/**/*.png"],
            {"cats/1.jpg": "cats", "dogs/3.png": "dogs", "dogs/big/4.png": "dogs"},
        ),
        (
            ["cats", "dogs/"],
            {"cats/1.jpg": "cats", "dogs/3.png": "dogs", "dogs/big/4.png": "dogs"},
        ),
        ("*/*.[jp]*g", {"cats/1.jpg": "cats", "dogs/3.png": "dogs"}),
        ("**", {"cats/1.jpg": "cats", "dogs/3.png": "dogs", "dogs/big/4.png": "big"}),
        ("*/**/*.png", {"dogs/3.png": "dogs", "dogs/big/4.png": "dogs"}),
        (["tom=cats/1.jpg", "rex=dogs/*"], {"cats/1.jpg": "tom", "dogs/3.png": "rex"}),
        (["cats/1.jpg", "dogs/3.png"], {"cats/1.jpg": "cats", "dogs/3.png": "dogs"}),
    ],
)
def test_patterns(source: str | list[str], expected: dict[str, str]):
    assert labels(read_source(source)) == expected


def test_absolute_patterns_name_files_alike(animals: Path):
    assert labels(read_source(f"{animals}/*/*.*")) == labels(read_source("*/*.*"))


def test_parts_of_the_data_are_no_classes(tmp_path: Path):
    touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/b/4.jpg")
    with pytest.raises(DataError) as error:
        read_source([str(tmp_path / "train"), str(tmp_path / "val")])
    assert str(error.value) == (
        "train, val would be the classes, but are names of parts of the data\n"
        "  expected: patterns or folders of classes\n"
        "  try: give the folder that holds these"
    )
    listing = read_source([f"{tmp_path}/*/*/*.jpg"])
    assert listing.notes == (
        "images of train, val are put together, since patterns do not divide: give the folder "
        "around them to keep these parts",
    )
    assert read_source([f"{tmp_path}/train/*/*.jpg"]).notes == ()


def test_a_label_without_a_pattern_is_refused(tmp_path: Path):
    touch(tmp_path, "a/1.jpg")
    with pytest.raises(DataError, match="no image matches 'x='"):
        read_source(["x=", str(tmp_path / "a")])


def test_a_folder_around_the_parts_is_named(tmp_path: Path):
    touch(tmp_path, "images/train/a/1.jpg", "images/train/b/2.jpg")
    with pytest.raises(DataError) as error:
        read_source(tmp_path)
    assert error.value.given == f"{tmp_path} holds one folder, and images holds train"
    assert error.value.remedy == str(tmp_path / "images")


def test_folders_in_a_list_say_what_is_not_read(animals: Path):
    touch(animals, "cats/9.heic", "dogs/8.HEIC", "dogs/big/7.mp4")
    listing = read_source([str(animals / "cats"), str(animals / "dogs")])
    assert listing.notes == ("files of kinds that are not read: 2 .heic, 1 .mp4",)


@pytest.mark.usefixtures("animals")
def test_patterns_do_not_follow_loops(animals: Path):
    (animals / "dogs/loop").symlink_to(animals / "dogs")
    assert len(labels(read_source(["cats/*", "dogs/**/*.png"]))) == 3


@pytest.mark.usefixtures("animals")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["cats/*.png", "dogs/*.png"], r"no image matches 'cats/\*\.png'"),
        (["cats/*.jpg", "x=cats/1.jpg"], "gets two labels: 'cats' and, by 'x=cats/1.jpg', 'x'"),
        ("**/a/**/*.jpg", "holds \\*\\* twice"),
    ],
)
def test_patterns_that_cannot_be_used(source: str | list[str], message: str):
    with pytest.raises(DataError, match=message):
        read_source(source)


def test_class_folders_of_files_with_other_endings_are_named(tmp_path: Path):
    touch(tmp_path, "cat/a.jpg", "dog/b.jfif", "eel/c.jpg", "fox/photo")
    listing = read_source(tmp_path)
    assert set(labels(listing).values()) == {"cat", "dog", "eel"}
    assert listing.notes == (
        f"class folders without an image in {tmp_path.name}: fox",
        "of these, some hold files whose endings are no image's: fox 1; "
        "rename what are photos, such as to .jpg",
    )


def test_an_empty_name_is_not_the_current_folder():
    with pytest.raises(DataError, match="an empty name was given for the data"):
        read_source("")
