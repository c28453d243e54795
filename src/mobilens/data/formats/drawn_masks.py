"""What formats of masks share: which way up labels were drawn, and what is said of classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mobilens.data.formats.drawn_boxes import Words, counted
from mobilens.data.listing import Part, Split
from mobilens.errors import ImageError
from mobilens.vision.decode import Header, read_header
from mobilens.vision.orientation import swaps_sides

# Share of a side; further off, it is no rounding that gives labels another shape than their image.
OTHER_SHAPE = 0.02

TURNED: Words = (
    "image is turned by its EXIF and was labelled before that, so its mask is turned with it",
    "images are turned by their EXIF and were labelled before that, so their masks are turned "
    "with them",
)
UNSURE: Words = (
    "image is turned by its EXIF, and its mask does not tell whether it was drawn after that, "
    "as is assumed",
    "images are turned by their EXIF, and their masks do not tell whether they were drawn after "
    "that, as is assumed",
)


def header_of(path: Path) -> Header | None:
    """Read an image's header; None where it has none: it is named when it is decoded."""
    try:
        return read_header(path)
    except ImageError:
        return None


def turn_of(header: Header, size: tuple[int, int]) -> tuple[int, Words | None]:
    """Tell how labels are to be turned to lie on the upright image.

    Args:
        header: The image's.
        size: (height, width) that the labels were drawn on.

    Returns:
        EXIF orientation, 1 for none, and what is to be said of it.
    """
    if header.orientation == 1:
        return 1, None
    height, width = header.size
    stored_fits, upright_fits = same_shape(size, (width, height)), same_shape(size, header.size)
    if swaps_sides(header.orientation) and stored_fits != upright_fits:
        return (header.orientation, TURNED) if stored_fits else (1, None)
    return 1, UNSURE


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a (height, width) is another one scaled, up to rounding."""
    across = other[1] * size[0] / other[0]
    return abs(size[1] - across) <= max(1.0, OTHER_SHAPE * across)


def unused_classes(part: Part, class_names: Sequence[str]) -> list[str]:
    """Tell in a sentence, or in none, which classes have nothing to be learnt from.

    Args:
        part: The part to learn from, with mask labels.
        class_names: All classes of the source.
    """
    used = {name for _, label in part.files for name in label.names}
    unused = [name for name in class_names if name not in used]
    if not unused:
        return []
    words = (
        f"of {len(class_names)} classes occurs in no mask",
        f"of {len(class_names)} classes occur in no mask",
    )
    return [counted(len(unused), words, unused)]


def of_part(split: Split | None, notes: Sequence[str]) -> list[str]:
    """Say of each note which part it is about."""
    return [f"{split}: {note}" if split else note for note in notes]
