"""Images of odd size or without content."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median

from mobilens.data.lint.finding import Finding, Item, Severity, counted
from mobilens.data.lint.photo import Photo

TINY_SIDE = 32
EXTREME_ASPECT = 4.0
CLASS_SIZE_RATIO = 2.0
# Grey levels between the darkest and the lightest spot.
BLANK_RANGE = 8


def find_odd_looks(photos: Sequence[Photo]) -> list[Finding]:
    """Find tiny, very long and blank images, and classes of another size than the others."""
    readable = [photo for photo in photos if photo.is_readable]
    tiny = [photo for photo in readable if min(photo.size) < TINY_SIDE]
    # A data set of tiny images is what it is; a few among larger ones are icons by accident.
    severity: Severity = "note" if 2 * len(tiny) > len(readable) else "warning"
    found = [
        _listed(
            "tiny",
            severity,
            tiny,
            f"smaller than {TINY_SIDE} pixels on the short side: enlarged, they are blurred",
            "",
            _size_text,
        ),
        _listed(
            "extreme_aspect",
            "note",
            [photo for photo in readable if max(photo.size) > EXTREME_ASPECT * min(photo.size)],
            f"more than {EXTREME_ASPECT:g} times as long as wide: a net sees a small part of them, "
            "or all of them small",
            "",
            _size_text,
        ),
        _listed(
            "blank",
            "warning",
            [photo for photo in readable if photo.grey_range < BLANK_RANGE],
            "of one colour",
            "delete them, unless empty pictures are meant",
            lambda photo: photo.name,
        ),
        _class_sizes(readable),
    ]
    return [finding for finding in found if finding is not None]


def _listed(
    kind: str,
    severity: Severity,
    photos: Sequence[Photo],
    what: str,
    remedy: str,
    text: Callable[[Photo], str],
) -> Finding | None:
    if not photos:
        return None
    items = tuple(Item(text(photo), (photo.name,)) for photo in photos)
    return Finding(kind, severity, f"{counted(len(photos), 'image')} {what}", remedy, items)


def _class_sizes(photos: Sequence[Photo]) -> Finding | None:
    sides: defaultdict[str, list[int]] = defaultdict(list)
    for photo in photos:
        sides[photo.label].append(min(photo.size))
    usual = median([min(photo.size) for photo in photos]) if photos else 0
    odd = [
        Item(f"{label}: {median(found):,g} pixels, against {usual:,g} of all")
        for label, found in sides.items()
        if not usual / CLASS_SIZE_RATIO < median(found) < usual * CLASS_SIZE_RATIO
    ]
    if not odd:
        return None
    return Finding(
        "class_size",
        "note",
        f"{counted(len(odd), 'class', 'classes')} of another size than the rest (median short "
        "side): sharpness may give the answer away",
        "take all classes from like sources",
        tuple(odd),
    )


def _size_text(photo: Photo) -> str:
    height, width = photo.size
    return f"{photo.name}: {height:,} pixels high, {width:,} wide"
