"""Boxes as formats read them become labels: in pixels, inside their image, with width and height.

Whatever is odd about them is counted and told, and never ends the reading: one bad box among
thousands is no reason to learn nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobilens.cores import usable_cores
from mobilens.data.labels.boxes import BoxLabel
from mobilens.data.listing import Part, some
from mobilens.errors import ImageError
from mobilens.vision.decode import Header, read_header
from mobilens.vision.orientation import swaps_sides, upright_box

# No wider, there is nothing to see. As VOC counts, a point that was clicked is a pixel wide.
NOTHING = 1.0
# Further out than rounding explains, pixels.
OUTSIDE = 2.0

# What may be odd, said of one and of several.
Words = tuple[str, str]
_FLAT = (
    "box is at most a pixel wide or high and is left out",
    "boxes are at most a pixel wide or high and are left out",
)
_AWAY = (
    "box lies outside its image and is left out",
    "boxes lie outside their images and are left out",
)
_CUT = (
    "box reaches out of its image and is cut off",
    "boxes reach out of their images and are cut off",
)
_TWICE = ("box is drawn twice and counts once", "boxes are drawn twice and count once")
_SCALED = (
    "image is of another size than its labels say, so its boxes are scaled",
    "images are of other sizes than their labels say, so their boxes are scaled",
)
_TURNED = (
    "image is turned by its EXIF and was labelled before that, so its boxes are turned with it",
    "images are turned by their EXIF and were labelled before that, so their boxes are turned "
    "with them",
)
_UNSURE = (
    "image is turned by its EXIF, and its labels do not tell whether they were drawn after that, "
    "as is assumed",
    "images are turned by their EXIF, and their labels do not tell whether they were drawn after "
    "that, as is assumed",
)
_EMPTY = (
    "image has no boxes and counts as one without things",
    "images have no boxes and count as images without things",
)


@dataclass(frozen=True, eq=False)
class DrawnBoxes:
    """What a format says of one image.

    Attributes:
        path: The image.
        names: Class of each thing.
        boxes: (n, 4), float64, xyxy.
        ignored: (n,), bool.
        size: (height, width) that the labels were drawn on, where they say so.
        relative: Whether boxes are shares of the sides, 0 to 1, in place of pixels.
    """

    path: Path
    names: tuple[str, ...]
    boxes: NDArray[np.float64]
    ignored: NDArray[np.bool_]
    size: tuple[int, int] | None = None
    relative: bool = False


@dataclass
class _Oddities:
    """What was mended, by what it was, with the images that it was found in."""

    counts: Counter[Words] = field(default_factory=Counter)
    images: dict[Words, list[str]] = field(default_factory=dict)

    def add(self, what: Words, path: Path, count: int = 1) -> None:
        if count:
            self.counts[what] += count
            self.images.setdefault(what, []).append(path.name)

    def notes(self) -> tuple[str, ...]:
        return tuple(counted(count, what, self.images[what]) for what, count in self.counts.items())


def counted(count: int, what: Words, where: Sequence[object] = ()) -> str:
    """Say how many there are of what, and where: ``"2 boxes are flat: a.jpg, b.jpg"``.

    Args:
        count: 1 or more.
        what: The sentence after the number, for one and for several.
        where: Some of these are named.
    """
    return f"{count} {what[count > 1]}" + (f": {some(where)}" if where else "")


def labelled(
    drawn: Sequence[DrawnBoxes],
) -> tuple[tuple[tuple[Path, BoxLabel], ...], tuple[str, ...]]:
    """Bring boxes into the pixels of their images.

    Args:
        drawn: What a format read, one for each image.

    Returns:
        Path and label of each image, and what was odd, one sentence each.
    """
    odd = _Oddities()
    with ThreadPoolExecutor(usable_cores()) as pool:
        headers = pool.map(_header, (one.path for one in drawn))
        files = tuple(
            (one.path, _label(one, header, odd)) for one, header in zip(drawn, headers, strict=True)
        )
    return files, odd.notes()


def unused_classes(part: Part, class_names: Sequence[str]) -> tuple[str, ...]:
    """Tell which declared classes have nothing to be learnt from.

    Args:
        part: The part to learn from, with box labels.
        class_names: All classes that the source declares.

    Returns:
        One sentence, or none.
    """
    used = {
        name
        for _, label in part.files
        for name, ignored in zip(label.names, label.ignored, strict=True)
        if not ignored
    }
    unused = [name for name in class_names if name not in used]
    if not unused:
        return ()
    words = (
        f"of {len(class_names)} classes has no box",
        f"of {len(class_names)} classes have no box",
    )
    return (counted(len(unused), words, unused),)


def _header(path: Path) -> Header | None:
    try:
        return read_header(path)
    except ImageError:
        return None  # it is named when it is decoded


def _label(drawn: DrawnBoxes, header: Header | None, odd: _Oddities) -> BoxLabel:
    if header is None and drawn.size:
        header = Header(drawn.size)
    if header is None:
        return BoxLabel((), np.zeros((0, 4), np.float32), np.zeros(0, bool))
    boxes = _upright(drawn, header, odd)
    height, width = header.size
    inside = np.clip(boxes, 0, np.array([width, height, width, height], np.float64))
    flat, away = _shortest(boxes) <= NOTHING, _shortest(inside) <= NOTHING
    first = _first_of_equals(drawn.names, inside)
    keep = ~flat & ~away & first
    cut = np.abs(inside - boxes).max(1, initial=0) > OUTSIDE
    odd.add(_FLAT, drawn.path, int(flat.sum()))
    odd.add(_AWAY, drawn.path, int((~flat & away).sum()))
    odd.add(_TWICE, drawn.path, int((~flat & ~away & ~first).sum()))
    odd.add(_CUT, drawn.path, int((keep & cut).sum()))
    odd.add(_EMPTY, drawn.path, int(not keep.any()))
    names = tuple(name for name, kept in zip(drawn.names, keep, strict=True) if kept)
    return BoxLabel(names, inside[keep].astype(np.float32), drawn.ignored[keep])


def _upright(drawn: DrawnBoxes, header: Header, odd: _Oddities) -> NDArray[np.float64]:
    """Boxes in the pixels of the upright image; those of no finite numbers become points."""
    if not len(drawn.boxes):
        return drawn.boxes
    finite = np.isfinite(drawn.boxes).all(1, keepdims=True)
    boxes = np.where(finite, drawn.boxes, 0.0)
    height, width = header.size
    sideways = swaps_sides(header.orientation) and height != width
    if sideways and drawn.size == (width, height):
        odd.add(_TURNED, drawn.path)
        turned = [upright_box(tuple(box), header.size, header.orientation) for box in boxes]
        return np.array(turned, np.float64)
    if header.orientation != 1 and not (sideways and drawn.size == header.size):
        odd.add(_UNSURE, drawn.path)
    scale = np.ones(4)
    if drawn.relative:
        scale = np.array([width, height, width, height], np.float64)
    elif drawn.size and drawn.size != header.size and min(drawn.size) > 0:
        odd.add(_SCALED, drawn.path)
        across, down = width / drawn.size[1], height / drawn.size[0]
        scale = np.array([across, down, across, down])
    scaled: NDArray[np.float64] = boxes * scale
    return scaled


def _shortest(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    shortest: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).min(1)
    return shortest


def _first_of_equals(names: Iterable[str], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    seen: set[tuple[object, ...]] = set()
    first = []
    for name, box in zip(names, boxes, strict=True):
        key = (name, *box.round(2).tolist())
        first.append(key not in seen)
        seen.add(key)
    return np.array(first, bool)
