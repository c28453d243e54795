"""Decoded images, held ready for training: each file is read once a run."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilens.cores import usable_cores
from mobilens.data.dataset import Dataset, Sample, SkippedFile
from mobilens.errors import ImageError
from mobilens.observer import SILENT, Observer
from mobilens.vision.image import Placed, Region
from mobilens.vision.resize import Placement

# Above this, pixels live in a file that the system pages in and out.
MEMORY_LIMIT = 4 * 2**30
_LOOK_AHEAD = 64


class PixelCache:
    """The images of a data set, uint8, each of its own size.

    Attributes:
        dataset: The images that decode, in order.
        skipped: Those that do not.
        placements: Where in its image each one's pixels lie.
    """

    def __init__(
        self,
        dataset: Dataset,
        skipped: tuple[SkippedFile, ...],
        images: Sequence[NDArray[np.uint8]],
        placements: Sequence[Placement],
    ) -> None:
        self.dataset, self.skipped, self.placements = dataset, skipped, placements
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        """(3, H, W), uint8, channels_last, not to be written to."""
        return torch.from_numpy(self._images[index]).permute(2, 0, 1)

    def stacked(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """(N, H, W, 3) of images that have one size."""
        return np.stack([self._images[index] for index in indices])


def read_all(
    dataset: Dataset,
    decode: Callable[[Path | Region], Placed],
    *,
    observer: Observer = SILENT,
    label: str = "",
) -> PixelCache:
    """Decode a data set with threads; files that do not decode are left out and named.

    Args:
        dataset: What to read.
        decode: A file, or a region of it, to pixels; it may raise ImageError.
        observer: Is told of progress.
        label: What the progress is called.
    """
    kept: list[Sample] = []
    skipped: list[SkippedFile] = []
    placements: list[Placement] = []
    store = _Store()

    def attempt(sample: Sample) -> Placed | ImageError:
        try:
            return decode(sample.source)
        except ImageError as error:
            return error

    samples = observer.progress(dataset.samples, len(dataset), label)
    with ThreadPoolExecutor(usable_cores()) as pool:
        # Decoding runs ahead in chunks, so that pixels never pile up undecided.
        ordered = iter(samples)
        while chunk := list(itertools.islice(ordered, _LOOK_AHEAD)):
            for sample, result in zip(chunk, pool.map(attempt, chunk), strict=True):
                if isinstance(result, ImageError):
                    reason = result.given.removeprefix(f"{sample.path}: ")
                    skipped.append(SkippedFile(dataset.name_of(sample), reason))
                else:
                    store.put(result.pixels)
                    placements.append(result.placement)
                    kept.append(sample)
    readable = replace(dataset, samples=tuple(kept))
    return PixelCache(readable, tuple(skipped), store.images(), placements)


class _Store:
    """Keeps arrays in memory up to a limit, and beyond it in an unnamed file."""

    def __init__(self) -> None:
        self._in_memory: list[NDArray[np.uint8]] = []
        self._in_file: list[tuple[int, tuple[int, ...]]] = []
        self._bytes = 0
        self._file: BinaryIO | None = None

    def put(self, image: NDArray[np.uint8]) -> None:
        """Take an array in."""
        if self._file is None and self._bytes + image.nbytes <= MEMORY_LIMIT:
            self._in_memory.append(image)
            self._bytes += image.nbytes
            return
        if self._file is None:
            # It has no name, so there is nothing to clean up.
            self._file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
        self._in_file.append((self._file.tell(), image.shape))
        self._file.write(image.tobytes())

    def images(self) -> list[NDArray[np.uint8]]:
        """Every array in the order in which they came; nothing can be put after this."""
        if self._file is None:
            return self._in_memory
        # One map for all, since a process may have only so many; it outlives the open file.
        with self._file as file:
            file.flush()
            pages = np.memmap(file, np.uint8, "c")
        return self._in_memory + [
            pages[offset : offset + math.prod(shape)].reshape(shape)
            for offset, shape in self._in_file
        ]
