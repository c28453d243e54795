"""A folder that pictures of answers are written to."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

# Written as they came: PNG would make them several times as large.
JPEG_SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif"))
JPEG_QUALITY = 92


class PictureFolder:
    """A folder that pictures of answers go to; nothing that is there is written over.

    Attributes:
        folder: It is made where it is not there.
        count: How many were written.
    """

    def __init__(self, folder: Path, sources: Iterable[str], option: str) -> None:
        """Make the folder.

        Args:
            folder: Where pictures go.
            sources: Images, folders and patterns that are answered.
            option: What named the folder, such as ``"--draw"``.

        Raises:
            UsageError: It is a file, or cannot be made.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
            raise UsageError(
                f"{option} {folder} cannot be made: {reason}", expected="a folder, new or not"
            ) from None
        self.folder = folder
        self.count = 0
        self._home = os.path.realpath(folder)
        self._within = any(self._is_below(source) for source in sources)
        self._names: Counter[str] = Counter()
        self._written: set[str] = set()

    def others(self, paths: Iterable[str]) -> Iterator[str]:
        """Leave out what was written: by this run and, in a folder that is answered, by others."""
        for path in paths:
            here, name = os.path.split(os.path.realpath(path))
            if here != self._home or not (self._within or name in self._written):
                yield path

    def save(self, path: str, picture: Image.Image) -> None:
        """Write a picture under the name of the image that was answered.

        A name that is taken gets a number. What is drawn on a JPEG is one too; masks, and what
        lets something through, are always PNG, which keeps every value.

        Args:
            path: The image that was answered.
            picture: Of any mode that PNG has.
        """
        from mobilens.atomic import written

        stem, suffix = os.path.splitext(os.path.basename(path))  # noqa: PTH119, PTH122 (any name)
        is_jpeg = picture.mode == "RGB" and suffix.lower() in JPEG_SUFFIXES
        free = self._free(stem, ".jpg" if is_jpeg else ".png")
        with written(free) as temporary:
            if is_jpeg:
                picture.save(temporary, format="JPEG", quality=JPEG_QUALITY)
            else:
                picture.save(temporary, format="PNG")
        self._written.add(free.name)
        self.count += 1

    def _free(self, stem: str, suffix: str) -> Path:
        while True:
            self._names[stem + suffix] += 1
            number = self._names[stem + suffix]
            path = self.folder / f"{stem}{'' if number == 1 else f'-{number}'}{suffix}"
            if not os.path.lexists(path):
                return path

    def _is_below(self, source: str) -> bool:
        """Whether the folder lies in another that is answered."""
        # Of a pattern, the folder that it begins in.
        plain = takewhile(lambda part: not glob.has_magic(part), Path(source).parts)
        outer = os.path.realpath(Path(*plain))
        return outer != self._home and Path(self._home).is_relative_to(outer)
