"""COCO's outlines as a class for every pixel (``coco_file`` says where the files lie).

Polygons, which lie beside each other, or run lengths, plain or packed. Smaller things lie on
larger ones, crowds are things as well, and what nothing covers is background.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilens.cores import usable_cores
from mobilens.data.formats.coco_file import (
    Instances,
    ListedImage,
    Located,
    Reading,
    is_coco,
    read_coco,
)
from mobilens.data.formats.drawn_boxes import Words, counted
from mobilens.data.formats.drawn_masks import header_of, same_shape, turn_of, unused_classes
from mobilens.data.labels.masks import MaskLabel
from mobilens.data.listing import Listing
from mobilens.errors import DataError
from mobilens.vision.decode import Header
from mobilens.vision.masks import MAX_CLASSES, VOID, Polygons, Runs, Shape

EXPECTED = "COCO's JSON with images, annotations with a segmentation, and categories"
BACKGROUND = "background"

_SCALED: Words = (
    "image is of another size than its labels say, so its outlines are scaled",
    "images are of other sizes than their labels say, so their outlines are scaled",
)
_MISSHAPEN: Words = (
    "image is of another shape than its labels say, so its outlines are stretched; look whether "
    "they belong together",
    "images are of other shapes than their labels say, so their outlines are stretched; look "
    "whether they belong together",
)
_EMPTY: Words = (
    "image has no outlines and is background alone",
    "images have no outlines and are background alone",
)
# Sides of what run lengths may fill, so that a slip of a digit does not fill the memory.
_LONGEST = 1 << 16
_MOST_PIXELS = 1 << 28


def recognises(arguments: tuple[str, ...]) -> bool:
    """Whether the source is a JSON file, or a folder with one of COCO's with outlines."""
    return is_coco(arguments, "segmentation")


def read(arguments: tuple[str, ...]) -> Listing:
    """List the images with the outlines of their annotations.

    Raises:
        DataError: A file is no JSON of this kind, the parts have different classes, or no image
            exists; the message names it.
    """
    reading = Reading(
        labels="masks",
        key="segmentation",
        expected=EXPECTED,
        shape=lambda entry: _shape(entry.get("segmentation")),
        shapeless="without a segmentation",
        together="outlines",
        label=_labelled,
        unused=unused_classes,
        class_names=_with_background,
    )
    return read_coco(arguments, reading)


def _with_background(names: tuple[str, ...]) -> tuple[str, ...]:
    # A category of this name is no other thing than what is left.
    class_names = (BACKGROUND, *(name for name in names if name != BACKGROUND))
    if len(class_names) > MAX_CLASSES:
        raise DataError(
            f"the categories and {BACKGROUND} are {len(class_names)} classes",
            expected=f"up to {MAX_CLASSES}",
        )
    return class_names


# Shapes


def _shape(value: object) -> Shape | None:
    """Rings or run lengths; None where there are none that can be used."""
    if isinstance(value, dict):
        return _runs(value)
    if not isinstance(value, list):
        return None
    # A ring alone, as some programs write it.
    rings = value if all(isinstance(ring, list) for ring in value) else [value]
    arrays = [array for ring in rings if (array := _ring(ring)) is not None]
    return tuple(arrays) or None


def _ring(value: list[Any]) -> NDArray[np.float32] | None:
    if len(value) < 6 or len(value) % 2:
        return None
    if not all(isinstance(number, int | float) for number in value):
        return None
    ring = np.array(value, np.float32).reshape(-1, 2)
    return ring if np.isfinite(ring).all() else None


def _runs(value: dict[str, Any]) -> Runs | None:
    size, counts = value.get("size"), value.get("counts")
    if not isinstance(size, list) or len(size) != 2:
        return None
    if not all(isinstance(side, int) and 0 < side <= _LONGEST for side in size):
        return None
    height, width = size
    try:
        lengths = np.array(_unpacked(counts) if isinstance(counts, str) else counts, np.int64)
    except (OverflowError, TypeError, ValueError, IndexError):
        return None
    inside = lengths.ndim == 1 and len(lengths) and lengths.min() >= 0
    pixels = height * width
    if not inside or pixels > _MOST_PIXELS or lengths.max() > pixels or lengths.sum() > pixels:
        return None
    return Runs(lengths, (height, width))


def _unpacked(text: str) -> list[int]:
    """Run lengths from COCO's packed text.

    A character has 5 bits of a number; from the fourth number on it is what the last but one is
    to be raised by.

    Raises:
        IndexError: It breaks off.
    """
    lengths: list[int] = []
    at = 0
    while at < len(text):
        number, shift, more = 0, 0, True
        while more:
            bits = ord(text[at]) - 48
            number |= (bits & 31) << shift
            more = bool(bits & 32)
            at, shift = at + 1, shift + 5
        if bits & 16:
            number -= 1 << shift
        lengths.append(number + lengths[-2] if len(lengths) > 2 else number)
    return lengths


def _area(shape: Shape) -> float:
    if isinstance(shape, Runs):
        return float(shape.lengths[1::2].sum())
    return sum(map(_area_of_ring, shape))


def _area_of_ring(ring: NDArray[np.float32]) -> float:
    x, y = ring.astype(np.float64).T
    return float(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)


# Labels


def _labelled(
    located: Located, file: Instances
) -> tuple[tuple[tuple[Path, MaskLabel], ...], tuple[str, ...]]:
    odd: defaultdict[Words, list[str]] = defaultdict(list)
    with ThreadPoolExecutor(usable_cores()) as pool:
        headers = pool.map(header_of, located)
        files = tuple(
            (path, _label(path, images, file, header, odd))
            for (path, images), header in zip(located.items(), headers, strict=True)
        )
    return files, tuple(counted(len(names), words, names) for words, names in odd.items())


def _label(
    path: Path,
    images: Sequence[ListedImage],
    file: Instances,
    header: Header | None,
    odd: defaultdict[Words, list[str]],
) -> MaskLabel:
    things = [
        (file.categories[thing.category].name, thing.shape)
        for image in images
        for thing in image.things
    ]
    things.sort(key=lambda thing: -_area(thing[1]))
    if not things:
        odd[_EMPTY].append(path.name)
    size = images[0].size or _size_of_runs(things) or (header.size if header else (1, 1))
    orientation = 1
    if header is not None and things:
        orientation, words = turn_of(header, size)
        if words:
            odd[words].append(path.name)
        expected = header.size if orientation == 1 else header.size[::-1]
        if not same_shape(size, expected):
            odd[_MISSHAPEN].append(path.name)
        elif size != expected:
            odd[_SCALED].append(path.name)
    names = tuple(dict.fromkeys([BACKGROUND, *(name for name, _ in things)]))
    return MaskLabel(names, partial(_source, tuple(things), size, orientation))


def _size_of_runs(things: Sequence[tuple[str, Shape]]) -> tuple[int, int] | None:
    return next((shape.size for _, shape in things if isinstance(shape, Runs)), None)


def _source(
    things: Sequence[tuple[str, Shape]],
    size: tuple[int, int],
    orientation: int,
    index: Mapping[str, int],
) -> Polygons:
    """The mask once classes have numbers."""
    outlines = tuple((index.get(name, VOID), shape) for name, shape in things)
    return Polygons(outlines, size, index.get(BACKGROUND, VOID), orientation)
