"""Calibration: whether answers given with 80 % confidence are right 80 % of the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilens.vision.intervals import Estimate, chunk_rows, count_rows, resamples

NUM_BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers whose confidence lies in one range.

    Attributes:
        low: Lower end of the range, 0 to 1.
        high: Upper end.
        count: How many answers.
        confidence: Their mean confidence, None for none.
        accuracy: The share of them that is right, None for none.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """How far confidence is from accuracy.

    Attributes:
        ece: Expected calibration error over 15 equal-width bins of the top-1 confidence
            (Naeini et al., 2015): mean distance of confidence and accuracy, 0 to 1.
        ece_if_calibrated: What the same figure would be, on average, if every confidence were
            exactly right: a small data set never shows 0.
        bins: The reliability diagram.
    """

    ece: Estimate
    ece_if_calibrated: float
    bins: tuple[ReliabilityBin, ...]


def calibration(
    confidences: NDArray[np.float64], correct: NDArray[np.bool_], seed: int = 0
) -> Calibration:
    """Measure calibration.

    Args:
        confidences: (N,), probability of the answer given, 0 to 1; N is 1 or more.
        correct: (N,), whether the answer is right.
        seed: Of the interval's resamples.
    """
    bins = np.minimum((confidences * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    value = float(_ece(bins[None], (correct - confidences)[None])[0])
    by_chance = np.concatenate(list(_ece_by_chance(bins, confidences, seed)))
    return Calibration(
        ece=_ece_interval(value, bins, correct - confidences, by_chance, seed),
        ece_if_calibrated=float(by_chance.mean()),
        bins=tuple(_reliability(bins, confidences, correct)),
    )


def _ece(bins: NDArray[np.int64], gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the error of each row; both arguments are (rows, samples)."""
    error: NDArray[np.float64] = np.abs(count_rows(bins, NUM_BINS, gaps)).sum(axis=1)
    error /= bins.shape[1]
    return error


def _ece_by_chance(
    bins: NDArray[np.int64], confidences: NDArray[np.float64], seed: int
) -> Iterator[NDArray[np.float64]]:
    """Draw the error that a perfectly calibrated model shows on these confidences."""
    rng = np.random.default_rng(seed + 1)
    for rows in chunk_rows(len(bins)):
        right = rng.random((rows, len(bins))) < confidences
        yield _ece(np.broadcast_to(bins, right.shape), right - confidences)


def _ece_interval(
    value: float,
    bins: NDArray[np.int64],
    gaps: NDArray[np.float64],
    by_chance: NDArray[np.float64],
    seed: int,
) -> Estimate:
    """Correct the bootstrap for the error's upward bias.

    Noise never cancels in a mean of distances, so a sample shows more error than there is and a
    resample shows more still: the plain percentile interval misses a well calibrated model's
    true error nearly always. Hence the lower end moves down by the bias of sample and resample,
    the upper end by the resample's, and the lower end is 0 when perfect calibration would show
    as much. Simulated for 100 to 2,000 samples, this covers the truth in 90 to 98 % of cases.
    """
    drawn = np.concatenate([_ece(bins[i], gaps[i]) for i in resamples(len(bins), seed)])
    bias = float(drawn.mean()) - value
    low, high = np.percentile(drawn, (2.5, 97.5)).tolist()
    if value <= np.percentile(by_chance, 97.5):
        low = 0.0
    return Estimate(value, max(0.0, min(low - 2 * bias, value)), min(1.0, max(high - bias, value)))


def _reliability(
    bins: NDArray[np.int64], confidences: NDArray[np.float64], correct: NDArray[np.bool_]
) -> Iterator[ReliabilityBin]:
    counts = np.bincount(bins, minlength=NUM_BINS).tolist()
    confidence_sums = np.bincount(bins, confidences, minlength=NUM_BINS).tolist()
    correct_sums = np.bincount(bins, correct, minlength=NUM_BINS).tolist()
    for index, (count, confidence, right) in enumerate(
        zip(counts, confidence_sums, correct_sums, strict=True)
    ):
        yield ReliabilityBin(
            low=index / NUM_BINS,
            high=(index + 1) / NUM_BINS,
            count=count,
            confidence=confidence / count if count else None,
            accuracy=right / count if count else None,
        )
