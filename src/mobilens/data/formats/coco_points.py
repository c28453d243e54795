"""COCO's keypoints: points of one thing for each annotation (``coco_file`` says where files lie).

A category names its keypoints, and in its skeleton those that belong together. Crowds, and things
of which no point is labelled, are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilens.data.formats.coco_file import (
    Category,
    Instances,
    ListedImage,
    Located,
    Reading,
    corners_of,
    is_coco,
    read_coco,
)
from mobilens.data.formats.drawn_boxes import Words, counted
from mobilens.data.formats.drawn_points import (
    UNKNOWN,
    VISIBLE,
    DrawnPoints,
    Thing,
    labelled,
    unused_points,
)
from mobilens.data.labels.points import PointLabel
from mobilens.data.listing import Listing, some
from mobilens.data.names import clean_name
from mobilens.errors import DataError
from mobilens.vision.orientation import Box

EXPECTED = "COCO's JSON with images, annotations with keypoints, and categories that name them"

_CROWD: Words = ("annotation of a crowd is left out", "annotations of crowds are left out")
_OTHER_NUMBER: Words = (
    "annotation has another number of keypoints than its category and is left out",
    "annotations have other numbers of keypoints than their category and are left out",
)
_NO_PAIR: Words = (
    "link of the skeleton is no pair of keypoints, counted from 1, and is left out",
    "links of the skeleton are no pairs of keypoints, counted from 1, and are left out",
)


class _Shape(NamedTuple):
    """What an annotation says: points (K, 2), ``UNKNOWN`` to ``VISIBLE`` of each, box and area."""

    points: NDArray[np.float64]
    known: NDArray[np.int64]
    box: Box | None
    area: float | None


def recognises(arguments: tuple[str, ...]) -> bool:
    """Whether the source is a JSON file, or a folder with one of COCO's with keypoints."""
    return is_coco(arguments, "keypoints")


def read(arguments: tuple[str, ...]) -> Listing:
    """List the things of images with their points.

    Raises:
        DataError: A file is no JSON of this kind, categories have different keypoints, or no
            image exists; the message names it.
    """
    reading = Reading(
        labels="points",
        key="keypoints",
        expected=EXPECTED,
        shape=_shape,
        shapeless="without keypoints of three finite numbers each",
        together="things",
        label=_labelled,
        unused=unused_points,
        meant="keypoints",
        noun="keypoints",
        names=_point_names,
        links=_links,
    )
    return read_coco(arguments, reading)


# Annotations


def _shape(entry: dict[str, Any]) -> _Shape | None:
    numbers = entry.get("keypoints")
    if not isinstance(numbers, list) or len(numbers) % 3:
        return None
    if not all(isinstance(number, int | float) for number in numbers):
        return None
    try:
        rows = np.array(numbers, np.float64).reshape(-1, 3)
    except OverflowError:
        return None
    if not np.isfinite(rows).all():
        return None
    known = np.clip(rows[:, 2], UNKNOWN, VISIBLE).astype(np.int64)
    area = entry.get("area")
    return _Shape(
        rows[:, :2],
        known,
        corners_of(entry.get("bbox")),
        float(area) if isinstance(area, int | float) and 0 < area < 1e18 else None,
    )


# Categories


def _used(file: Instances) -> dict[str, Category]:
    """Categories of things with points; all that name keypoints where there is no such thing."""
    ids = {
        thing.category
        for image in file.images.values()
        for thing in image.things
        if thing.shape.known.any() and not thing.crowd
    }
    return {
        key: category
        for key, category in file.categories.items()
        if (key in ids if ids else category.keypoints)
    }


def _point_names(file: Instances) -> tuple[str, ...]:
    """Names of the points, which all categories of things share."""
    first: tuple[Category, tuple[str, ...]] | None = None
    for category in _used(file).values():
        names = _names_of(category, file.path)
        first = first or (category, names)
        if set(names) != set(first[1]):
            raise DataError(
                f"{file.path} has different keypoints for {first[0].name!r} ({some(first[1])}) and "
                f"{category.name!r} ({some(names)})",
                expected="the same keypoints for all categories whose things have points",
                remedy=f"train a model for each, on a file with the annotations of "
                f"{first[0].name!r} and one with those of {category.name!r}",
            )
    return first[1] if first else ()


def _names_of(category: Category, path: Path) -> tuple[str, ...]:
    names = category.keypoints
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not names:
        raise DataError(
            f"the category {category.name!r} of {path} has the keypoints {names!r:.60}",
            expected="a list of their names, in the order of the annotations' numbers",
        )
    cleaned = tuple(clean_name(name.strip()) for name in names)
    if len(set(cleaned)) < len(cleaned) or "" in cleaned:
        raise DataError(
            f"the category {category.name!r} of {path} has the keypoints {some(cleaned, 20)}",
            expected="a name of its own for each",
        )
    return cleaned


def _links(file: Instances) -> tuple[tuple[str, str], ...]:
    """Pairs of names, from the first category whose things have points."""
    category = next(iter(_used(file).values()), None)
    if category is None:
        return ()
    names = _names_of(category, file.path)
    pairs = [pair for pair in _skeleton(category) if _is_link(pair, len(names))]
    return tuple((names[one - 1], names[other - 1]) for one, other in pairs)


def _skeleton(category: Category) -> list[Any]:
    return category.skeleton if isinstance(category.skeleton, list) else []


def _is_link(pair: object, count: int) -> bool:
    """Whether it is the numbers of two keypoints."""
    if not isinstance(pair, list) or len(pair) != 2 or pair[0] == pair[1]:
        return False
    return all(isinstance(end, int) and 0 < end <= count for end in pair)


# Labels


def _labelled(
    located: Located, file: Instances
) -> tuple[tuple[tuple[Path, PointLabel], ...], tuple[str, ...]]:
    used = _used(file)
    names = {key: _names_of(category, file.path) for key, category in used.items()}
    lost: Counter[Words] = Counter()
    drawn = [
        DrawnPoints(path, tuple(_things(images, names, lost)), images[0].size)
        for path, images in located.items()
    ]
    for key, category in used.items():
        links = _skeleton(category)
        lost[_NO_PAIR] += sum(not _is_link(pair, len(names[key])) for pair in links)
    files, notes = labelled(drawn)
    return files, (*(counted(count, words) for words, count in lost.items() if count), *notes)


def _things(
    images: Sequence[ListedImage], names: Mapping[str, tuple[str, ...]], lost: Counter[Words]
) -> Iterator[Thing]:
    """What is in an image that is listed once or more; what cannot be used is counted."""
    for thing in (thing for image in images for thing in image.things):
        shape: _Shape = thing.shape
        own = names.get(thing.category, ())
        if thing.crowd:
            lost[_CROWD] += 1
        elif shape.known.any() and len(shape.known) != len(own):
            lost[_OTHER_NUMBER] += 1
        else:
            yield Thing(own, *shape)
