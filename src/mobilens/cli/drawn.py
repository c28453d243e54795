"""Answers drawn on their images, in a folder."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilens.cli.terminal import say
from mobilens.errors import ImageError, UsageError

if TYPE_CHECKING:
    from mobilens.vision.files import FileResult
    from mobilens.vision.predictor import Pixels
    from mobilens.vision.tasks import VisionTask

# Written as they came: PNG would make them several times as large.
JPEG_SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif"))
JPEG_QUALITY = 92


class Drawings:
    """A folder that drawn answers go to; nothing that is there is written over.

    Attributes:
        folder: It is made where it is not there.
        count: How many were written.
    """

    def __init__(self, folder: Path, sources: Iterable[str]) -> None:
        """Make the folder.

        Args:
            folder: Where drawn images go.
            sources: Images, folders and patterns that are answered.

        Raises:
            UsageError: It is a file, or cannot be made.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
            raise UsageError(
                f"--draw {folder} cannot be made: {reason}", expected="a folder, new or not"
            ) from None
        self.folder = folder
        self.count = 0
        self._home = os.path.realpath(folder)
        self._within = any(self._is_below(source) for source in sources)
        self._names: Counter[str] = Counter()
        self._written: set[str] = set()

    def others(self, paths: Iterable[str]) -> Iterator[str]:
        """Leave out what was drawn: by this run and, in a folder that is answered, by others."""
        for path in paths:
            here, name = os.path.split(os.path.realpath(path))
            if here != self._home or not (self._within or name in self._written):
                yield path

    def drawer(self, vision: VisionTask, show: dict[str, Any]) -> Callable[[FileResult], None]:
        """Give what draws an answer on its image and writes it; one without an answer is skipped.

        Args:
            vision: What the task does with answers.
            show: How much of each answer.
        """
        from mobilens.vision.image import decode_image

        def draw(result: FileResult) -> None:
            if result.prediction is None:
                return
            try:
                image = decode_image(result.path)
            except ImageError as error:  # it was readable a moment ago
                say(f"not drawn: {error.given}")
                return
            self.save(result.path, vision.draw(image, result.prediction, **show))

        return draw

    def save(self, path: str, image: Pixels) -> None:
        """Write an image under the name of the one that it was drawn on.

        A name that is taken gets a number.

        Args:
            path: The image that was answered.
            image: (height, width, 3), RGB, uint8.
        """
        from PIL import Image

        from mobilens.atomic import written

        stem, suffix = os.path.splitext(os.path.basename(path))  # noqa: PTH119, PTH122 (any name)
        is_jpeg = suffix.lower() in JPEG_SUFFIXES
        free = self._free(stem, ".jpg" if is_jpeg else ".png")
        with written(free) as temporary:
            if is_jpeg:
                Image.fromarray(image).save(temporary, format="JPEG", quality=JPEG_QUALITY)
            else:
                Image.fromarray(image).save(temporary, format="PNG")
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
