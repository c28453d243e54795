"""Images that a file names, wherever they lie and whatever case their names are in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from mobilens.data.names import clean_name


class ImageFinder:
    """Finds files in one of some folders, whatever case their names are in.

    Args:
        folders: In the order in which they are looked through; each is listed once.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._listed: dict[tuple[Path, str], dict[str, Path]] = {}

    def find(self, names: Sequence[str]) -> Path | None:
        """The first file of one of these names, which may hold folders."""
        for name in names:
            inner, _, last = name.rpartition("/")
            for folder in self._folders:
                files = self._files(folder, inner)
                path = files.get(last) or files.get(_folded(last))
                if path is not None:
                    return path
        return None

    def _files(self, folder: Path, inner: str) -> dict[str, Path]:
        """Files by their names, and by their folded names where these are no file's own."""
        files = self._listed.get((folder, inner))
        if files is None:
            files = self._listed[folder, inner] = {}
            with contextlib.suppress(OSError, ValueError), os.scandir(folder / inner) as entries:
                files |= {entry.name: Path(entry.path) for entry in entries}
            for name in sorted(files):
                files.setdefault(_folded(name), files[name])
        return files


def _folded(name: str) -> str:
    return clean_name(name).casefold()
