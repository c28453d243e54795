"""What the arguments of ``mobilens predict`` stand for, as a stream."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from mobilens.cli import image_paths as module
from mobilens.cli.image_paths import image_paths


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    names = ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "inner/c.webp", "inner/deep/d.bmp")
    for name in (*names, ".trash/e.jpg", "empty/readme.md"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "photos"


def below(folder: Path, paths: Iterator[str]) -> list[str]:
    return [Path(path).relative_to(folder).as_posix() for path in paths]


def test_a_folder_gives_its_images_in_order_then_those_of_its_folders(photos: Path) -> None:
    found = below(photos, image_paths([str(photos)], ()))
    assert found == ["a.PNG", "b.jpg", "inner/c.webp", "inner/deep/d.bmp"]


def test_a_file_is_given_whatever_its_name_and_whether_it_is_there(photos: Path) -> None:
    given = [str(photos / "notes.txt"), str(photos / "absent.jpg")]
    assert list(image_paths(given, ())) == given


def test_the_byte_order_mark_of_a_list_is_no_part_of_a_name(photos: Path) -> None:
    lines = [f"\ufeff{photos / 'b.jpg'}\r\n", f"{photos / 'a.PNG'}\r\n"]
    assert below(photos, image_paths(["-"], lines)) == ["b.jpg", "a.PNG"]


def test_a_pattern_gives_what_matches(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert below(photos, image_paths([f"{photos}/*.*"], ())) == ["a.PNG", "b.jpg", "notes.txt"]
    assert below(photos, image_paths([f"{photos}/**/*.webp"], ())) == ["inner/c.webp"]
    assert below(photos, image_paths([f"{photos}/inn[e]r"], ())) == [
        "inner/c.webp",
        "inner/deep/d.bmp",
    ]
    assert not capsys.readouterr().err
    assert list(image_paths([f"{photos}/*.tif"], ())) == []
    assert f"nothing matches {photos}/*.tif" in capsys.readouterr().err


def test_a_file_whose_name_looks_like_a_pattern_is_itself(photos: Path) -> None:
    odd = photos / "[1].jpg"
    odd.touch()
    assert list(image_paths([str(odd)], ())) == [str(odd)]


def test_a_list_gives_files_and_folders(photos: Path) -> None:
    lines = [f"{photos}/b.jpg\n", "\n", f"{photos}/inner\r\n", "with space .jpg"]
    assert list(image_paths(["-"], lines)) == [
        f"{photos}/b.jpg",
        f"{photos}/inner/c.webp",
        f"{photos}/inner/deep/d.bmp",
        "with space .jpg",
    ]


def test_an_empty_folder_is_told(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(image_paths([str(photos / "empty")], ())) == []
    assert f"no image in {photos}/empty" in capsys.readouterr().err


def test_a_list_is_read_only_as_far_as_needed() -> None:
    read = []

    def endless() -> Iterator[str]:
        while True:
            read.append(f"{len(read)}.jpg\n")
            yield read[-1]

    assert list(islice(image_paths(["-"], endless()), 3)) == ["0.jpg", "1.jpg", "2.jpg"]
    assert len(read) == 3


def test_a_huge_folder_is_ordered_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SORTED_AT_ONCE", 10)
    names = {f"{index:03}.jpg" for index in range(95)}
    for name in names:
        (tmp_path / name).touch()
    found = below(tmp_path, image_paths([str(tmp_path)], ()))
    assert set(found) == names
    assert len(found) == 95
    parts = [found[start : start + 10] for start in range(0, 95, 10)]
    assert all(part == sorted(part) for part in parts)


def test_links_are_followed_once(photos: Path) -> None:
    (photos / "inner" / "circle").symlink_to(photos, target_is_directory=True)
    found = below(photos, image_paths([str(photos)], ()))
    assert found == ["a.PNG", "b.jpg", "inner/c.webp", "inner/deep/d.bmp"]


def test_a_folder_that_cannot_be_listed_is_told(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(module.os, "scandir", refuse)
    assert list(image_paths([str(photos)], ())) == []
    assert f"{photos} cannot be listed: Permission denied" in capsys.readouterr().err
