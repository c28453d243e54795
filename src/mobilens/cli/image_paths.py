"""Files, folders, patterns and lists of files become a stream of paths, however many there are."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from mobilens.cli.terminal import say
from mobilens.data.files import has_image_suffix
from mobilens.data.names import is_hidden

T = TypeVar("T", str, "os.DirEntry[str]")

# Names of a folder are put in order as far as this; beyond, memory would grow with the folder.
SORTED_AT_ONCE = 10_000


def image_paths(sources: Iterable[str], listed: Iterable[str]) -> Iterator[str]:
    """Give the paths that arguments stand for, one by one.

    A file is given whatever its name; folders give their images, those in inner folders too;
    what does not exist but is a pattern gives the files that match; ``-`` stands for ``listed``.

    Args:
        sources: Arguments.
        listed: Lines with one file or folder each; read only as far as needed.

    Yields:
        Paths as they were given, or below what was given. What does not exist is given as well,
        so that it gets its row.
    """
    for source in sources:
        if source == "-":
            for number, line in enumerate(listed):
                # Lists written on Windows begin with a byte order mark.
                text = line.removeprefix("\ufeff") if number == 0 else line
                if name := text.rstrip("\r\n"):
                    yield from _path(name)
        elif glob.has_magic(source) and not os.path.lexists(source):
            yield from _matches(source)
        else:
            yield from _path(source)


def _path(path: str) -> Iterator[str]:
    if os.path.isdir(path):  # noqa: PTH112 (a million paths)
        empty = True
        for file in _walk(path, frozenset()):
            empty = False
            yield file
        if empty:
            say(f"no image in {path}")
    else:
        yield path


def _matches(pattern: str) -> Iterator[str]:
    none = True
    for path in _in_order(glob.iglob(pattern, recursive=True)):  # noqa: PTH207 (paths as given)
        none = False
        yield from _path(path)
    if none:
        say(f"nothing matches {pattern}")


def _walk(folder: str, ancestors: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Give the images of a folder, then those of its folders; a circle of links is cut."""
    inner: list[str] = []
    try:
        status = os.stat(folder)  # noqa: PTH116 (the identity of what a link leads to)
        identity = (status.st_dev, status.st_ino)
        if identity in ancestors:
            return
        with os.scandir(folder) as entries:
            for entry in _in_order(entries):
                if is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    inner.append(entry.path)
                elif has_image_suffix(entry.name):
                    yield entry.path
    except OSError as error:
        say(f"{folder} cannot be listed: {error.strerror}")
        return
    for path in inner:
        yield from _walk(path, ancestors | {identity})


def _in_order(items: Iterator[T]) -> Iterator[T]:
    while part := list(islice(items, SORTED_AT_ONCE)):
        yield from sorted(part, key=os.fspath)
