"""Kinds of labels: what a format says of an image, and what that is once classes have numbers.

A kind is a module with the functions of ``LabelKind``. A task names the kind that it learns from;
several may share one. To add a kind, write the module, name it in ``LABELS``, and give it formats
in ``data.formats``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

from mobilens.vision.orientation import Box

LABELS = {
    "class": "mobilens.data.labels.class_name",
    "boxes": "mobilens.data.labels.boxes",
    "masks": "mobilens.data.labels.masks",
    "points": "mobilens.data.labels.points",
    "identity": "mobilens.data.labels.identity",
}


class LabelKind(Protocol):
    """What is done with labels of a kind.

    A label names classes, as it stands on disk; a target has their numbers instead.
    """

    LEAST_CLASSES: int  # fewer cannot be told apart
    OPEN: bool  # whether a model is measured on other classes than those that it learns

    def names(self, label: Any) -> Iterable[str]:
        """Name the classes that a label speaks of."""
        ...

    def target(self, label: Any, index: Mapping[str, int]) -> Any:
        """Give a label with numbers for its classes; ``index`` has them all."""
        ...

    def region(self, target: Any) -> Box | None:
        """Give the part of the image that a target speaks of, xyxy; None for all of it."""
        ...

    def classes(self, target: Any) -> Iterable[int]:
        """Give the class of each thing in a target, as often as it is there."""
        ...

    def text(self, target: Any, class_names: Sequence[str]) -> str:
        """Write a target down: other targets have another text."""
        ...

    def strata(self, labels: Sequence[Any]) -> list[str]:
        """Put every label into a group, of which each shall be in every part of the data."""
        ...


def label_kind(name: str) -> LabelKind:
    """Look a kind of labels up; the names are those in ``LABELS``."""
    return cast(LabelKind, importlib.import_module(LABELS[name]))
