"""Things in boxes: any number for each image, none included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilens.data.labels.rarest import by_rarest_class
from mobilens.vision.boxes import BoxTarget

LEAST_CLASSES = 1
OPEN = False


@dataclass(frozen=True, eq=False)
class BoxLabel:
    """What is in an image.

    Attributes:
        names: Class of each thing.
        boxes: (n, 4), float32, xyxy, pixels of the upright image.
        ignored: (n,), bool: things that are neither right nor wrong to find, such as crowds.
    """

    names: tuple[str, ...]
    boxes: NDArray[np.float32]
    ignored: NDArray[np.bool_]


def names(label: BoxLabel) -> tuple[str, ...]:
    """Name the class of each thing."""
    return label.names


def target(label: BoxLabel, index: Mapping[str, int]) -> BoxTarget:
    """Give the things with numbers for their classes."""
    numbers = np.array([index[name] for name in label.names], np.int64)
    return BoxTarget(label.boxes, numbers, label.ignored)


def region(target: BoxTarget) -> None:
    """Of every image all is meant."""


def classes(target: BoxTarget) -> list[int]:
    """Give the class of each thing that counts."""
    return [int(number) for number in target.classes[~target.ignored]]


def text(target: BoxTarget, class_names: Sequence[str]) -> str:
    """Write the things down, to a hundredth of a pixel."""
    rows = zip(target.classes, target.boxes, target.ignored, strict=True)
    return ";".join(
        " ".join(
            [
                class_names[number],
                *(f"{side:.2f}" for side in box),
                *(["ignored"] if ignored else []),
            ]
        )
        for number, box, ignored in rows
    )


def strata(labels: Sequence[BoxLabel]) -> list[str]:
    """Group by the class that the fewest images have."""
    return by_rarest_class([label.names for label in labels])
