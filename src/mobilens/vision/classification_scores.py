"""Classification scores: accuracy, per-class figures, confusion and calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilens.vision.calibration import Calibration, calibration
from mobilens.vision.intervals import (
    Estimate,
    count_rows,
    percentile_interval,
    resamples,
    wilson,
)
from mobilens.vision.tasks import Chart, Confusion, Table

MOST_CONFUSED = 10
# A table of more classes than this shows the weakest only.
SHOWN_CLASSES = 50
# A confusion matrix of more would not fit into a terminal.
MATRIX_CLASSES = 12


@dataclass(frozen=True)
class ClassScores:
    """The figures of one class; None where a figure is not defined.

    Attributes:
        name: The class.
        support: How many images are of this class.
        predicted: How many answers name it.
        precision: Share of these answers that is right; None if there are none.
        recall: Share of these images that is answered right; None if there are none.
        f1: Harmonic mean of both; None if the class neither occurs nor is answered.
    """

    name: str
    support: int
    predicted: int
    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None


# Arrays have no single truth value, so no generated `==`.
@dataclass(frozen=True, eq=False)
class ClassificationScores:
    """What a classifier reached on a data set.

    Attributes:
        num_images: How many images were answered.
        top1: Share whose most probable class is right.
        top5: Share whose right class is among the ``k`` most probable.
        k: 5, or the number of classes if that is fewer.
        per_class: In the order of the class names.
        macro_precision: Mean over the classes that occur; a class never answered counts as 0.
        macro_recall: Likewise; also known as balanced accuracy.
        macro_f1: Likewise.
        confusion: (classes, classes), counts; a row for each true class, a column for each
            answered one.
        calibration: How far confidence is from accuracy.
    """

    num_images: int
    top1: Estimate
    top5: Estimate
    k: int
    per_class: tuple[ClassScores, ...]
    macro_precision: Estimate
    macro_recall: Estimate
    macro_f1: Estimate
    confusion: NDArray[np.int64]
    calibration: Calibration

    @property
    def kind(self) -> str:
        """The task."""
        return "classify"

    @property
    def main(self) -> Estimate:
        """Top-1."""
        return self.top1

    def most_confused(self, limit: int = MOST_CONFUSED) -> list[tuple[str, str, int]]:
        """Give the most frequent errors as (true class, answered class, count)."""
        errors = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-errors, axis=None, kind="stable")[:limit]
        names = [scores.name for scores in self.per_class]
        pairs = [divmod(int(index), len(names)) for index in order]
        return [
            (names[truth], names[answer], int(errors[truth, answer]))
            for truth, answer in pairs
            if errors[truth, answer]
        ]

    def weakest(self, limit: int) -> list[ClassScores]:
        """Give the classes of lowest F1 among those that occur."""
        occurring = [(one.f1.value, one) for one in self.per_class if one.support and one.f1]
        occurring.sort(key=lambda pair: pair[0])
        return [one for _, one in occurring[:limit]]

    @property
    def stated(self) -> dict[str, float]:
        """What a model file states."""
        return {"top1": self.main.value}

    def to_json(self) -> dict[str, Any]:
        """Give every figure as JSON values, fractions from 0 to 1."""
        return {
            **_figure("top1", self.top1),
            **_figure("top5", self.top5),
            "top5_is_top": self.k,
            "num_images": self.num_images,
            **_figure("macro_precision", self.macro_precision),
            **_figure("macro_recall", self.macro_recall),
            **_figure("macro_f1", self.macro_f1),
            **_figure("ece", self.calibration.ece),
            "ece_if_calibrated": self.calibration.ece_if_calibrated,
            "per_class": {scores.name: _class_json(scores) for scores in self.per_class},
            "class_names": [scores.name for scores in self.per_class],
            "confusion": self.confusion.tolist(),
            "most_confused": [
                {"label": truth, "predicted": answer, "count": count}
                for truth, answer, count in self.most_confused()
            ],
            "reliability": [vars(one) for one in self.calibration.bins],
        }

    def tables(self) -> list[Table]:
        """Give the main figures, the classes, the errors and the calibration."""
        tables = [self._main_table(), self._class_table()]
        if len(self.per_class) <= MATRIX_CLASSES:
            tables.append(self._matrix_table())
        if confused := self.most_confused():
            rows = tuple((truth, answer, str(count)) for truth, answer, count in confused)
            tables.append(Table("Most confused", ("truth", "answered", "images"), rows))
        bins = [one for one in self.calibration.bins if one.count]
        header = ("confidence %", "images", "mean confidence %", "right %")
        rows_of_bins = tuple(
            (
                f"{100 * one.low:.0f} to {100 * one.high:.0f}",
                str(one.count),
                _percent(one.confidence),
                _percent(one.accuracy),
            )
            for one in bins
        )
        return [*tables, Table("Calibration", header, rows_of_bins)]

    def charts(self) -> list[Chart]:
        """Give none: the calibration has a picture of its own."""
        return []

    def confused(self) -> Confusion:
        """Give the confusion matrix."""
        return Confusion(tuple(one.name for one in self.per_class), self.confusion)

    def _main_table(self) -> Table:
        noise = f"{100 * self.calibration.ece_if_calibrated:.1f} if perfectly calibrated"
        top_k = [(f"top-{self.k}", self.top5.percent(), "")] if self.k > 1 else []
        return Table(
            f"{self.num_images:,} images",
            ("figure", "% (95 % interval)", ""),
            (
                ("top-1", self.top1.percent(), ""),
                *top_k,
                ("macro precision", self.macro_precision.percent(), ""),
                ("macro recall", self.macro_recall.percent(), ""),
                ("macro F1", self.macro_f1.percent(), ""),
                ("calibration error", self.calibration.ece.percent(), noise),
            ),
        )

    def _class_table(self) -> Table:
        title, shown = "Classes", list(self.per_class)
        if len(shown) > SHOWN_CLASSES:
            title = f"The {SHOWN_CLASSES} weakest of {len(shown):,} classes"
            shown = self.weakest(SHOWN_CLASSES)
        rows = tuple(
            (
                scores.name,
                str(scores.support),
                *(
                    figure.percent() if figure else "-"
                    for figure in (scores.precision, scores.recall, scores.f1)
                ),
            )
            for scores in shown
        )
        return Table(title, ("class", "images", "precision %", "recall %", "F1 %"), rows)

    def _matrix_table(self) -> Table:
        numbers = tuple(str(index + 1) for index in range(len(self.per_class)))
        rows = tuple(
            (f"{number} {scores.name}", *(str(count) if count else "-" for count in counts))
            for number, scores, counts in zip(numbers, self.per_class, self.confusion, strict=True)
        )
        title = "Confusion matrix: a row for each true class, a column for each answer"
        return Table(title, ("truth", *numbers), rows)


def score_classification(
    class_names: tuple[str, ...],
    targets: NDArray[np.int64],
    ranks: NDArray[np.int64],
    answers: NDArray[np.int64],
    confidences: NDArray[np.float64],
    seed: int = 0,
) -> ClassificationScores:
    """Score answers.

    Args:
        class_names: Names in the order of the indices.
        targets: (N,), index of the true class; N is 1 or more.
        ranks: (N,), place of the true class among the answers, 0 for the most probable.
        answers: (N,), index of the most probable class.
        confidences: (N,), its probability, 0 to 1.
        seed: Of the intervals' resamples.
    """
    classes, total = len(class_names), len(targets)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (targets, answers), 1)
    k = min(5, classes)
    f1, macro = _bootstrapped(targets, answers, classes, seed)
    hits = np.diag(confusion).tolist()
    supports, predicted = confusion.sum(axis=1).tolist(), confusion.sum(axis=0).tolist()
    return ClassificationScores(
        num_images=total,
        top1=_share(int((ranks == 0).sum()), total),
        top5=_share(int((ranks < k).sum()), total),
        k=k,
        per_class=tuple(
            ClassScores(
                name=name,
                support=supports[i],
                predicted=predicted[i],
                precision=wilson(hits[i], predicted[i]),
                recall=wilson(hits[i], supports[i]),
                f1=f1[i],
            )
            for i, name in enumerate(class_names)
        ),
        macro_precision=macro[0],
        macro_recall=macro[1],
        macro_f1=macro[2],
        confusion=confusion,
        calibration=calibration(confidences, answers == targets, seed),
    )


def _bootstrapped(
    targets: NDArray[np.int64], answers: NDArray[np.int64], classes: int, seed: int
) -> tuple[list[Estimate | None], list[Estimate]]:
    """Estimate F1 for each class, and macro precision, recall and F1."""
    f1, macro = _f1_and_macro(targets[None], answers[None], classes)
    drawn = [
        _f1_and_macro(targets[rows], answers[rows], classes)
        for rows in resamples(len(targets), seed, classes)
    ]
    # F1 rests on the images that are of the class or were taken for it.
    wrong = answers[answers != targets]
    counts = (
        np.bincount(targets, minlength=classes) + np.bincount(wrong, minlength=classes)
    ).tolist()
    f1_estimates = percentile_interval(f1[0], np.concatenate([one for one, _ in drawn]), counts)
    macros = percentile_interval(
        macro[0], np.concatenate([one for _, one in drawn]), [len(targets)] * macro.shape[1]
    )
    # Macro figures are always defined: at least one class occurs.
    return f1_estimates, [estimate for estimate in macros if estimate]


def _f1_and_macro(
    targets: NDArray[np.int64], answers: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give (rows, classes) F1, NaN where undefined, and (rows, 3) macro figures.

    Both arguments are (rows, samples).
    """
    supports = count_rows(targets, classes)
    predicted = count_rows(answers, classes)
    hits = count_rows(targets, classes, (targets == answers).astype(np.float64))
    occurs = supports > 0

    def ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)

    def macro(figure: NDArray[np.float64]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = np.where(occurs, np.nan_to_num(figure), 0).sum(axis=1)
        mean /= occurs.sum(axis=1)
        return mean

    f1 = ratio(2 * hits, supports + predicted)
    figures = (ratio(hits, predicted), ratio(hits, supports), f1)
    return f1, np.stack([macro(figure) for figure in figures], axis=1)


def _share(successes: int, trials: int) -> Estimate:
    estimate = wilson(successes, trials)
    assert estimate is not None, "a share needs one trial at least"
    return estimate


def _figure(name: str, estimate: Estimate | None) -> dict[str, Any]:
    return {
        name: estimate.value if estimate else None,
        f"{name}_interval": [estimate.low, estimate.high] if estimate else None,
    }


def _class_json(scores: ClassScores) -> dict[str, Any]:
    return {
        **_figure("precision", scores.precision),
        **_figure("recall", scores.recall),
        **_figure("f1", scores.f1),
        "support": scores.support,
        "predicted": scores.predicted,
    }


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
