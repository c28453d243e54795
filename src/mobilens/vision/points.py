"""Named points of a thing: joints of a person, corners of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilens.vision.orientation import Box
from mobilens.vision.view import View

Points = NDArray[np.float32]
# A thing is shown with this much around it, as a share of its own sides.
REGION_SCALE = 1.25
# Words that change places in a mirror; "l" and "r" count where they stand alone.
_SIDES = {"left": "right", "l": "r"}
_OTHER_SIDE = _SIDES | {right: left for left, right in _SIDES.items()}


@dataclass(frozen=True, eq=False)
class PointTarget:
    """Where the points of one thing are.

    Attributes:
        points: (K, 2), float32, x, y in pixels; without meaning where not labelled.
        labelled: (K,), bool: those that are known, hidden ones included.
        visible: (K,), bool: those that are known and can be seen.
        mirrored: (K,), int64: which point each one is in a mirror.
        area: Of the thing, square pixels.
        region: Left, top, right, bottom of what is looked at, pixels; None for the whole image.
    """

    points: Points
    labelled: NDArray[np.bool_]
    visible: NDArray[np.bool_]
    mirrored: NDArray[np.int64]
    area: float
    region: Box | None = None

    def __len__(self) -> int:
        return len(self.points)


def mirrored(names: Sequence[str]) -> NDArray[np.int64]:
    """Find for each name the one that it is in a mirror: ``left_eye`` for ``right_eye``.

    A name without a side, or without the other one, is itself.

    Args:
        names: Of all points; sides are told by words, such as ``"left"`` or a lone ``"l"``.
    """
    index = {name.casefold(): position for position, name in enumerate(names)}
    return np.array(
        [index.get(_in_mirror(name), position) for position, name in enumerate(names)], np.int64
    )


def _in_mirror(name: str) -> str:
    words = re.split("([^a-z]+)", name.casefold())
    return "".join(_OTHER_SIDE.get(word, word) for word in words)


def region_around(box: Box) -> Box:
    """What is looked at to find the points of a thing: its box, with something around it."""
    left, top, right, bottom = box
    across, down = (
        (REGION_SCALE - 1) / 2 * max(side, 1.0) for side in (right - left, bottom - top)
    )
    return left - across, top - down, right + across, bottom + down


def move_points(target: PointTarget, view: View) -> PointTarget:
    """Give what a view shows of points; those outside of it are not labelled any more."""
    moved = view.points(target.points.astype(np.float64))
    left, top, right, bottom = view.window
    inside = (moved >= (left, top)).all(1) & (moved <= (right, bottom)).all(1)
    turn = np.linalg.det(view.matrix[:, :2])
    labelled, visible = target.labelled & inside, target.visible & inside
    if turn < 0:  # a mirror, in which left is right
        other = target.mirrored
        moved, labelled, visible = moved[other], labelled[other], visible[other]
    return PointTarget(
        moved.astype(np.float32),
        labelled,
        visible,
        target.mirrored,
        target.area * abs(float(turn)),
    )


# Ends of a torso's two diagonals, by which people's poses are measured (PCK, after Yang and
# Ramanan, "Articulated human detection with flexible mixtures of parts", 2013).
_DIAGONALS = (("left shoulder", "right hip"), ("right shoulder", "left hip"))
# What stands for a torso where none is known: this share of the long side of all points' box.
TORSO_SHARE = 1 / 3


def torso_ends(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Find the pairs of points that lie across a torso; none where the names know no torso."""
    index = {plain(name): position for position, name in enumerate(names)}
    return tuple(
        (index[one], index[other]) for one, other in _DIAGONALS if {one, other} <= set(index)
    )


def plain(name: str) -> str:
    """A point's name without the marks that programs put between words, in small letters."""
    return " ".join(re.findall("[a-z0-9]+", name.casefold()))


def torso_length(target: PointTarget, ends: Sequence[tuple[int, int]]) -> float:
    """Length that distances are measured by, pixels: at least one.

    The mean of the torso's diagonals that are known; without one, a third of the long side of the
    box around all known points.

    Args:
        target: Where the points are.
        ends: What ``torso_ends`` found.
    """
    known = [(one, other) for one, other in ends if target.labelled[[one, other]].all()]
    if known:
        gaps = [target.points[one] - target.points[other] for one, other in known]
        return max(1.0, float(np.mean([np.hypot(*gap) for gap in gaps])))
    points = target.points[target.labelled]
    if not len(points):
        return 1.0
    return max(1.0, TORSO_SHARE * float((points.max(0) - points.min(0)).max()))
