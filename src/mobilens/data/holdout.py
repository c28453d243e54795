"""Divide data that is not divided: the same way every time, everywhere."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from mobilens.data.listing import Part
from mobilens.data.names import relative_name


def hold_out(part: Part, fraction: float = 0.2, seed: int = 0) -> tuple[Part, Part]:
    """Hold out a share of each class.

    The files of a class are ranked by a hash of ``seed`` and their name from the part's root, and
    the first are held out. So the choice depends neither on other classes nor on the machine, and
    a file that is added or removed changes the side of one other at most.

    Args:
        part: Files with labels.
        fraction: Share held out, rounded; at least one file and at most all but one of a class,
            and none of a class with a single file.
        seed: Chooses another share.

    Returns:
        What is left, as ``"train"``, and what is held out, as ``"val"``.
    """
    classes: defaultdict[str, list[tuple[str, Path]]] = defaultdict(list)
    for path, label in part.files:
        key = f"{seed}\0{relative_name(path, part.root)}"
        classes[label].append((hashlib.sha256(key.encode()).hexdigest(), path))
    held: set[tuple[Path, str]] = set()
    for label, ranked in classes.items():
        count = min(len(ranked) - 1, max(1, int(len(ranked) * fraction + 0.5)))
        held.update((path, label) for _, path in sorted(ranked)[:count])
    return (
        replace(part, split="train", files=tuple(file for file in part.files if file not in held)),
        replace(part, split="val", files=tuple(file for file in part.files if file in held)),
    )
