"""Labels that a model finds hard to believe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilens.data.lint.finding import Finding, Item, counted

# From the label's probability to the answer's: a net that hardly tells its classes apart
# contradicts many labels, and none of them with conviction.
LEAST_GAP = 0.3


@dataclass(frozen=True)
class Suspect:
    """A label that may be wrong.

    Attributes:
        index: Which image.
        given: Index of its label.
        likely: Index of the class that the model sees.
        given_probability: What the model gives to the label, 0 to 1.
        likely_probability: What it gives to the other class, 0 to 1.
    """

    index: int
    given: int
    likely: int
    given_probability: float
    likely_probability: float


def find_suspects(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> list[Suspect]:
    """Find labels that a model contradicts with more than its usual confidence.

    The rule of confident learning (Northcutt, Jiang and Chuang, 2021): the usual confidence in a
    class is the mean probability that images labelled so get for it. An image is suspect if
    another class reaches its usual confidence, its own label does not, and that class is the
    model's answer. Here it must be so by a wide gap, too.

    Args:
        probabilities: (N, classes), the model's answers, best on images it has not learnt.
        targets: (N,), index of each label.

    Returns:
        The suspects, the widest gap between the two probabilities first.
    """
    num_classes = probabilities.shape[1]
    own = probabilities[np.arange(len(targets)), targets]
    counts = np.bincount(targets, minlength=num_classes)
    sums = np.bincount(targets, weights=own, minlength=num_classes)
    # A class without images has no usual confidence: nothing is sure enough to be of it.
    usual = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    likely = probabilities.argmax(axis=1)
    highest = probabilities.max(axis=1)
    is_suspect = (highest >= usual[likely]) & (own < usual[targets]) & (highest - own >= LEAST_GAP)
    order = sorted(np.nonzero(is_suspect)[0].tolist(), key=lambda at: own[at] - highest[at])
    return [
        Suspect(at, int(targets[at]), int(likely[at]), float(own[at]), float(highest[at]))
        for at in order
    ]


def find_mislabelled(
    names: Sequence[str],
    class_names: Sequence[str],
    probabilities: NDArray[np.float32],
    targets: NDArray[np.int64],
) -> list[Finding]:
    """List the suspects by name.

    Args:
        names: (N,), the images as the report names them.
        class_names: Names in the order of the probabilities.
        probabilities: (N, classes).
        targets: (N,).
    """
    suspects = find_suspects(probabilities, targets)
    if not suspects:
        return []
    items = tuple(
        Item(
            f"{names[one.index]}: labelled {class_names[one.given]} "
            f"({100 * one.given_probability:.0f} %), looks like {class_names[one.likely]} "
            f"({100 * one.likely_probability:.0f} %)",
            (names[one.index],),
        )
        for one in suspects
    )
    return [
        Finding(
            "mislabelled",
            "warning",
            f"{counted(len(suspects), 'label')} of {len(names):,} that the model finds hard to "
            "believe",
            "look at them; the label may be wrong, or the image a hard one",
            items,
        )
    ]
