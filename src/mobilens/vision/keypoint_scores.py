"""Figures of keypoints: the share of points that are found (PCK), and COCO's OKS-AP.

PCK@0.2: a known point counts as found within 0.2 of the torso's length of where it is
(``points.torso_length``). OKS-AP is computed by faster-coco-eval, each thing by itself, as it is
when regions are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import DataError, MissingExtraError
from mobilens.vision.intervals import Estimate
from mobilens.vision.points import PointTarget, plain, torso_ends, torso_length
from mobilens.vision.tasks import Chart, Confusion, Curve, Table

if TYPE_CHECKING:
    from mobilens.vision.keypoints import KeypointPrediction

REACH = 0.2
RESAMPLES = 1000
# How far from the truth points are looked at in the chart, in torsos.
FURTHEST = 0.5
# Deviation of what people label, over the root of the thing's area: COCO's, by what a point is
# (cocodataset.org, keypoint evaluation), and one between them for points that it does not have.
_SIGMAS = {
    **{"nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072},
    **{"wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089},
}
_OTHER_SIGMA = 0.079
OKS_STEPS = 10


@dataclass(frozen=True, eq=False)
class KeypointScores:
    """All figures of a data set, each 0 to 1.

    Attributes:
        pck: Share of known points that are found within 0.2 torsos.
        ap: OKS-AP, mean over thresholds 0.50 to 0.95 in steps of 0.05.
        ap50: At a threshold of 0.50.
        ap75: At a threshold of 0.75.
        class_names: Names of the points, in the order of the model.
        gaps: (things, points): distance to where it is, in torsos; NaN where that is not known.
        without_torso: Things measured by their box, as they show no torso.
    """

    pck: float
    ap: float
    ap50: float
    ap75: float
    class_names: tuple[str, ...]
    gaps: NDArray[np.float64] = field(repr=False)
    without_torso: int = 0

    @property
    def kind(self) -> str:
        """The task that these are figures of."""
        return "keypoints"

    @cached_property
    def main(self) -> Estimate:
        """PCK@0.2 with its 95 % interval, by resampling things."""
        return _interval(self.pck, _drawn(self.gaps))

    @property
    def per_point(self) -> list[float | None]:
        """PCK@0.2 of each point; None where none is known."""
        return [_share(column) if (~np.isnan(column)).any() else None for column in self.gaps.T]

    @property
    def stated(self) -> dict[str, float]:
        """What a model file states."""
        return {"pck": self.pck}

    def to_json(self) -> dict[str, Any]:
        """Give every figure as JSON values."""
        known = (~np.isnan(self.gaps)).sum(0)
        return {
            "pck": self.pck,
            "pck_interval": [self.main.low, self.main.high],
            "oks_ap": self.ap,
            "oks_ap50": self.ap50,
            "oks_ap75": self.ap75,
            "things": len(self.gaps),
            "measured_by_box": self.without_torso,
            "per_point": [
                {"name": name, "pck": value, "points": int(count)}
                for name, value, count in zip(self.class_names, self.per_point, known, strict=True)
            ],
        }

    def tables(self) -> list[Table]:
        """Give the figures for a person."""
        whole = (
            ("PCK@0.2 of the torso", self.main.percent()),
            ("OKS-AP (0.50 to 0.95)", f"{100 * self.ap:.1f}"),
            ("OKS-AP at 0.50", f"{100 * self.ap50:.1f}"),
            ("OKS-AP at 0.75", f"{100 * self.ap75:.1f}"),
        )
        known = (~np.isnan(self.gaps)).sum(0)
        each = tuple(
            (name, "" if value is None else f"{100 * value:.1f}", f"{count:,}")
            for name, value, count in zip(self.class_names, self.per_point, known, strict=True)
        )
        return [
            Table("Keypoints", ("figure", "%"), whole),
            Table("Each point", ("point", "PCK@0.2 %", "known"), each),
        ]

    def charts(self) -> list[Chart]:
        """Give the share that is found within more and less than 0.2 torsos."""
        reaches = np.linspace(0, FURTHEST, 51)
        shares = [_share(self.gaps, reach) for reach in reaches]
        return [
            Chart(
                "Found within a distance",
                "distance in torsos",
                "share of known points",
                (Curve("all points", tuple(zip(reaches.tolist(), shares, strict=True))),),
                "A torso is as long as from a shoulder to the other side's hip; without one, a "
                "third of the long side of the box around all points.",
            )
        ]

    def confused(self) -> Confusion | None:
        """Points are not told apart."""
        return None


class KeypointMetric:
    """Gathers answers and truths of things.

    Args:
        class_names: Names of the points, in the order of the model.
    """

    def __init__(self, class_names: tuple[str, ...]) -> None:
        self.class_names = class_names
        self._pairs: list[tuple[KeypointPrediction, PointTarget]] = []

    def update(
        self, predictions: Sequence[KeypointPrediction], targets: Sequence[PointTarget]
    ) -> None:
        """Add a batch: the points of each thing, and where they are."""
        self._pairs += zip(predictions, targets, strict=True)

    def value(self) -> float:
        """PCK@0.2."""
        return _share(self._gaps())

    def result(self) -> KeypointScores:
        """Give the scores over everything added so far.

        Raises:
            DataError: No point is known.
            MissingExtraError: faster-coco-eval is not installed.
        """
        gaps, ends = self._gaps(), torso_ends(self.class_names)
        ap, ap50, ap75 = oks_precision(self._pairs, self.class_names)
        with_torso = sum(
            any(target.labelled[list(pair)].all() for pair in ends) for _, target in self._pairs
        )
        return KeypointScores(
            pck=_share(gaps),
            ap=ap,
            ap50=ap50,
            ap75=ap75,
            class_names=self.class_names,
            gaps=gaps,
            without_torso=len(self._pairs) - with_torso,
        )

    def _gaps(self) -> NDArray[np.float64]:
        if not any(target.labelled.any() for _, target in self._pairs):
            raise DataError(
                f"no point is known of {len(self._pairs)} things", expected="one or more"
            )
        return torso_gaps(
            [prediction for prediction, _ in self._pairs],
            [target for _, target in self._pairs],
            self.class_names,
        )


def torso_gaps(
    predictions: Sequence[KeypointPrediction],
    targets: Sequence[PointTarget],
    class_names: Sequence[str],
) -> NDArray[np.float64]:
    """Distance of each point from where it is, (things, points), in torsos; NaN: not known."""
    ends = torso_ends(class_names)
    rows = []
    for prediction, target in zip(predictions, targets, strict=True):
        gap = np.hypot(*(prediction.points.astype(np.float64) - target.points).T)
        rows.append(np.where(target.labelled, gap / torso_length(target, ends), np.nan))
    return np.stack(rows)


def _share(gaps: NDArray[np.float64], reach: float = REACH) -> float:
    """Share of the known points within a distance."""
    return float((gaps <= reach).sum() / (~np.isnan(gaps)).sum())


def share_lost(
    before: Sequence[KeypointPrediction],
    after: Sequence[KeypointPrediction],
    targets: Sequence[PointTarget],
    class_names: Sequence[str],
) -> Estimate:
    """Measure how much smaller PCK@0.2 became, on the very same things.

    Args:
        before: Answers of a first model.
        after: Answers of a second one.
        targets: Where the points are.
        class_names: Their names.

    Returns:
        The difference, with its 95 % interval by resampling things.
    """
    one, other = (torso_gaps(answers, targets, class_names) for answers in (before, after))
    return _interval(_share(one) - _share(other), _drawn(one) - _drawn(other))


def _drawn(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """PCK@0.2 of resampled things, the same ones for all that have as many."""
    found, known = (gaps <= REACH).sum(1), (~np.isnan(gaps)).sum(1)
    things = len(gaps)
    chosen = np.random.default_rng(0).integers(0, things, (RESAMPLES, things))
    shares: NDArray[np.float64] = found[chosen].sum(1) / np.maximum(known[chosen].sum(1), 1)
    return shares


def _interval(value: float, drawn: NDArray[np.float64]) -> Estimate:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, min(float(low), value), max(float(high), value))


def sigmas(class_names: Sequence[str]) -> list[float]:
    """Deviation of what people label for each point, by the last word of its name."""
    words = [plain(name).split() for name in class_names]
    return [_SIGMAS.get(some[-1] if some else "", _OTHER_SIGMA) for some in words]


def oks_precision(
    pairs: Sequence[tuple[KeypointPrediction, PointTarget]], class_names: Sequence[str]
) -> tuple[float, float, float]:
    """COCO's average precision by object keypoint similarity: its mean, at 0.50 and at 0.75.

    Raises:
        MissingExtraError: faster-coco-eval is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError:
        raise MissingExtraError.needed_for(
            "measuring keypoints", "detect", "faster-coco-eval"
        ) from None
    truth = COCO(
        {
            "info": {},
            "images": [{"id": number} for number in range(1, len(pairs) + 1)],
            "categories": [{"id": 1, "name": "thing", "keypoints": list(class_names)}],
            "annotations": [
                _annotation(number, target) for number, (_, target) in enumerate(pairs, start=1)
            ],
        }
    )
    found = truth.loadRes([_answer(number, one) for number, (one, _) in enumerate(pairs, start=1)])
    evaluator = COCOeval_faster(
        truth,
        found,
        "keypoints",
        print_function=lambda _: None,
        kpt_oks_sigmas=sigmas(class_names),
    )
    evaluator.evaluate()
    evaluator.accumulate()
    precision = np.asarray(evaluator.eval["precision"])[:, :, 0, 0, -1].reshape(OKS_STEPS, -1)
    means = [float(row[row > -1].mean()) if (row > -1).any() else 0.0 for row in precision]
    return float(np.mean(means)), means[0], means[OKS_STEPS // 2]


def _annotation(number: int, target: PointTarget) -> dict[str, Any]:
    seen = np.where(target.visible, 2, np.where(target.labelled, 1, 0))
    points = target.points[target.labelled]
    (left, top), (right, bottom) = (
        (points.min(0), points.max(0)) if len(points) else np.zeros((2, 2))
    )
    return {
        "id": number,
        "image_id": number,
        "category_id": 1,
        "iscrowd": 0,
        "area": target.area,
        "bbox": [float(left), float(top), float(right - left), float(bottom - top)],
        "num_keypoints": int(target.labelled.sum()),
        "keypoints": _flat(target.points, seen),
    }


def _answer(number: int, prediction: KeypointPrediction) -> dict[str, Any]:
    return {
        "image_id": number,
        "category_id": 1,
        "score": float(prediction.scores.mean()),
        "keypoints": _flat(prediction.points, np.ones(len(prediction.points))),
    }


def _flat(points: NDArray[np.float32], third: NDArray[Any]) -> list[float]:
    rows: list[float] = np.concatenate([points, third[:, None]], 1).ravel().tolist()
    return rows
