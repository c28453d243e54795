"""Figures of detection: COCO's mean average precision, class by class, and what is confused.

Average precision is computed by faster-coco-eval, whose figures are pycocotools' own. Sizes are
those of boxes: small below 32², large above 96² pixels of the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import DataError, MissingExtraError
from mobilens.vision.boxes import BoxTarget, areas, iou
from mobilens.vision.intervals import Estimate
from mobilens.vision.tasks import Chart, Confusion, Curve, Table

if TYPE_CHECKING:
    from mobilens.vision.detection import DetectionPrediction

IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
RESAMPLES = 200
# Where the confusion is counted: scores that people see, boxes that overlap by half.
CONFIDENT, OVERLAPPING = 0.3, 0.5
BACKGROUND = "background"


@dataclass(frozen=True)
class ClassPrecision:
    """One class.

    Attributes:
        name: Its name.
        ap: Average precision over IoU 0.5 to 0.95, 0 to 1; None where nothing of it is in the data.
        ap50: At IoU 0.5, likewise.
        objects: How many there are.
        curve: Highest precision at IoU 0.5 for a recall of 0, 0.01 ... 1, or more.
    """

    name: str
    ap: float | None
    ap50: float | None
    objects: int
    curve: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class DetectionScores:
    """All figures of a data set, each 0 to 1; None where there is nothing to measure it on.

    Attributes:
        map: Mean over classes and over IoU 0.5 to 0.95 in steps of 0.05.
        map50: At IoU 0.5.
        map75: At IoU 0.75.
        by_size: The mean over IoU, of small, medium and large things.
        recall: Share of things found by 100 answers an image, mean over classes and IoU.
        classes: Each class.
        confusion: (classes + 1, classes + 1): things by what they were taken for; the last row is
            what was found where nothing is, the last column what was missed.
        matches: What intervals are made of.
    """

    map: float
    map50: float
    map75: float
    by_size: dict[str, float | None]
    recall: float
    classes: tuple[ClassPrecision, ...]
    confusion: NDArray[np.int64]
    matches: _Matches = field(repr=False)

    @property
    def kind(self) -> str:
        """The task."""
        return "detect"

    @cached_property
    def main(self) -> Estimate:
        """Mean average precision with its 95 % interval, by resampling images."""
        return _with_interval(self.map, list(self.matches.drawn()))

    @property
    def stated(self) -> dict[str, float]:
        """What a model file states."""
        return {"map": self.map}

    def to_json(self) -> dict[str, Any]:
        """Give every figure as JSON values."""
        return {
            "map": self.map,
            "map_interval": [self.main.low, self.main.high],
            "map50": self.map50,
            "map75": self.map75,
            **{f"map_{size}": value for size, value in self.by_size.items()},
            "recall_100": self.recall,
            "per_class": [
                {"name": one.name, "ap": one.ap, "ap50": one.ap50, "objects": one.objects}
                for one in self.classes
            ],
            "confusion": {
                "names": [*(one.name for one in self.classes), BACKGROUND],
                "counts": self.confusion.tolist(),
            },
        }

    def tables(self) -> list[Table]:
        """Give the figures for a person."""
        whole = [
            ("mAP (IoU 0.50 to 0.95)", self.main.percent()),
            ("mAP at IoU 0.50", _percent(self.map50)),
            ("mAP at IoU 0.75", _percent(self.map75)),
            *((f"mAP of {size} things", _percent(value)) for size, value in self.by_size.items()),
            ("recall of 100 answers", _percent(self.recall)),
        ]
        each = [
            (one.name, _percent(one.ap), _percent(one.ap50), f"{one.objects:,}")
            for one in self.classes
        ]
        return [
            Table("Average precision", ("figure", "%"), tuple(whole)),
            Table("Each class", ("class", "AP %", "AP50 %", "objects"), tuple(each)),
        ]

    def curves(self) -> list[Curve]:
        """Precision over recall of each class that is there."""
        recalls = [step / 100 for step in range(101)]
        return [
            Curve(one.name, tuple(zip(recalls, one.curve, strict=True)))
            for one in self.classes
            if one.curve
        ]

    def charts(self) -> list[Chart]:
        """Give the curves in one chart."""
        return [
            Chart(
                "Precision over recall",
                "recall",
                "precision",
                tuple(self.curves()),
                "At IoU 0.50: share of the answers that are right, as more and more of the things "
                "are found.",
            )
        ]

    def confused(self) -> Confusion:
        """Give the confusion matrix."""
        return Confusion(
            (*(one.name for one in self.classes), BACKGROUND),
            self.confusion,
            background=True,
            about=f"The row {BACKGROUND} is what was found where nothing is, the column "
            f"{BACKGROUND} what was missed. Counted are answers with a score of {CONFIDENT:g} or "
            f"more, each for the thing that it overlaps by half (IoU {OVERLAPPING:.2f}) or more.",
        )


class DetectionMetric:
    """Gathers answers and truths of images.

    Args:
        class_names: Names in the order of the model.
    """

    def __init__(self, class_names: tuple[str, ...]) -> None:
        self.class_names = class_names
        self._pairs: list[tuple[DetectionPrediction, BoxTarget]] = []
        self._confusion = np.zeros([len(class_names) + 1] * 2, np.int64)

    def update(
        self, predictions: Sequence[DetectionPrediction], targets: Sequence[BoxTarget]
    ) -> None:
        """Add a batch: what was found and what is there, for each image."""
        for prediction, target in zip(predictions, targets, strict=True):
            self._pairs.append((prediction, target))
            _confuse(self._confusion, prediction.above(CONFIDENT), target)

    def value(self) -> float:
        """Mean average precision."""
        return self.result().map

    def result(self) -> DetectionScores:
        """Give the scores over everything added so far.

        Raises:
            DataError: There is nothing to find in the images.
            MissingExtraError: faster-coco-eval is not installed.
        """
        if not any((~target.ignored).any() for _, target in self._pairs):
            raise DataError(
                f"there is nothing to find in the {len(self._pairs)} images",
                expected="one labelled box or more",
            )
        return _scores(_Matches(self._pairs, self.class_names), self._confusion)


def precision_lost(
    before: Sequence[DetectionPrediction],
    after: Sequence[DetectionPrediction],
    targets: Sequence[BoxTarget],
    class_names: tuple[str, ...],
) -> Estimate:
    """Measure how much smaller mean average precision became, on the very same images.

    Args:
        before: Answers of a first model.
        after: Answers of a second one.
        targets: What is there.
        class_names: Names in the order of both models.

    Returns:
        The difference, with its 95 % interval by resampling images.
    """
    one, other = (
        _Matches(list(zip(answers, targets, strict=True)), class_names)
        for answers in (before, after)
    )
    value = (one.main() or 0.0) - (other.main() or 0.0)
    pairs = zip(one.drawn(), other.drawn(), strict=True)
    return _with_interval(value, [first - second for first, second in pairs])


def _with_interval(value: float, drawn: Sequence[float]) -> Estimate:
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(value, min(float(low), value), max(float(high), value))


class _Matches:
    """What the evaluator found for every image, class and size."""

    def __init__(
        self, pairs: Sequence[tuple[DetectionPrediction, BoxTarget]], class_names: tuple[str, ...]
    ) -> None:
        self.class_names = class_names
        self.objects = np.bincount(
            np.concatenate([target.classes[~target.ignored] for _, target in pairs]),
            minlength=len(class_names),
        )
        self._images = len(pairs)
        self._evaluator = _evaluator(pairs, class_names)
        self._evaluator.evaluate()

    def accumulate(self, chosen: NDArray[np.int64] | None = None) -> Any:
        """Precision, (IoU, recall, class, size, answers), and recall, of all or some images."""
        from faster_coco_eval.core.faster_eval_api import _C

        found = self._evaluator._evalImgs_cpp
        if chosen is not None:
            blocks = np.arange(len(found)).reshape(-1, self._images)[:, chosen]
            found = [found[index] for index in blocks.ravel()]
        return _C.COCOevalAccumulate(self._evaluator._paramsEval, found)

    def drawn(self) -> Iterator[float]:
        """Mean average precision of resampled images, the same ones for all that have as many."""
        stream = np.random.default_rng(0)
        for _ in range(RESAMPLES):
            value = self.main(stream.integers(0, self._images, self._images))
            yield math.nan if value is None else value

    def main(self, chosen: NDArray[np.int64] | None = None) -> float | None:
        """Mean average precision over things of every size."""
        precision, _ = _shaped(self.accumulate(chosen))
        return _mean(precision[..., 0])


def _evaluator(
    pairs: Sequence[tuple[DetectionPrediction, BoxTarget]], class_names: tuple[str, ...]
) -> Any:
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError:
        raise MissingExtraError.needed_for(
            "measuring detection", "detect", "faster-coco-eval"
        ) from None
    annotations: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    for image, (prediction, target) in enumerate(pairs, start=1):
        sizes = areas(target.boxes)
        for box, number, ignored, area in zip(
            target.boxes, target.classes, target.ignored, sizes, strict=True
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(number) + 1,
                    "bbox": _xywh(box),
                    "area": float(area),
                    "iscrowd": int(ignored),
                }
            )
        for box, number, score in zip(
            prediction.boxes, prediction.classes, prediction.scores, strict=True
        ):
            answers.append(
                {
                    "image_id": image,
                    "category_id": int(number) + 1,
                    "bbox": _xywh(box),
                    "score": float(score),
                }
            )
    truth = COCO(
        {
            "info": {},
            "images": [{"id": image} for image in range(1, len(pairs) + 1)],
            "categories": [
                {"id": number, "name": name} for number, name in enumerate(class_names, start=1)
            ],
            "annotations": annotations,
        }
    )
    found = truth.loadRes(answers) if answers else COCO({**truth.dataset, "annotations": []})
    return COCOeval_faster(truth, found, "bbox", print_function=lambda _: None, separate_eval=True)


def _scores(matches: _Matches, confusion: NDArray[np.int64]) -> DetectionScores:
    precision, recall = _shaped(matches.accumulate())
    each = tuple(
        ClassPrecision(
            name,
            _mean(precision[:, :, number, 0]),
            _mean(precision[0, :, number, 0]),
            int(matches.objects[number]),
            tuple(float(value) for value in precision[0, :, number, 0] if value >= 0),
        )
        for number, name in enumerate(matches.class_names)
    )
    sizes = enumerate(("small", "medium", "large"), start=1)
    return DetectionScores(
        map=_mean(precision[..., 0]) or 0.0,
        map50=_mean(precision[0, :, :, 0]) or 0.0,
        map75=_mean(precision[IOUS.index(0.75), :, :, 0]) or 0.0,
        by_size={name: _mean(precision[..., index]) for index, name in sizes},
        recall=_mean(recall[..., 0]) or 0.0,
        classes=each,
        confusion=confusion,
        matches=matches,
    )


def _shaped(found: dict[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision, (IoU, recall, class, size), and recall, (IoU, class, size), of 100 answers."""
    counts = found["counts"]
    precision = np.asarray(found["precision"], np.float64).reshape(counts)
    recall = np.asarray(found["recall"], np.float64).reshape([counts[0], *counts[2:]])
    return precision[..., -1], recall[..., -1]


def _mean(values: NDArray[np.float64]) -> float | None:
    """Mean of what is defined; COCO marks what is not by -1."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _confuse(confusion: NDArray[np.int64], shown: DetectionPrediction, target: BoxTarget) -> None:
    """Count each thing under what it was taken for: of the answers over it, the surest."""
    background = len(confusion) - 1
    overlap = iou(shown.boxes, target.boxes)
    free = ~target.ignored
    for row, number in zip(overlap, shown.classes, strict=True):
        best = int(np.argmax(row * free)) if free.any() else -1
        if best >= 0 and free[best] and row[best] >= OVERLAPPING:
            free[best] = False
            confusion[target.classes[best], number] += 1
        elif not (row[target.ignored] >= OVERLAPPING).any():
            confusion[background, number] += 1
    for number in target.classes[free]:
        confusion[number, background] += 1


def _xywh(box: NDArray[np.float32]) -> list[float]:
    left, top, right, bottom = (float(side) for side in box)
    return [left, top, right - left, bottom - top]


def _percent(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{100 * value:.1f}"
