"""The confusion matrix as a table of shaded cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mobilens.vision.classification_scores import ClassificationScores

# Beyond this many classes, counts do not fit into the cells and are left to the tooltips.
COUNTS_FIT = 30
# Beyond this many, only the classes with the most errors are shown.
MOST_SHOWN = 100
# Opacities between are left out: on them neither ink nor its counterpart reads well (contrast 4.5).
DEEP_SHARE = 0.55
LIGHT_SHADES_END, DEEP_SHADES_BEGIN = 0.55, 0.9
# A cell without its count must be seen by its colour alone.
COUNTED_FLOOR, PLAIN_FLOOR = 0.12, 0.25


@dataclass(frozen=True)
class Cell:
    """One pair of true and answered class.

    Attributes:
        count: Images.
        share: Of the true class's images, 0 to 1.
        shade: Opacity of the colour behind the count.
        deep: Whether that colour is so strong that the count is written in its counterpart.
        right: Whether answered and true class are the same.
        words: The same in a sentence; empty for no images.
    """

    count: int
    share: float
    shade: float
    deep: bool
    right: bool
    words: str


@dataclass(frozen=True)
class ConfusionTable:
    """What the page shows.

    Attributes:
        names: Classes in order, for rows and columns alike.
        rows: A row for each true class, a cell for each answered one.
        numbered: Whether cells hold their counts.
        left_out: How many classes are not shown.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbered: bool
    left_out: int


def confusion_table(scores: ClassificationScores) -> ConfusionTable:
    """Prepare the matrix for the page; of too many classes, those with the most errors."""
    counts = scores.confusion
    errors = counts - np.diag(np.diag(counts))
    by_errors = np.argsort(-(errors.sum(axis=0) + errors.sum(axis=1)), kind="stable")
    shown = sorted(by_errors[:MOST_SHOWN].tolist())
    names = [scores.per_class[index].name for index in shown]
    support = [scores.per_class[index].support for index in shown]
    numbered = len(shown) <= COUNTS_FIT
    rows = []
    for i, truth in enumerate(shown):
        row = []
        for j, answer in enumerate(shown):
            count = int(counts[truth, answer])
            words = f"{count} of {support[i]} {names[i]} answered {names[j]}" if count else ""
            share = count / support[i] if count else 0.0
            shade = _shade(share, COUNTED_FLOOR if numbered else PLAIN_FLOOR)
            row.append(Cell(count, share, shade, share > DEEP_SHARE, i == j, words))
        rows.append(tuple(row))
    return ConfusionTable(
        names=tuple(names),
        rows=tuple(rows),
        numbered=numbered,
        left_out=len(scores.per_class) - len(shown),
    )


def _shade(share: float, floor: float) -> float:
    """Opacity for a share, 0 to 1: from the floor up for dark ink, then strong for light ink."""
    if share > DEEP_SHARE:
        return DEEP_SHADES_BEGIN + (1 - DEEP_SHADES_BEGIN) * (share - DEEP_SHARE) / (1 - DEEP_SHARE)
    return floor + (LIGHT_SHADES_END - floor) * share / DEEP_SHARE
