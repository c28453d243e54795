"""Figures of segmentation: overlap class by class, right pixels, and how well edges are met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import DataError
from mobilens.vision.intervals import Estimate
from mobilens.vision.masks import VOID, Mask, MaskTarget
from mobilens.vision.tasks import Chart, Confusion, Table

if TYPE_CHECKING:
    from mobilens.vision.segmentation import SegmentationPrediction

RESAMPLES = 200
# An edge is met within this share of the image's diagonal (Csurka et al., BMVC 2013).
EDGE_REACH = 0.0075
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SegmentationScores:
    """All figures of a data set, each 0 to 1.

    Attributes:
        miou: Intersection over union, mean over the classes that occur.
        pixel_accuracy: Share of pixels that are right.
        boundary_f1: How well edges are met, mean over images.
        iou: Of each class; None where it neither occurs nor is answered.
        confusion: (classes, classes): pixels by true and by answered class.
        class_names: Names in the order of the model.
        per_image: (images, classes, classes): the same of each image.
    """

    miou: float
    pixel_accuracy: float
    boundary_f1: float
    iou: tuple[float | None, ...]
    confusion: Counts
    class_names: tuple[str, ...]
    per_image: Counts = field(repr=False)

    @property
    def kind(self) -> str:
        """The task that these are figures of."""
        return "segment"

    @cached_property
    def main(self) -> Estimate:
        """Mean intersection over union with its 95 % interval, by resampling images."""
        return interval(self.miou, list(drawn(self.per_image)))

    @property
    def stated(self) -> dict[str, float]:
        """What a model file states."""
        return {"miou": self.miou}

    def to_json(self) -> dict[str, Any]:
        """Give every figure as JSON values."""
        return {
            "miou": self.miou,
            "miou_interval": [self.main.low, self.main.high],
            "pixel_accuracy": self.pixel_accuracy,
            "boundary_f1": self.boundary_f1,
            "per_class": [
                {"name": name, "iou": value, "pixels": int(pixels)}
                for name, value, pixels in zip(
                    self.class_names, self.iou, self.confusion.sum(1), strict=True
                )
            ],
            "confusion": {"names": list(self.class_names), "counts": self.confusion.tolist()},
        }

    def tables(self) -> list[Table]:
        """Give the figures for a person."""
        whole = (
            ("mIoU", self.main.percent()),
            ("right pixels", f"{100 * self.pixel_accuracy:.1f}"),
            ("edges met (F1)", f"{100 * self.boundary_f1:.1f}"),
        )
        pixels = self.confusion.sum(1)
        each = tuple(
            (
                name,
                "" if value is None else f"{100 * value:.1f}",
                f"{100 * count / max(pixels.sum(), 1):.1f}",
            )
            for name, value, count in zip(self.class_names, self.iou, pixels, strict=True)
        )
        return [
            Table("Segmentation", ("figure", "%"), whole),
            Table("Each class", ("class", "IoU %", "pixels %"), each),
        ]

    def charts(self) -> list[Chart]:
        """Nothing is drawn as a line."""
        return []

    def confused(self) -> Confusion | None:
        """Pixels of each class by what they were taken for."""
        return Confusion(self.class_names, self.confusion)


class SegmentationMetric:
    """Gathers answers and truths of images.

    Args:
        class_names: Names in the order of the model.
    """

    def __init__(self, class_names: tuple[str, ...]) -> None:
        self.class_names = class_names
        self._counts: list[Counts] = []
        self._edges: list[float] = []

    def update(
        self, predictions: Sequence[SegmentationPrediction], targets: Sequence[MaskTarget]
    ) -> None:
        """Add a batch: answered and true classes of the pixels of each image."""
        for prediction, target in zip(predictions, targets, strict=True):
            truth = target.mask(prediction.classes.shape)
            self._counts.append(count(prediction.classes, truth, len(self.class_names)))
            self._edges.append(edge_f1(prediction.classes, truth))

    def value(self) -> float:
        """Mean intersection over union."""
        self._require_images()
        return mean_iou(np.sum(self._counts, axis=0))

    def result(self) -> SegmentationScores:
        """Give the scores over everything added so far.

        Raises:
            DataError: There is no pixel that counts.
        """
        self._require_images()
        per_image = np.stack(self._counts)
        whole = per_image.sum(0)
        return SegmentationScores(
            miou=mean_iou(whole),
            pixel_accuracy=float(np.trace(whole) / whole.sum()),
            boundary_f1=float(np.mean(self._edges)),
            iou=tuple(None if np.isnan(one) else float(one) for one in class_iou(whole)),
            confusion=whole,
            class_names=self.class_names,
            per_image=per_image,
        )

    def _require_images(self) -> None:
        if not sum(int(one.sum()) for one in self._counts):
            raise DataError("there is no pixel to measure", expected="one labelled pixel or more")


def count(answered: Mask, truth: Mask, classes: int) -> Counts:
    """Count the pixels of an image by true and by answered class, (classes, classes)."""
    # Two bytes hold every pair; what does not count has a row of its own, which is left out.
    pairs = truth.astype(np.uint16) * np.uint16(classes) + answered
    counts = np.bincount(pairs.ravel(), minlength=(VOID + 1) * classes)
    return counts.reshape(VOID + 1, classes)[:classes]


def class_iou(counts: Counts) -> NDArray[np.float64]:
    """Intersection over union of each class; NaN where it neither occurs nor is answered."""
    right = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    union = counts.sum(-1) + counts.sum(-2) - right
    ratio: NDArray[np.float64] = np.divide(
        right, union, out=np.full(right.shape, np.nan), where=union > 0
    )
    return ratio


def mean_iou(counts: Counts) -> float:
    """Mean over the classes that occur in the truth."""
    occurs = counts.sum(1) > 0
    return float(np.nanmean(class_iou(counts)[occurs]))


def drawn(per_image: Counts) -> list[float]:
    """Mean IoU of resampled images, the same ones for all that have as many."""
    stream, images = np.random.default_rng(0), len(per_image)
    values = []
    for _ in range(RESAMPLES):
        weights = np.bincount(stream.integers(0, images, images), minlength=images)
        values.append(mean_iou(np.tensordot(weights, per_image, 1)))
    return values


def interval(value: float, values: Sequence[float]) -> Estimate:
    """A figure with the middle 95 % of what resampling gave."""
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(value, min(float(low), value), max(float(high), value))


def edge_f1(answered: Mask, truth: Mask) -> float:
    """How well the edges between classes are met, 0 to 1; 1 where neither has any."""
    reach = max(1, round(EDGE_REACH * float(np.hypot(*truth.shape))))
    known = truth != VOID
    ours, theirs = _edges(np.where(known, answered, VOID)), _edges(truth)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    precision = np.count_nonzero(ours & _grown(theirs, reach)) / np.count_nonzero(ours)
    recall = np.count_nonzero(theirs & _grown(ours, reach)) / np.count_nonzero(theirs)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _edges(mask: Mask) -> NDArray[np.bool_]:
    """Pixels whose right or lower neighbour is of another class, where both count."""
    edges = np.zeros(mask.shape, bool)
    across = (mask[:, :-1] != mask[:, 1:]) & (mask[:, :-1] != VOID) & (mask[:, 1:] != VOID)
    down = (mask[:-1] != mask[1:]) & (mask[:-1] != VOID) & (mask[1:] != VOID)
    edges[:, :-1] |= across
    edges[:-1] |= down
    return edges


def _grown(edges: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Pixels up to ``reach`` rows and columns away from an edge."""
    grown, reached = edges, 0
    # Laid over itself, twice as far off each time; farther would leave gaps at the borders.
    while reached < reach:
        step = min(reached + 1, reach - reached)
        rows = grown.copy()
        rows[step:] |= grown[:-step]
        rows[:-step] |= grown[step:]
        grown = rows.copy()
        grown[:, step:] |= rows[:, :-step]
        grown[:, :-step] |= rows[:, step:]
        reached += step
    return grown
