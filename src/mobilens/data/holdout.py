"""Divide data that is not divided: the same way every time, everywhere."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from mobilens.data.labels import label_kind
from mobilens.data.listing import Part
from mobilens.data.names import relative_name


def hold_out(
    part: Part, fraction: float = 0.2, seed: int = 0, *, labels: str = "class"
) -> tuple[Part, Part]:
    """Hold out a share of each class.

    The files of a class are ranked by a hash of ``seed`` and their name from the part's root, and
    the first are held out. So the choice depends neither on other classes nor on the machine, and
    a file that is added or removed changes the side of one other at most.

    Args:
        part: Files with labels.
        fraction: Share held out, rounded; at least one file and at most all but one of a class,
            and none of a class with a single file.
        seed: Chooses another share.
        labels: Kind of the labels, which says what counts as a class here.

    Returns:
        What is left, as ``"train"``, and what is held out, as ``"val"``.
    """
    classes: defaultdict[str, list[tuple[str, Path, int]]] = defaultdict(list)
    strata = label_kind(labels).strata([label for _, label in part.files])
    for index, ((path, _), stratum) in enumerate(zip(part.files, strata, strict=True)):
        key = f"{seed}\0{relative_name(path, part.root)}"
        classes[stratum].append((hashlib.sha256(key.encode()).hexdigest(), path, index))
    held: set[int] = set()
    for ranked in classes.values():
        count = min(len(ranked) - 1, max(1, int(len(ranked) * fraction + 0.5)))
        held.update(index for _, _, index in sorted(ranked)[:count])
    kept, out = (
        tuple(file for index, file in enumerate(part.files) if (index in held) == is_held)
        for is_held in (False, True)
    )
    return replace(part, split="train", files=kept), replace(part, split="val", files=out)
