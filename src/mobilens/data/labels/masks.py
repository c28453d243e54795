"""A class for every pixel: the label names its classes and can load itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mobilens.vision.masks import MaskSource, MaskTarget

LEAST_CLASSES = 2
# From fewer images, one held out of each class would be far more than a fifth of all.
LEAST_GROUP = 5


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


def classes(target: MaskTarget) -> tuple[int, ...]:
    """Give the classes that occur, each once: images are counted, not pixels."""
    return target.classes


def text(target: MaskTarget, class_names: Sequence[str]) -> str:  # noqa: ARG001
    """Hash of the mask."""
    return target.source.text()


def strata(labels: Sequence[MaskLabel]) -> list[str]:
    """Group by the class that the fewest images have; small groups are one."""
    images = Counter(name for label in labels for name in label.names)
    rarest = [min(label.names, key=lambda n: (images[n], n), default="") for label in labels]
    sizes = Counter(rarest)
    return [name if sizes[name] >= LEAST_GROUP else "" for name in rarest]
