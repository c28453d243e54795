"""Which points of a person belong together, told by their names, where no file says so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
_LIMBS = {
    *(("ankle", "knee"), ("hip", "knee"), ("hip", "hip"), ("hip", "shoulder")),
    *(("shoulder", "shoulder"), ("elbow", "shoulder"), ("elbow", "wrist")),
    *(("neck", "shoulder"), ("head top", "neck"), ("eye", "nose"), ("ear", "eye")),
}


def limbs(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Find the pairs of points that a line is drawn between.

    Args:
        names: Of all points, such as ``left_knee`` or ``l ankle``.

    Returns:
        Pairs in the order of the names; none for names that are not those of a person.
    """
    known = [(name, *_place(name)) for name in names]
    return tuple(
        (one[0], other[0])
        for one, other in combinations(known, 2)
        if _belong_together(one[1:], other[1:])
    )


def _place(name: str) -> tuple[str, str]:
    """The joint, and the side that it is on, if any."""
    words = re.findall("[^\\W_]+", name.casefold())
    side = next((_SIDES[word] for word in words if word in _SIDES), "")
    return " ".join(word for word in words if word not in _SIDES), side


def _belong_together(one: tuple[str, str], other: tuple[str, str]) -> bool:
    (joint, side), (other_joint, other_side) = sorted((one, other))
    if (joint, other_joint) not in _LIMBS:
        return False
    if joint == other_joint:  # across the body
        return {side, other_side} == {"left", "right"}
    return side == other_side or not side or not other_side
