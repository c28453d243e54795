"""Named points of one thing: a sample for each thing of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mobilens.vision.orientation import Box
from mobilens.vision.points import PointTarget, mirrored

LEAST_CLASSES = 1
OPEN = False


@dataclass(frozen=True, eq=False)
class PointLabel:
    """Where the points of a thing are.

    Attributes:
        names: Of all points that things of this kind have, in the order of the data.
        points: (K, 2), float32, x, y in pixels of the upright image.
        labelled: (K,), bool: those that are known, hidden ones included.
        visible: (K,), bool: those that are known and can be seen.
        area: Of the thing, square pixels.
        region: Left, top, right, bottom of what is looked at, pixels; None for the whole image.
    """

    names: tuple[str, ...]
    points: NDArray[np.float32]
    labelled: NDArray[np.bool_]
    visible: NDArray[np.bool_]
    area: float
    region: Box | None = None


def names(label: PointLabel) -> tuple[str, ...]:
    """Name the points that a thing may have."""
    return label.names


def target(label: PointLabel, index: Mapping[str, int]) -> PointTarget:
    """Give the points in the order of their numbers; those that the data never has are unknown."""
    place = np.array([index[name] for name in label.names], np.int64)
    order = [name for name, _ in sorted(index.items(), key=lambda item: item[1])]
    points = np.zeros((len(index), 2), np.float32)
    labelled, visible = (np.zeros(len(index), bool) for _ in range(2))
    points[place], labelled[place], visible[place] = label.points, label.labelled, label.visible
    return PointTarget(points, labelled, visible, _mirrored(tuple(order)), label.area, label.region)


# The same names for every thing of a data set.
_mirrored = lru_cache(mirrored)


def region(target: PointTarget) -> Box | None:
    """Give what is looked at."""
    return target.region


def classes(target: PointTarget) -> list[int]:
    """Give the number of each point that is known."""
    return [int(number) for number in np.flatnonzero(target.labelled)]


def text(target: PointTarget, class_names: Sequence[str]) -> str:
    """Write the known points down, to a hundredth of a pixel."""
    seen = {True: "visible", False: "hidden"}
    rows = [
        f"{class_names[number]} {x:.2f} {y:.2f} {seen[bool(target.visible[number])]}"
        for number, (x, y) in enumerate(target.points.tolist())
        if target.labelled[number]
    ]
    looked_at = "all" if target.region is None else " ".join(f"{one:.2f}" for one in target.region)
    return ";".join([*rows, f"in {looked_at} of {target.area:.2f}"])


def strata(labels: Sequence[PointLabel]) -> list[str]:
    """All are of one kind."""
    return [""] * len(labels)
