"""The images that ranges are measured on: the same ones every time, of every class alike."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from mobilens.cores import usable_cores
from mobilens.errors import DataError, ImageError
from mobilens.spec.task import Preprocessing
from mobilens.vision.image import Region, load_prepared
from mobilens.vision.predictor import Pixels

IMAGES = 2_000


def choose(files: Iterable[tuple[Path | Region, str]], count: int = IMAGES) -> list[Path | Region]:
    """Choose images, one of each class in turn.

    Classes, and images within a class, are ranked by a hash of their name, so that the choice
    depends neither on the order of the files nor on where they lie, and the first few are spread
    over classes that are named alike.

    Args:
        files: Each with its class.
        count: How many are wanted; fewer are given where there are fewer.
    """
    classes: defaultdict[str, list[tuple[str, Path | Region]]] = defaultdict(list)
    for file, label in files:
        classes[label].append((_rank(Path(file).name), file))
    ranked = [[file for _, file in sorted(classes[label])] for label in sorted(classes, key=_rank)]
    turns = chain.from_iterable(zip_longest(*ranked))
    return [file for file in turns if file is not None][:count]


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def load(files: Sequence[Path | Region], preprocessing: Preprocessing) -> Pixels:
    """Read images as the net gets them; those that cannot be read are left out.

    Args:
        files: Files, or regions of them.
        preprocessing: How they are prepared.

    Returns:
        (N, height, width, 3), RGB, uint8.

    Raises:
        DataError: None of them can be read.
    """

    def attempt(file: Path | Region) -> Pixels | None:
        try:
            return load_prepared(file, preprocessing)
        except ImageError:
            return None

    with ThreadPoolExecutor(usable_cores()) as pool:
        read = [pixels for pixels in pool.map(attempt, files) if pixels is not None]
    if not read:
        raise DataError(
            f"none of {len(files)} images for calibration can be read",
            expected="training images, or any that look like those to be answered",
            remedy="--calibrate FOLDER",
        )
    return np.stack(read)


def fingerprint(pixels: Pixels) -> str:
    """SHA-256 over the images as the net gets them."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
