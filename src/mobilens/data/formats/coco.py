"""COCO: a JSON file of images, annotations and categories for each part (``coco_file``).

Crowds are neither right nor wrong to find.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mobilens.data.formats.coco_file import (
    Instances,
    ListedImage,
    Located,
    Reading,
    corners_of,
    is_coco,
    read_coco,
)
from mobilens.data.formats.drawn_boxes import DrawnBoxes, labelled, unused_classes
from mobilens.data.labels.boxes import BoxLabel
from mobilens.data.listing import Listing

EXPECTED = "COCO's JSON with images, annotations with a bbox, and categories"


def recognises(arguments: tuple[str, ...]) -> bool:
    """Whether the source is a JSON file, or a folder with one of COCO's."""
    return is_coco(arguments, "bbox")


def read(arguments: tuple[str, ...]) -> Listing:
    """List the images with the boxes of their annotations.

    Raises:
        DataError: A file is no JSON of this kind, the parts have different classes, or no image
            exists; the message names it.
    """
    reading = Reading(
        labels="boxes",
        key="bbox",
        expected=EXPECTED,
        shape=lambda entry: corners_of(entry.get("bbox")),
        shapeless="without a bbox of four numbers",
        together="boxes",
        label=_labelled,
        unused=unused_classes,
    )
    return read_coco(arguments, reading)


def _labelled(
    located: Located, file: Instances
) -> tuple[tuple[tuple[Path, BoxLabel], ...], tuple[str, ...]]:
    return labelled([_drawn(path, images, file) for path, images in located.items()])


def _drawn(path: Path, images: Sequence[ListedImage], file: Instances) -> DrawnBoxes:
    things = [thing for image in images for thing in image.things]
    return DrawnBoxes(
        path,
        tuple(file.categories[thing.category].name for thing in things),
        np.array([thing.shape for thing in things], np.float64).reshape(-1, 4),
        np.array([thing.crowd for thing in things], bool),
        images[0].size,
    )
