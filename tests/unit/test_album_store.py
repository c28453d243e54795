"""An album on disk: whole or not at all, found again after a move, never trusted when damaged."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilens.album import store
from mobilens.album.store import Album, AlbumModel, holds_album, read_album, way_from, write_album
from mobilens.album.vectors import Vectors
from mobilens.errors import DataError, MissingExtraError, UsageError

MODEL = AlbumModel("../face.onnx", "ab" * 32, 0.4)


def unit(rows: int, seed: int = 0, length: int = 16) -> Any:
    vectors = np.random.default_rng(seed).normal(size=(rows, length)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def album_in(folder: Path, count: int = 5, seed: int = 0) -> Album:
    photos = {f"../photos/{number}.jpg": f"{number}" * 64 for number in range(count)}
    album = Album(folder, MODEL, photos, Vectors.of(unit(count, seed)))
    write_album(album)
    return album


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = album_in(tmp_path / "deep" / "album")
    read = read_album(tmp_path / "deep" / "album")
    assert (read.model, read.photos) == (written.model, written.photos)
    assert np.array_equal(read.vectors.rows, unit(5))
    assert (len(read.vectors), read.vectors.length) == (5, 16)
    assert read.path_of(read.names[3]) == str(tmp_path / "deep" / "photos" / "3.jpg")


def test_another_takes_its_place_and_leaves_nothing(tmp_path: Path) -> None:
    album_in(tmp_path)
    (tmp_path / ".vectors-1.9-9.tmp.voyager").touch()
    album_in(tmp_path, count=3, seed=1)
    assert np.array_equal(read_album(tmp_path).vectors.rows, unit(3, 1))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".voyager"]


@pytest.mark.parametrize("stage", ["vectors", "names"])
def test_a_stop_at_any_moment_leaves_the_old_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    album_in(tmp_path)
    plain = store.written

    def stopped(path: Path) -> Any:
        if (path.name == store.INDEX) == (stage == "names"):
            raise KeyboardInterrupt
        return plain(path)

    monkeypatch.setattr(store, "written", stopped)
    with pytest.raises(KeyboardInterrupt):
        album_in(tmp_path, count=3, seed=1)
    assert np.array_equal(read_album(tmp_path).vectors.rows, unit(5))


def test_paths_are_relative_where_the_folder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    album = album_in(Path("album"), count=1)
    assert album.path_of(album.names[0]) == str(Path("photos") / "0.jpg")
    assert way_from(Path("album"), "photos/0.jpg") == "../photos/0.jpg"
    assert way_from(Path("album"), tmp_path / "x y.jpg") == "../../x y.jpg"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_to_the_album_is_the_album(tmp_path: Path) -> None:
    album_in(tmp_path / "far" / "album")
    (tmp_path / "link").symlink_to(tmp_path / "far" / "album")
    album = read_album(tmp_path / "link")
    assert album.path_of(album.names[0]) == str(tmp_path / "far" / "photos" / "0.jpg")
    assert way_from(tmp_path / "link", tmp_path / "far" / "photos" / "0.jpg") == album.names[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"../caf\xe9.jpg")
    write_album(Album(tmp_path, MODEL, {name: "0" * 64}, Vectors.of(unit(1))))
    assert read_album(tmp_path).names == (name,)


def test_what_is_no_album_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_album(tmp_path / "none")
    assert str(refused.value) == (
        f"there is no album in {tmp_path / 'none'}\n"
        "  expected: a folder that mobilens index wrote\n"
        f"  try: mobilens index PHOTOS --model FILE --out {tmp_path / 'none'}"
    )
    assert not holds_album(tmp_path / "none")
    (empty := tmp_path / "empty").mkdir()
    assert not holds_album(empty)
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(UsageError, match=r"holds other files and no index\.json"):
        holds_album(tmp_path)
    with pytest.raises(UsageError, match=r"photo\.jpg is a file"):
        holds_album(tmp_path / "photo.jpg")


def change(folder: Path, **fields: Any) -> None:
    value = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(value | fields))


def flip(folder: Path) -> None:
    (path,) = folder.glob("vectors-*")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "index.json").write_text("{"), "no JSON: "),
        (lambda folder: (folder / "index.json").write_bytes(b"\xff"), "no JSON: "),
        (lambda folder: (folder / "index.json").write_text("[]"), "the album is []"),
        (lambda folder: change(folder, photos=3), "the album, photos is 3"),
        (lambda folder: change(folder, photos={"a": "0"}), "it has 5 vectors of 16 numbers"),
        (lambda folder: change(folder, dimension=3), "it has 5 vectors of 16 numbers"),
        (lambda folder: change(folder, vectors="0" * 64), "there is no vectors-0000000000000000"),
        (flip, "was changed or cut off"),
    ],
)
def test_a_damaged_album_is_refused(tmp_path: Path, damage: Any, words: str) -> None:
    album_in(tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError) as refused:
        read_album(tmp_path)
    assert refused.value.given.startswith(f"the album in {tmp_path} cannot be used: ")
    assert words in refused.value.given
    assert "mobilens index PHOTOS" in refused.value.remedy


def test_a_newer_album_says_so(tmp_path: Path) -> None:
    album_in(tmp_path)
    change(tmp_path, format=2)
    with pytest.raises(DataError) as refused:
        read_album(tmp_path)
    assert "a newer mobilens wrote it (album format 2)" in refused.value.given
    assert refused.value.remedy == "pip install --upgrade mobilens"


def test_vectors_that_are_none_are_refused() -> None:
    whole = Vectors.of(unit(50)).to_bytes()
    for data in (b"", b"no vectors", whole[:-4], whole[: len(whole) // 2]):
        with pytest.raises(DataError, match="the vectors cannot be read: "):
            Vectors.from_bytes(data)


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    album_in(tmp_path)
    monkeypatch.setitem(sys.modules, "voyager", None)
    with pytest.raises(MissingExtraError) as refused:
        read_album(tmp_path)
    assert str(refused.value) == (
        "an album needs voyager, which is not installed\n  try: pip install 'mobilens[search]'"
    )


def test_all_of_it_may_move(tmp_path: Path) -> None:
    album_in(tmp_path / "old" / "album")
    shutil.move(tmp_path / "old", tmp_path / "new")
    album = read_album(tmp_path / "new" / "album")
    assert album.path_of(album.names[0]) == str(tmp_path / "new" / "photos" / "0.jpg")
    assert album.path_of(album.model.name) == str(tmp_path / "new" / "face.onnx")
