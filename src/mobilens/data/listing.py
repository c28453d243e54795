"""What a format reads: files with the names of their labels, before any of them is numbered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mobilens.data.labels import label_kind

Split = Literal["train", "val", "test"]
Source = str | Path | Sequence[str | Path]

# What people call the parts, compared without regard to case; the first that exists counts.
SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Part:
    """Labelled files that belong together.

    Attributes:
        split: Which part of the data it is; None where the source does not divide itself.
        root: Folder that files are named from.
        files: (path, label) of each file; the label is of the listing's kind.
        empty: Class folders without an image.
    """

    split: Split | None
    root: Path
    files: tuple[tuple[Path, Any], ...]
    empty: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """All that a source lists.

    Attributes:
        name: The source in messages.
        parts: One without a split, or one of each split that exists.
        notes: What a person should know about the reading, one sentence each.
        labels: Kind of the labels, one of ``data.labels.LABELS``.
        class_names: Classes in the source's own order, where it states them; else empty.
        links: Pairs of them that belong together, such as the ends of a limb.
    """

    name: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    labels: str = "class"
    class_names: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    def names_in(self, part: Part) -> Iterator[str]:
        """The classes that the labels of a part speak of, each as often as they do."""
        names = label_kind(self.labels).names
        return (name for _, label in part.files for name in names(label))

    def part(self, *splits: Split | None) -> Part | None:
        """The first of ``splits`` that exists."""
        by_split = {part.split: part for part in self.parts}
        return next((by_split[split] for split in splits if split in by_split), None)


def split_named(name: str) -> Split | None:
    """Tell which part of the data a folder or a cell of this name stands for, if any."""
    folded = name.strip().casefold()
    return next((split for split, names in SPLIT_NAMES.items() if folded in names), None)


def some(items: Sequence[object], limit: int = 3) -> str:
    """Name a few items and count the others: ``"a, b, c and 4 more"``."""
    shown = ", ".join(str(item) for item in items[:limit])
    return f"{shown} and {len(items) - limit} more" if len(items) > limit else shown
