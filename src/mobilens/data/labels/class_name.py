"""One class for each image: the label is its name, the target its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LEAST_CLASSES = 2
OPEN = False


def names(label: str) -> tuple[str, ...]:
    """Name the class."""
    return (label,)


def target(label: str, index: Mapping[str, int]) -> int:
    """Give the number of the class."""
    return index[label]


def region(target: int) -> None:
    """Of every image all is meant."""


def classes(target: int) -> tuple[int, ...]:
    """Give the class."""
    return (target,)


def text(target: int, class_names: Sequence[str]) -> str:
    """Name the class."""
    return class_names[target]


def strata(labels: Sequence[str]) -> list[str]:
    """Group by class."""
    return list(labels)
