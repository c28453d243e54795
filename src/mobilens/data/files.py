"""Image files below a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mobilens.data.names import is_hidden
from mobilens.vision.image import IMAGE_SUFFIXES

# Pictures that are not read: worth a word, where a text file beside the photos is not.
UNREAD_PICTURES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".svg", ".psd", ".ico", ".tga", ".exr"}
    | {".hdr", ".pdf", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"}
    | {".mp4", ".mov", ".avi", ".mkv", ".webm"}
)
# What people and programs leave beside photos.
NOTES = frozenset({".txt", ".md", ".json", ".xml", ".csv", ".html", ".db", ".ini", ".log", ".url"})


@dataclass
class Found:
    """Files below a folder.

    Attributes:
        images: Files whose suffix is that of an image that is read.
        unread: Count of pictures of other kinds, by suffix.
        others: Count of all other files, notes aside.
    """

    images: list[Path] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    others: int = 0


def has_image_suffix(name: str) -> bool:
    """Whether a file of this name is taken for an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 (a million names)


def find_images(folder: Path, *, recursive: bool = True) -> Found:
    """Find the images of a folder, in no particular order.

    Hidden names are passed over, links are followed, but not to a folder that the link is in, at
    any depth. A broken link counts as a file: it is named where it cannot be read.

    Raises:
        OSError: The folder cannot be listed.
    """
    found = Found()
    above = {*folder.absolute().parents, *folder.resolve().parents}
    for path in _walk(folder, frozenset(map(_identity, above)), recursive):
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            found.images.append(path)
        elif suffix in UNREAD_PICTURES:
            found.unread[suffix] += 1
        elif suffix not in NOTES:
            found.others += 1
    return found


def kinds(unread: Counter[str]) -> str:
    """Name pictures of kinds that are not read: ``"3 .heic, 1 .psd"``."""
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(unread.items()))


def visible_folders(folder: Path) -> list[Path]:
    """Folders in a folder that are not hidden, in the order of their names' characters."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir()]
    return [folder / name for name in sorted(names)]


def common_folder(folders: Iterable[Path]) -> Path:
    """The deepest folder that holds all of ``folders``; the current one where there is none.

    Args:
        folders: One or more; links are not resolved.
    """
    absolute = {os.path.abspath(folder) for folder in folders}  # noqa: PTH100 (links stay)
    try:
        return Path(os.path.relpath(os.path.commonpath(absolute)))
    except ValueError:  # other drives of Windows
        return Path()


def _walk(folder: Path, ancestors: frozenset[tuple[int, int]], recursive: bool) -> Iterator[Path]:
    identity = _identity(folder)
    if identity in ancestors:
        return
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                folders.append(folder / entry.name)
            elif entry.is_file() or entry.is_symlink():
                yield folder / entry.name
    for inner in folders if recursive else ():
        yield from _walk(inner, ancestors | {identity}, recursive)


def _identity(folder: Path) -> tuple[int, int]:
    """What tells a folder from others, by whatever link it was reached."""
    status = folder.stat()
    return status.st_dev, status.st_ino
