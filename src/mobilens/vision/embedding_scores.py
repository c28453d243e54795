"""Figures of embeddings: are two images of the same one, and is the nearest image of the same one.

Every pair of images is asked. Intervals come from resampling whole identities: images of one are
alike, and pairs that share an image even more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import DataError
from mobilens.vision.intervals import Estimate
from mobilens.vision.tasks import Chart, Confusion, Curve, Table

if TYPE_CHECKING:
    from mobilens.vision.embedding import EmbeddingPrediction

Values = NDArray[np.float64]
# Shares of false pairs at which the share of true ones is told.
FALSE_SHARES = (0.1, 0.01, 0.001)
FOLDS = 10
RESAMPLES = 200
# Pairs of more images than these are more than memory and patience hold: 4.5 million.
MOST_IMAGES = 3_000


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of images.

    Attributes:
        similarity: (images, images), float32.
        who: (images,): number of each image's identity.
    """

    similarity: NDArray[np.float32]
    who: NDArray[np.int64]

    @classmethod
    def of(cls, predictions: Sequence[EmbeddingPrediction], targets: Sequence[int]) -> Pairs:
        """Compare all images with each other; of very many, those of some identities."""
        who = np.asarray(targets, np.int64)
        chosen = _of_some(who)
        vectors = np.stack([predictions[index].vector for index in chosen])
        return cls(vectors @ vectors.T, who[chosen])

    def split(self) -> tuple[Values, Values]:
        """Similarities of the pairs of one identity, and of two."""
        upper = np.triu(np.ones(self.similarity.shape, bool), 1)
        same = self.who[:, None] == self.who[None]
        return (
            self.similarity[upper & same].astype(np.float64),
            self.similarity[upper & ~same].astype(np.float64),
        )

    def drawn(self) -> list[float]:
        """Area under the curve of resampled identities, the same ones for all of as many.

        An identity that is drawn twice is not compared with itself as if it were two.
        """
        people, who = np.unique(self.who, return_inverse=True)
        number = len(people)
        same, other = (_by_value(*block) for block in self._blocks(who, number))
        stream = np.random.default_rng(0)
        values = []
        for _ in range(RESAMPLES):
            weights = np.bincount(stream.integers(0, number, number), minlength=number)
            values.append(_weighed_area(same, other, weights))
        return values

    def _blocks(
        self, who: NDArray[np.intp], number: int
    ) -> tuple[tuple[Values, NDArray[np.int64]], tuple[Values, NDArray[np.int64]]]:
        """Similarities of each kind, each with the identities that it is of."""
        rows, columns = np.triu_indices(len(who), 1)
        values = self.similarity[rows, columns].astype(np.float64)
        first, second = who[rows], who[columns]
        is_same = first == second
        pair = (first * number + second).astype(np.int64)
        return (values[is_same], pair[is_same]), (values[~is_same], pair[~is_same])


def _of_some(who: NDArray[np.int64]) -> NDArray[np.int64]:
    """Choose images of as many whole identities as there is room for, two at least.

    Single images of all would leave hardly a pair of one identity.
    """
    if len(who) <= MOST_IMAGES:
        return np.arange(len(who))
    people, counts = np.unique(who, return_counts=True)
    order = np.random.default_rng(0).permutation(len(people))
    room = max(2, int(np.searchsorted(counts[order].cumsum(), MOST_IMAGES, "right")))
    images = np.flatnonzero(np.isin(who, people[order[:room]]))
    # Of two that are larger than that, evenly chosen ones.
    chosen = np.linspace(0, len(images) - 1, min(len(images), MOST_IMAGES)).astype(np.int64)
    return images[chosen]


def _by_value(values: Values, pairs: NDArray[np.int64]) -> tuple[Values, NDArray[np.int64]]:
    """Put pairs in the order of their values, so that none of many draws has to."""
    order = np.argsort(values)
    return values[order], pairs[order]


def _weighed_area(
    same: tuple[Values, NDArray[np.int64]],
    other: tuple[Values, NDArray[np.int64]],
    weights: NDArray[np.int64],
) -> float:
    number = len(weights)

    def weight(pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        first, second = np.divmod(pairs, number)
        return np.where(first == second, weights[first], weights[first] * weights[second]).astype(
            np.float64
        )

    return area(same[0], other[0], weight(same[1]), weight(other[1]))


@dataclass(frozen=True, eq=False)
class EmbeddingScores:
    """All figures of a data set.

    Attributes:
        auc: Area under the ROC curve of verification, 0 to 1: how often a pair of one identity is
            more alike than a pair of two.
        equal_error: Share of errors at the threshold where both kinds are as frequent, 0 to 1.
        accuracy: Share of right answers on as many pairs of either kind, each tenth with the
            threshold that is best on the others, 0 to 1.
        threshold: Similarity from which on most are right, on all pairs, -1 to 1.
        true_at: Share of the pairs of one identity that are accepted where no more than a share of
            the others is, for each of these shares; None where there are too few pairs to tell.
        rank_1: Share of images whose nearest other image is of the same identity, 0 to 1.
        identities: How many there are.
        curve: Points of the ROC curve.
        pairs: What intervals are made of.
    """

    auc: float
    equal_error: float
    accuracy: float
    threshold: float
    true_at: dict[float, float | None]
    rank_1: float
    identities: int
    curve: tuple[tuple[float, float], ...]
    pairs: Pairs = field(repr=False)

    @property
    def kind(self) -> str:
        """The task that these are figures of."""
        return "embed"

    @cached_property
    def main(self) -> Estimate:
        """Area under the curve with its 95 % interval, by resampling identities."""
        return _interval(self.auc, self.pairs.drawn())

    @property
    def stated(self) -> dict[str, float]:
        """What a model file states; images less alike than 0 are of two in any case."""
        return {"auc": self.auc, "threshold": max(self.threshold, 0.0)}

    def to_json(self) -> dict[str, Any]:
        """Give every figure as JSON values."""
        return {
            "auc": self.auc,
            "auc_interval": [self.main.low, self.main.high],
            "equal_error": self.equal_error,
            "verification_accuracy": self.accuracy,
            "threshold": self.threshold,
            **{f"tar_at_far_{share:g}": value for share, value in self.true_at.items()},
            "rank_1": self.rank_1,
            "identities": self.identities,
        }

    def tables(self) -> list[Table]:
        """Give the figures for a person."""
        rows = [
            ("area under the ROC curve", self.main.percent()),
            ("verification accuracy, 10 folds", f"{100 * self.accuracy:.1f}"),
            ("equal error rate", f"{100 * self.equal_error:.1f}"),
            *(
                (f"true accepted at {share:g} false", f"{100 * value:.1f}")
                for share, value in self.true_at.items()
                if value is not None
            ),
            ("nearest is the same one (rank-1)", f"{100 * self.rank_1:.1f}"),
        ]
        about = (
            ("identities, none of them learnt", f"{self.identities:,}"),
            ("best threshold of similarity", f"{self.threshold:.2f}"),
        )
        return [
            Table("Verification", ("figure", "%"), tuple(rows)),
            Table("Measured on", ("what", "value"), about),
        ]

    def charts(self) -> list[Chart]:
        """Give the ROC curve."""
        return [
            Chart(
                "True accepted over false accepted",
                "share of pairs of two that are accepted",
                "share of pairs of one that are accepted",
                (Curve("all pairs", self.curve),),
                "Each point is a threshold of similarity.",
            )
        ]

    def confused(self) -> Confusion | None:
        """Identities to come are others than those that are measured."""
        return None


class EmbeddingMetric:
    """Gathers vectors and identities."""

    def __init__(self) -> None:
        self._predictions: list[EmbeddingPrediction] = []
        self._targets: list[int] = []

    def update(self, predictions: Sequence[EmbeddingPrediction], targets: Sequence[int]) -> None:
        """Add a batch: the vector of each image, and whose it is."""
        self._predictions += predictions
        self._targets += targets

    def value(self) -> float:
        """Area under the ROC curve."""
        return area(*self._pairs().split())

    def result(self) -> EmbeddingScores:
        """Give the scores over everything added so far.

        Raises:
            DataError: There is no pair of one identity, or none of two.
        """
        pairs = self._pairs()
        same, other = pairs.split()
        curve = roc_curve(same, other)
        return EmbeddingScores(
            auc=area(same, other),
            equal_error=_equal_error(curve),
            accuracy=_folded_accuracy(same, other),
            threshold=_best_threshold(same, other),
            true_at={share: _true_at(same, other, share) for share in FALSE_SHARES},
            rank_1=_rank_1(self._predictions, self._targets),
            identities=len(np.unique(pairs.who)),
            curve=_thinned(curve),
            pairs=pairs,
        )

    def _pairs(self) -> Pairs:
        counts = np.unique(self._targets, return_counts=True)[1] if self._targets else np.zeros(0)
        if len(counts) < 2 or counts.max() < 2:
            raise DataError(
                f"{len(self._targets)} images of {len(counts)} identities make no pairs",
                expected="two identities or more, one of them with two images or more",
            )
        return Pairs.of(self._predictions, self._targets)


def area(
    same: Values,
    other: Values,
    same_weight: Values | None = None,
    other_weight: Values | None = None,
) -> float:
    """Area under the ROC curve: how often a value of the first kind is above one of the second.

    Equal values count half. NaN where a kind has no weight.

    Args:
        same: (p,).
        other: (n,).
        same_weight: (p,), how much each counts; 1 by default.
        other_weight: (n,), likewise.
    """
    wins = np.ones(len(same)) if same_weight is None else same_weight
    losses = np.ones(len(other)) if other_weight is None else other_weight
    total = wins.sum() * losses.sum()
    if not total:
        return float("nan")
    order = np.argsort(other)
    below = np.concatenate([[0.0], np.cumsum(losses[order])])
    ranked = other[order]
    left, right = (below[np.searchsorted(ranked, same, side)] for side in ("left", "right"))
    return float((wins * (left + right)).sum() / 2 / total)


def roc_curve(same: Values, other: Values) -> tuple[Values, Values, Values]:
    """Thresholds from the highest, and the shares of other and of same pairs that reach each."""
    thresholds = np.unique(np.concatenate([same, other]))[::-1]
    shares = [
        1 - np.searchsorted(np.sort(values), thresholds, "left") / len(values)
        for values in (other, same)
    ]
    return thresholds, shares[0], shares[1]


def _equal_error(curve: tuple[Values, Values, Values]) -> float:
    _, false, true = curve
    best = int(np.argmin(np.abs(false - (1 - true))))
    return float((false[best] + 1 - true[best]) / 2)


def _thinned(curve: tuple[Values, Values, Values]) -> tuple[tuple[float, float], ...]:
    """Points enough for a picture."""
    _, false, true = curve
    chosen = np.unique(np.linspace(0, len(false) - 1, 200).astype(np.int64))
    middle = zip(false[chosen].tolist(), true[chosen].tolist(), strict=True)
    return ((0.0, 0.0), *middle)


def _true_at(same: Values, other: Values, share: float) -> float | None:
    """Share of same pairs above what no more than a share of the others reaches."""
    allowed = int(share * len(other))
    if allowed < 1:
        return None
    threshold = np.partition(other, len(other) - allowed - 1)[len(other) - allowed - 1]
    return float((same > threshold).mean())


def _best_threshold(same: Values, other: Values) -> float:
    """Where the shares of right answers on either kind add up to most, amid a gap."""
    thresholds, false, true = roc_curve(same, other)
    best = int(np.argmax(true - false))
    return float(thresholds[best : best + 2].mean())


def _folded_accuracy(same: Values, other: Values) -> float:
    """Share of right answers, the mean over both kinds, each tenth by the others' threshold."""
    stream = np.random.default_rng(0)
    folds = [stream.permutation(len(values)) % FOLDS for values in (same, other)]
    right = []
    for fold in range(FOLDS):
        mine = [values[part == fold] for values, part in zip((same, other), folds, strict=True)]
        rest = [values[part != fold] for values, part in zip((same, other), folds, strict=True)]
        if not all(len(values) for values in (*mine, *rest)):
            continue
        threshold = _best_threshold(*rest)
        right.append(((mine[0] >= threshold).mean() + (mine[1] < threshold).mean()) / 2)
    if not right:  # too few pairs to leave any out
        threshold = _best_threshold(same, other)
        right = [((same >= threshold).mean() + (other < threshold).mean()) / 2]
    return float(np.mean(right))


def _rank_1(predictions: Sequence[EmbeddingPrediction], targets: Sequence[int]) -> float:
    """Of the images whose identity has another one."""
    own, other = nearest(predictions, targets)
    known = np.isfinite(own)
    return float((own[known] > other[known]).mean())


def nearest(
    predictions: Sequence[EmbeddingPrediction], targets: Sequence[int]
) -> tuple[Values, Values]:
    """Similarity of each image to the nearest other one of its identity, and of all others.

    Returns:
        (images,) each; minus infinity where there is none.
    """
    vectors = np.stack([prediction.vector for prediction in predictions])
    who = np.asarray(targets)
    own, other = np.empty(len(who)), np.empty(len(who))
    # A part of the images at a time: all pairs of a large album do not fit into memory.
    for start in range(0, len(who), 1000):
        rows = slice(start, start + 1000)
        part = (vectors[rows] @ vectors.T).astype(np.float64)
        part[np.arange(len(part)), np.arange(start, start + len(part))] = -np.inf
        same = who[rows, None] == who[None]
        own[rows] = np.where(same, part, -np.inf).max(1)
        other[rows] = np.where(same, -np.inf, part).max(1)
    return own, other


def area_lost(
    before: Sequence[EmbeddingPrediction],
    after: Sequence[EmbeddingPrediction],
    targets: Sequence[int],
) -> Estimate:
    """Measure how much smaller the area under the ROC curve became, on the very same images.

    Returns:
        The difference, with its 95 % interval by resampling identities.
    """
    one, other = (Pairs.of(answers, targets) for answers in (before, after))
    value = area(*one.split()) - area(*other.split())
    drawn = zip(one.drawn(), other.drawn(), strict=True)
    return _interval(value, [first - second for first, second in drawn])


def _interval(value: float, drawn: Sequence[float]) -> Estimate:
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(value, min(float(low), value), max(float(high), value))
