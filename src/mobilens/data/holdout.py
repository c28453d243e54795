"""Divide data that is not divided: the same way every time, everywhere."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from mobilens.data.labels import LabelKind, label_kind
from mobilens.data.listing import Part
from mobilens.data.names import relative_name

T = TypeVar("T", str, Path)


def hold_out(
    part: Part, fraction: float = 0.2, seed: int = 0, *, labels: str = "class"
) -> tuple[Part, Part]:
    """Hold out a share of each class; of open labels (``data.labels``), a share of the classes.

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
    kind = label_kind(labels)
    if kind.OPEN:
        return _divided(part, _some_classes(part, kind, fraction, seed))
    classes: defaultdict[str, set[tuple[str, Path]]] = defaultdict(set)
    strata = kind.strata([label for _, label in part.files])
    for (path, _), stratum in zip(part.files, strata, strict=True):
        classes[stratum].add((_rank(relative_name(path, part.root), seed), path))
    # All things of one image are on one side.
    held = {path for ranked in classes.values() for path in _first(ranked, fraction)}
    return _divided(part, [path in held for path, _ in part.files])


def _some_classes(part: Part, kind: LabelKind, fraction: float, seed: int) -> list[bool]:
    """Choose whole classes: what a model has learnt of says nothing of those to come."""
    named = [tuple(kind.names(label)) for _, label in part.files]
    ranked = {(_rank(name, seed), name) for names in named for name in names}
    # What is told apart takes two, on either side.
    held = set(_first(ranked, fraction, least=2))
    return [not held.isdisjoint(names) for names in named]


def _rank(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}\0{name}".encode()).hexdigest()


def _first(ranked: Collection[tuple[str, T]], fraction: float, least: int = 1) -> list[T]:
    """The share to hold out, by rank: at least so many, and as many are left; or none."""
    if len(ranked) < 2 * least:
        return []
    count = min(len(ranked) - least, max(least, int(len(ranked) * fraction + 0.5)))
    return [item for _, item in sorted(ranked)[:count]]


def _divided(part: Part, held: Sequence[bool]) -> tuple[Part, Part]:
    kept, out = (
        tuple(file for file, is_held in zip(part.files, held, strict=True) if is_held == wanted)
        for wanted in (False, True)
    )
    return replace(part, split="train", files=kept), replace(part, split="val", files=out)
