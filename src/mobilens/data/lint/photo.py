"""Look at every file once: is it readable, how large, with what content, of what appearance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobilens.cores import usable_cores
from mobilens.data.dataset import Dataset
from mobilens.data.files import common_folder
from mobilens.data.names import relative_name
from mobilens.errors import ImageError
from mobilens.spec.task import Preprocessing
from mobilens.vision.decode import Source
from mobilens.vision.image import image_size, load_prepared

# All pairs are compared: twice as many images take four times as long.
MAX_COMPARED = 100_000
THUMBNAIL_SIDE = 48
_SQUASHED = Preprocessing(size=(THUMBNAIL_SIDE, THUMBNAIL_SIDE), resize="squash")
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)


@dataclass(frozen=True, eq=False)
class Photo:
    """A labelled file and what a look at it showed.

    Attributes:
        name: Its path from the folder that all splits share.
        split: The split that it is in.
        label: What it is labelled with, in words.
        digest: SHA-256 of its content; empty where it cannot be read at all.
        size: (height, width) of the upright image, pixels; (0, 0) where it does not decode.
        grey_range: Grey levels from the darkest to the lightest spot, 0 to 255.
        thumbnail: (48, 48) luminance, uint8, whatever the aspect; None where it does not decode,
            and in a data set too large to compare all of it.
        error: Why it does not decode, if so.
    """

    name: str
    split: str
    label: str
    digest: str
    size: tuple[int, int] = (0, 0)
    grey_range: int = 0
    thumbnail: NDArray[np.uint8] | None = None
    error: str = ""

    @property
    def is_readable(self) -> bool:
        """Whether it decodes."""
        return not self.error


def look_at(datasets: Sequence[Dataset]) -> Iterator[Photo]:
    """Read and decode every file of some splits, in their order.

    Args:
        datasets: Splits of one source.

    Yields:
        One photo per sample, readable or not; one for all things of an image that are samples each.
    """
    root = root_of(datasets)
    keeps_thumbnails = sum(map(len, datasets)) <= MAX_COMPARED
    pool = ThreadPoolExecutor(usable_cores())
    try:
        yield from pool.map(
            lambda job: _look(*job),
            (
                (path, name_in(root, path), dataset.split, label, keeps_thumbnails)
                for dataset in datasets
                for path, label in _labelled(dataset)
            ),
        )
    finally:
        # Someone who stops half-way waits for the files in hand only.
        pool.shutdown(wait=True, cancel_futures=True)


def root_of(datasets: Sequence[Dataset]) -> Path:
    """The folder that photos of some splits are named from."""
    return common_folder(dataset.root for dataset in datasets)


def name_in(root: Path, path: Path) -> str:
    """What a photo of this file is called."""
    return relative_name(path.absolute(), root.absolute())


def _labelled(dataset: Dataset) -> Iterator[tuple[Path, str]]:
    """Each file with its label; things that are looked at by themselves are one file's together."""
    things: dict[Path, list[str]] = {}
    for sample in dataset.samples:
        if sample.region is None:
            yield sample.path, dataset.label_text(sample)
        else:
            things.setdefault(sample.path, []).append(dataset.label_text(sample))
    for path, labels in things.items():
        yield path, "|".join(labels)


def luminance(source: Source) -> NDArray[np.uint8]:
    """Load the luminance of a photo as it is compared, (48, 48), whatever its aspect.

    Raises:
        ImageError: As ``vision.image.load_prepared``.
    """
    pixels = load_prepared(source, _SQUASHED).astype(np.float32)
    grey: NDArray[np.uint8] = np.rint(pixels @ _LUMA).astype(np.uint8)
    return grey


def _look(path: Path, name: str, split: str, label: str, keeps_thumbnail: bool) -> Photo:
    try:
        if path.exists() and not path.is_file():
            return Photo(name, split, label, "", error="not a file")
        content = path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
        return Photo(name, split, label, "", error=reason)
    digest = hashlib.sha256(content).hexdigest()
    try:
        size, thumbnail = image_size(content), luminance(content)
    except ImageError as error:
        return Photo(name, split, label, digest, error=error.given.partition(": ")[2])
    grey_range = int(thumbnail.max()) - int(thumbnail.min())
    return Photo(
        name, split, label, digest, size, grey_range, thumbnail if keeps_thumbnail else None
    )
