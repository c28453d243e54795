"""An album on disk: vectors of photos, and which photo each is of.

A folder with two files. ``index.json`` names the photos, each with the hash of its content, the
model and the file of vectors; that one bears its own hash in its name. Vectors are written first,
then ``index.json`` changes in one step: whatever ends a run leaves the old album whole, or the new.

Photos and the model are named by their way from the folder, so that all may move together.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mobilens.album.vectors import Vectors
from mobilens.atomic import remove_leftovers, written
from mobilens.errors import DataError, SpecError, UsageError
from mobilens.spec import codec

FORMAT = 1
INDEX = "index.json"
EXPECTED = "a folder that mobilens index wrote"
AGAIN = "mobilens index PHOTOS --model FILE --out {folder}, after deleting it"


@dataclass(frozen=True)
class AlbumModel:
    """The model file that gave the vectors.

    Attributes:
        name: Its way from the folder.
        sha256: Hash of the file; of a folder, of its main file.
        threshold: Similarity from which on two photos are of the same one, where the file says so.
    """

    name: str
    sha256: str
    threshold: float | None = None


@dataclass(frozen=True)
class AlbumContents:
    """What ``index.json`` holds.

    Attributes:
        model: What gave the vectors.
        dimension: How many numbers a vector has.
        vectors: Hash of the file of vectors.
        photos: Hash of each photo's content by its way from the folder; in the order of vectors.
        format: Version of this layout.
    """

    model: AlbumModel
    dimension: int
    vectors: str
    photos: dict[str, str]
    format: int = FORMAT

    @classmethod
    def from_json(cls, value: Any) -> AlbumContents:
        """Build from JSON values.

        Raises:
            DataError: Another format, or a field is missing, unknown or wrong.
        """
        given = value.get("format") if isinstance(value, dict) else None
        if type(given) is int and given > FORMAT:
            raise DataError(
                f"a newer mobilens wrote it (album format {given})",
                expected=f"album format {FORMAT}",
                remedy="pip install --upgrade mobilens",
            )
        try:
            return codec.from_json(cls, value, "the album")
        except SpecError as error:
            raise DataError(error.given, expected=error.expected) from None


@dataclass(frozen=True, eq=False)
class Album:
    """Photos and their vectors.

    Attributes:
        folder: Where it lies.
        model: What gave the vectors.
        photos: Hash of each photo's content by its way from the folder; in the order of vectors.
        vectors: One for each photo.
    """

    folder: Path
    model: AlbumModel
    photos: dict[str, str]
    vectors: Vectors

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Ways of the photos, in the order of vectors."""
        return tuple(self.photos)

    def path_of(self, name: str) -> str:
        """Give the path of a file named by its way: absolute where the folder's own is."""
        path = os.path.normpath(os.path.join(self._root, name))  # noqa: PTH118
        return path if self.folder.is_absolute() else _way(path, os.curdir)

    @cached_property
    def _root(self) -> str:
        return os.path.realpath(self.folder)


def way_from(folder: Path, path: str | Path) -> str:
    """Name a file by its way from a folder, with slashes; in full where there is none.

    Links in the way to the folder are followed, those in the way to the file are not: the way back
    leads through real folders, and the file keeps the name that it was given by.
    """
    return Path(_way(os.path.abspath(path), os.path.realpath(folder))).as_posix()  # noqa: PTH100


def _way(path: str, start: str) -> str:
    try:
        return os.path.relpath(path, start)
    except ValueError:  # another drive of Windows
        return path


def holds_album(folder: Path) -> bool:
    """Whether a folder is an album.

    Raises:
        UsageError: It is a file, or holds something else.
    """
    if not os.path.lexists(folder):
        return False
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file", expected=f"{EXPECTED}, or a new one")
    if (folder / INDEX).is_file():
        return True
    if any(folder.iterdir()):
        raise UsageError(
            f"{folder} holds other files and no {INDEX}", expected=f"{EXPECTED}, or a new one"
        )
    return False


def read_album(folder: Path) -> Album:
    """Read an album; a damaged one is refused.

    Raises:
        UsageError: There is none.
        DataError: A file of it is damaged, missing, or of a newer mobilens.
        MissingExtraError: voyager is not installed.
    """
    if not (folder / INDEX).is_file():
        raise UsageError(
            f"there is no album in {folder}",
            expected=EXPECTED,
            remedy=f"mobilens index PHOTOS --model FILE --out {folder}",
        )
    try:
        contents = AlbumContents.from_json(json.loads((folder / INDEX).read_bytes()))
        vectors = Vectors.from_bytes(_sealed(folder, contents))
        _require_match(vectors, contents)
    except (DataError, ValueError, RecursionError) as error:
        known = error if isinstance(error, DataError) else DataError(f"no JSON: {error}")
        raise DataError(
            f"the album in {folder} cannot be used: {known.given}",
            expected=known.expected or EXPECTED,
            remedy=known.remedy or AGAIN.format(folder=folder),
        ) from None
    return Album(folder, contents.model, contents.photos, vectors)


def _sealed(folder: Path, contents: AlbumContents) -> bytes:
    """Read the file of vectors, once it is as it was written."""
    path = _vectors_file(folder, contents.vectors)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"there is no {path.name}") from None
    if hashlib.sha256(data).hexdigest() != contents.vectors:
        raise DataError(f"{path.name} was changed or cut off")
    return data


def _require_match(vectors: Vectors, contents: AlbumContents) -> None:
    shape = (len(vectors), vectors.length)
    stated = (len(contents.photos), contents.dimension)
    if shape != stated:
        raise DataError(
            f"it has {shape[0]:,} vectors of {shape[1]:,} numbers",
            expected=f"{stated[0]:,} of {stated[1]:,}, as {INDEX} says",
        )


def write_album(album: Album) -> None:
    """Write an album in the place of one that may be there; its folder is made.

    Raises:
        OSError: It cannot be written.
    """
    data = album.vectors.to_bytes()
    seal = hashlib.sha256(data).hexdigest()
    contents = AlbumContents(album.model, album.vectors.length, seal, album.photos)
    # ASCII, because names of files may hold bytes that are no UTF-8.
    text = json.dumps(codec.to_json(contents), indent=1, allow_nan=False)
    album.folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(album.folder / INDEX)
    new = _vectors_file(album.folder, seal)
    with written(new) as temporary:
        temporary.write_bytes(data)
    with written(album.folder / INDEX) as temporary:
        temporary.write_text(text + "\n", encoding="ascii")
    # Hidden ones too: what a run that was killed had begun.
    for pattern in ("vectors-*.voyager", ".vectors-*.voyager"):
        for path in album.folder.glob(pattern):
            if path != new:
                # What is in use on Windows goes next time.
                with contextlib.suppress(OSError):
                    path.unlink()


def _vectors_file(folder: Path, seal: str) -> Path:
    return folder / f"vectors-{seal[:16]}.voyager"
