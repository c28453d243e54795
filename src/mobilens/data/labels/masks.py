"""A class for every pixel: the label names its classes and can load itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mobilens.data.labels.rarest import by_rarest_class
from mobilens.vision.masks import MaskSource, MaskTarget

LEAST_CLASSES = 2
OPEN = False


@dataclass(frozen=True, eq=False)
class MaskLabel:
    """What is where in an image.

    Attributes:
        names: Classes that occur in it, each once.
        build: Makes the mask once classes have numbers.
    """

    names: tuple[str, ...]
    build: Callable[[Mapping[str, int]], MaskSource]


def names(label: MaskLabel) -> tuple[str, ...]:
    """Name the classes that occur."""
    return label.names


def target(label: MaskLabel, index: Mapping[str, int]) -> MaskTarget:
    """Give the mask with numbers for its classes."""
    return MaskTarget(label.build(index), tuple(index[name] for name in label.names))


def region(target: MaskTarget) -> None:
    """Of every image all is meant."""


def classes(target: MaskTarget) -> tuple[int, ...]:
    """Give the classes that occur, each once: images are counted, not pixels."""
    return target.classes


def text(target: MaskTarget, class_names: Sequence[str]) -> str:  # noqa: ARG001
    """Hash of the mask."""
    return target.source.text()


def strata(labels: Sequence[MaskLabel]) -> list[str]:
    """Group by the class that the fewest images have."""
    return by_rarest_class([label.names for label in labels])
