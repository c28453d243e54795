"""The confusion matrix as a table of shaded cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilens.vision.tasks import Confusion

# Beyond this many classes, counts do not fit into the cells and are left to the tooltips.
COUNTS_FIT = 30
# Beyond this many, only the classes with the most errors are shown.
MOST_SHOWN = 100
MOST_CONFUSED = 10
# Opacities between are left out: on them neither ink nor its counterpart reads well (contrast 4.5).
DEEP_SHARE = 0.55
LIGHT_SHADES_END, DEEP_SHADES_BEGIN = 0.55, 0.9
# A cell without its count must be seen by its colour alone.
COUNTED_FLOOR, PLAIN_FLOOR = 0.12, 0.25


@dataclass(frozen=True)
class Cell:
    """One pair of true and answered class.

    Attributes:
        count: Images, or things in them.
        share: Of the row, 0 to 1.
        shade: Opacity of the colour behind the count.
        deep: Whether that colour is so strong that the count is written in its counterpart.
        right: Whether answered and true class are the same.
        words: The same in a sentence; empty for none.
    """

    count: int
    share: float
    shade: float
    deep: bool
    right: bool
    words: str


@dataclass(frozen=True)
class Error:
    """Something taken for something else.

    Attributes:
        of: The class that it is about.
        verb: What became of it.
        answer: What it was taken for; empty where the verb says it all.
        count: How often.
    """

    of: str
    verb: str
    answer: str
    count: int

    @property
    def words(self) -> str:
        """All but the count."""
        return f"{self.of} {self.verb} {self.answer}".rstrip()


@dataclass(frozen=True)
class ConfusionTable:
    """What the page shows.

    Attributes:
        names: Classes in order, for rows and columns alike; the background, if any, the last.
        rows: A row for each true class, a cell for each answered one.
        numbered: Whether cells hold their counts.
        classes: How many classes are shown.
        left_out: How many are not.
        most: The most frequent errors.
        about: What a person should know, as sentences.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbered: bool
    classes: int
    left_out: int
    most: tuple[Error, ...]
    about: str


def confusion_table(confusion: Confusion) -> ConfusionTable:
    """Prepare the matrix for the page; of too many classes, those with the most errors."""
    shown = _shown(confusion)
    numbered = len(shown) <= COUNTS_FIT
    floor = COUNTED_FLOOR if numbered else PLAIN_FLOOR
    return ConfusionTable(
        names=tuple(confusion.names[index] for index in shown),
        rows=tuple(
            tuple(_cell(confusion, truth, answer, floor) for answer in shown) for truth in shown
        ),
        numbered=numbered,
        classes=len(shown) - confusion.background,
        left_out=len(confusion.names) - len(shown),
        most=_most(confusion),
        about=confusion.about,
    )


def _cell(confusion: Confusion, truth: int, answer: int, floor: float) -> Cell:
    error = _error(confusion, truth, answer)
    total = int(confusion.counts[truth].sum())
    # The row of the background is no whole of which its cells are parts.
    of = "" if _is_background(confusion, truth) else f" of {total}"
    share = error.count / total if error.count else 0.0
    return Cell(
        count=error.count,
        share=share,
        shade=_shade(share, floor),
        deep=share > DEEP_SHARE,
        right=truth == answer,
        words=f"{error.count}{of} {error.words}" if error.count else "",
    )


def _errors(confusion: Confusion) -> NDArray[np.int64]:
    """The counts without those on the diagonal."""
    errors: NDArray[np.int64] = confusion.counts - np.diag(np.diag(confusion.counts))
    return errors


def _shown(confusion: Confusion) -> list[int]:
    """Classes with the most errors, in their order, and the background, if any."""
    errors = _errors(confusion)
    classes = len(errors) - confusion.background
    of_each = (errors.sum(axis=0) + errors.sum(axis=1))[:classes]
    worst = np.argsort(-of_each, kind="stable")[:MOST_SHOWN]
    return sorted(worst.tolist()) + list(range(classes, len(errors)))


def _most(confusion: Confusion) -> tuple[Error, ...]:
    errors = _errors(confusion)
    order = np.argsort(-errors, axis=None, kind="stable")[:MOST_CONFUSED]
    pairs = [divmod(int(index), len(errors)) for index in order]
    return tuple(_error(confusion, *pair) for pair in pairs if errors[pair])


def _error(confusion: Confusion, truth: int, answer: int) -> Error:
    names, count = confusion.names, int(confusion.counts[truth, answer])
    if _is_background(confusion, answer):
        return Error(names[truth], "missed", "", count)
    if _is_background(confusion, truth):
        return Error(names[answer], "found where nothing is", "", count)
    return Error(names[truth], "answered", names[answer], count)


def _is_background(confusion: Confusion, index: int) -> bool:
    return confusion.background and index == len(confusion.names) - 1


def _shade(share: float, floor: float) -> float:
    """Opacity for a share, 0 to 1: from the floor up for dark ink, then strong for light ink."""
    if share > DEEP_SHARE:
        return DEEP_SHADES_BEGIN + (1 - DEEP_SHADES_BEGIN) * (share - DEEP_SHARE) / (1 - DEEP_SHARE)
    return floor + (LIGHT_SHADES_END - floor) * share / DEEP_SHARE
