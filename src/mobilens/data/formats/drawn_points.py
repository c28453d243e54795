"""Points as formats read them become labels: in pixels of the upright image, a label a thing.

Whatever is odd about them is counted and told, and never ends the reading, as with boxes
(``drawn_boxes``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobilens.cores import usable_cores
from mobilens.data.formats.drawn_boxes import NOTHING, Words, counted
from mobilens.data.formats.drawn_masks import header_of, turn_of
from mobilens.data.labels.points import PointLabel
from mobilens.data.listing import Part
from mobilens.vision.decode import Header
from mobilens.vision.orientation import Box, swaps_sides, upright_box
from mobilens.vision.points import region_around

# What is said of a point, as COCO has it.
UNKNOWN, HIDDEN, VISIBLE = 0, 1, 2
# Of a box, a thing fills about this share: the convention where nobody drew an outline.
SHARE_OF_BOX = 0.53

_UNLABELLED: Words = (
    "thing has no labelled point and is left out",
    "things have no labelled point and are left out",
)
_NOWHERE: Words = (
    "thing has no box and one point only, and is left out",
    "things have no box and one point only, and are left out",
)
_BOXLESS: Words = (
    "thing has no box, so what is looked at is what lies around its points",
    "things have no box, so what is looked at is what lies around their points",
)
_OUTSIDE: Words = (
    "point lies outside its image and counts as not labelled",
    "points lie outside their images and count as not labelled",
)
_TWICE: Words = ("thing is listed twice and counts once", "things are listed twice and count once")
_EMPTY: Words = (
    "image has nothing with points and is left out",
    "images have nothing with points and are left out",
)
_SCALED: Words = (
    "image is of another size than its labels say, so its points are scaled",
    "images are of other sizes than their labels say, so their points are scaled",
)
_TURNED: Words = (
    "image is turned by its EXIF and was labelled before that, so its points are turned with it",
    "images are turned by their EXIF and were labelled before that, so their points are turned "
    "with them",
)
_UNSURE: Words = (
    "image is turned by its EXIF, and its labels do not tell whether they were drawn after that, "
    "as is assumed",
    "images are turned by their EXIF, and their labels do not tell whether they were drawn after "
    "that, as is assumed",
)

# What was mended or left out, with the image of each.
Odd = defaultdict[Words, list[str]]


@dataclass(frozen=True, eq=False)
class Thing:
    """What a format says of one thing.

    Attributes:
        names: Of its points.
        points: (K, 2), float64, x, y.
        known: (K,), int64: ``UNKNOWN``, ``HIDDEN`` or ``VISIBLE``.
        box: Around it, where one is drawn.
        area: Of it, square pixels, where it is told.
    """

    names: tuple[str, ...]
    points: NDArray[np.float64]
    known: NDArray[np.int64]
    box: Box | None = None
    area: float | None = None


@dataclass(frozen=True, eq=False)
class DrawnPoints:
    """What a format says of one image.

    Attributes:
        path: The image.
        things: What is in it.
        size: (height, width) that the labels were drawn on, where they say so.
        whole: Whether all of the image is looked at, which takes one thing at most.
    """

    path: Path
    things: tuple[Thing, ...]
    size: tuple[int, int] | None = None
    whole: bool = False


def labelled(
    drawn: Sequence[DrawnPoints],
) -> tuple[tuple[tuple[Path, PointLabel], ...], tuple[str, ...]]:
    """Bring points into the pixels of their images.

    Args:
        drawn: What a format read, one for each image.

    Returns:
        Path and label of each thing, and what was odd, one sentence each.
    """
    odd: Odd = defaultdict(list)
    with ThreadPoolExecutor(usable_cores()) as pool:
        headers = pool.map(header_of, (one.path for one in drawn))
        files = tuple(
            (one.path, label)
            for one, header in zip(drawn, headers, strict=True)
            for label in _labels(one, header, odd)
        )
    notes = (
        counted(len(names), words, tuple(dict.fromkeys(names))) for words, names in odd.items()
    )
    return files, tuple(notes)


def different(things: Sequence[Thing]) -> tuple[Thing, ...]:
    """Give each thing once, whose points and box are those of no earlier one."""
    first = {
        (thing.names, thing.points.tobytes(), thing.known.tobytes(), thing.box): thing
        for thing in reversed(things)
    }
    return tuple(reversed(first.values()))


def unused_points(part: Part, class_names: Sequence[str]) -> list[str]:
    """Tell in a sentence, or in none, which points have nothing to be learnt from.

    Args:
        part: The part to learn from, with point labels.
        class_names: All points of the source.
    """
    used = {
        name
        for _, label in part.files
        for name, is_labelled in zip(label.names, label.labelled, strict=True)
        if is_labelled
    }
    unused = [name for name in class_names if name not in used]
    if not unused:
        return []
    words = (
        f"of {len(class_names)} points is labelled nowhere",
        f"of {len(class_names)} points are labelled nowhere",
    )
    return [counted(len(unused), words, unused)]


def _add(odd: Odd, what: Words, name: str, count: int = 1) -> None:
    if count:
        odd[what] += [name] * count


def _labels(drawn: DrawnPoints, header: Header | None, odd: Odd) -> Iterator[PointLabel]:
    name = drawn.path.name
    things = different(drawn.things)
    if not things:
        _add(odd, _EMPTY, name)
        return
    _add(odd, _TWICE, name, len(drawn.things) - len(things))
    if header is None and drawn.size:
        header = Header(drawn.size)  # the file is named when it is decoded
    upright = _Upright.of(drawn, header, odd)
    for thing in things:
        label = _label(thing, upright, drawn, odd)
        if label is not None:
            yield label


def _label(thing: Thing, upright: _Upright, drawn: DrawnPoints, odd: Odd) -> PointLabel | None:
    name = drawn.path.name
    points = upright.points(np.where(thing.known[:, None] > UNKNOWN, thing.points, 0.0))
    inside = upright.inside(points)
    _add(odd, _OUTSIDE, name, int((~inside & (thing.known > UNKNOWN)).sum()))
    is_labelled = inside & (thing.known > UNKNOWN)
    if not is_labelled.any():
        _add(odd, _UNLABELLED, name)
        return None
    box, drawn_box = _around(points[is_labelled]), upright.box(thing.box)
    if drawn_box is not None:
        box = drawn_box
    elif not drawn.whole:
        if _is_dot(box):
            _add(odd, _NOWHERE, name)
            return None
        _add(odd, _BOXLESS, name)
    area = SHARE_OF_BOX * (box[2] - box[0]) * (box[3] - box[1])
    if thing.area is not None:
        area = thing.area * upright.area_scale
    return PointLabel(
        thing.names,
        np.where(is_labelled[:, None], points, 0).astype(np.float32),
        is_labelled,
        inside & (thing.known == VISIBLE),
        max(area, 1.0),
        None if drawn.whole else region_around(box),
    )


def _around(points: NDArray[np.float64]) -> Box:
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    return left, top, right, bottom


def _is_dot(box: Box) -> bool:
    return max(box[2] - box[0], box[3] - box[1]) <= NOTHING


@dataclass(frozen=True)
class _Upright:
    """How labels of an image come into the pixels of the upright one.

    Attributes:
        size: (height, width) of the upright image; None where it cannot be known.
        orientation: EXIF orientation that the labels are to be turned by, 1 for none.
        scale: Pixels of the image to those that the labels were drawn on, across and down.
    """

    size: tuple[int, int] | None
    orientation: int = 1
    scale: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of(cls, drawn: DrawnPoints, header: Header | None, odd: Odd) -> _Upright:
        """Compare what the labels say of an image's size with what the file says."""
        if header is None:
            return cls(None)
        name = drawn.path.name
        if drawn.size is None:
            if header.orientation != 1:
                _add(odd, _UNSURE, name)
            return cls(header.size)
        orientation, words = turn_of(header, drawn.size)
        if words is not None:
            _add(odd, _UNSURE if orientation == 1 else _TURNED, name)
        height, width = header.size[::-1] if swaps_sides(orientation) else header.size
        if drawn.size != (height, width):
            _add(odd, _SCALED, name)
        return cls(header.size, orientation, (width / drawn.size[1], height / drawn.size[0]))

    @property
    def area_scale(self) -> float:
        """Square pixels of the image to those that the labels were drawn on."""
        return self.scale[0] * self.scale[1]

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry points (K, 2) over."""
        scaled: NDArray[np.float64] = points * self.scale
        if self.size is None or self.orientation == 1:
            return scaled
        turned = [upright_box((x, y, x, y), self.size, self.orientation) for x, y in scaled]
        return np.array(turned, np.float64)[:, :2]

    def box(self, box: Box | None) -> Box | None:
        """Carry a box over and keep what lies in the image; None where nothing is left of it."""
        if box is None or not np.isfinite(box).all() or box[2] <= box[0] or box[3] <= box[1]:
            return None
        corners = self.points(np.array(box, np.float64).reshape(2, 2))
        if self.size is not None:
            corners = np.clip(corners, 0, self.size[::-1])
        left, top, right, bottom = _around(corners)
        return (left, top, right, bottom) if min(right - left, bottom - top) > NOTHING else None

    def inside(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points (K, 2) lie in the image."""
        if self.size is None:
            return np.ones(len(points), bool)
        within: NDArray[np.bool_] = (points >= 0) & (points <= self.size[::-1])
        return within[:, 0] & within[:, 1]
