"""How sure a measured figure is: 95 % intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 1000
# The 97.5 % quantile of the normal distribution: 2.5 % lie outside on either side.
_Z = 1.959963984540054
# Indices drawn at once, so that large data sets need no more than some tens of megabytes.
_CHUNK_ELEMENTS = 1_000_000


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: The figure as measured.
        low: Lower end; never above ``value``.
        high: Upper end; never below ``value``.
    """

    value: float
    low: float
    high: float

    def percent(self) -> str:
        """Give the figure and its interval in percent, as ``"91.2 (87.8 to 93.7)"``."""
        return f"{100 * self.value:.1f} ({100 * self.low:.1f} to {100 * self.high:.1f})"


def paired_difference(lost: int, gained: int, trials: int) -> Estimate:
    """Estimate how much smaller a share became on the very same trials.

    Agresti and Min, "Simple improved confidence intervals for comparing matched proportions", 2005:
    half an observation is added to each of the four outcomes, so that few trials and no change at
    all are judged sensibly.

    Args:
        lost: Trials that succeeded before and not after.
        gained: Those that succeeded after and not before.
        trials: All of them, 1 or more.

    Returns:
        (lost - gained) / trials, -1 to 1, with its interval.
    """
    value = (lost - gained) / trials
    more, less, total = lost + 0.5, gained + 0.5, trials + 2
    centre = (more - less) / total
    margin = _Z * sqrt(more + less - (more - less) ** 2 / total) / total
    low, high = min(centre - margin, value), max(centre + margin, value)
    return Estimate(value, max(-1.0, low), min(1.0, high))


def median(values: Sequence[float]) -> Estimate:
    """Estimate a median with the interval between two of the values, whatever they are spread like.

    As many values lie outside on either side as leave a chance of 95 % at least (Hahn and Meeker,
    "Statistical Intervals", section 5.2); of fewer than 6 values none, and the chance is less.

    Args:
        values: One or more.
    """
    ordered, count = sorted(values), len(values)
    outside, missed = 0, 1 / 2**count
    while missed + (more := comb(count, outside + 1) / 2**count) <= 0.025:
        outside, missed = outside + 1, missed + more
    return Estimate(float(np.median(ordered)), ordered[outside], ordered[-1 - outside])


def wilson(successes: int, trials: int) -> Estimate | None:
    """Estimate a proportion with Wilson's score interval (Wilson, 1927).

    It stays within 0 to 1 and is sensible for few trials and for shares of 0 and 1, where the
    textbook interval has no width.

    Args:
        successes: How many times it happened, 0 to ``trials``.
        trials: Out of how many.

    Returns:
        The share and its interval, or None for no trials.
    """
    if trials == 0:
        return None
    share = successes / trials
    scale = 1 + _Z**2 / trials
    centre = (share + _Z**2 / (2 * trials)) / scale
    margin = _Z * sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2)) / scale
    # The ends meet 0, 1 and the share exactly in theory; rounding must not push them past.
    return Estimate(
        share, max(0.0, min(centre - margin, share)), min(1.0, max(centre + margin, share))
    )


def resamples(num_samples: int, seed: int = 0, num_groups: int = 1) -> Iterator[NDArray[np.int64]]:
    """Draw bootstrap resamples, in chunks that fit in memory.

    Args:
        num_samples: How many samples there are, 1 or more.
        seed: The same seed gives the same draws.
        num_groups: How many figures the caller makes of each resample.

    Yields:
        Arrays (resamples, num_samples) of indices drawn with replacement; ``NUM_RESAMPLES``
        rows altogether.
    """
    rng = np.random.default_rng(seed)
    for rows in chunk_rows(max(num_samples, num_groups)):
        yield rng.integers(0, num_samples, (rows, num_samples))


def chunk_rows(row_length: int) -> Iterator[int]:
    """Give how many resamples to draw at once; ``NUM_RESAMPLES`` altogether."""
    at_once = max(1, _CHUNK_ELEMENTS // row_length)
    for start in range(0, NUM_RESAMPLES, at_once):
        yield min(at_once, NUM_RESAMPLES - start)


def count_rows(
    groups: NDArray[np.int64], num_groups: int, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Count each group in each row, or sum its weights.

    Args:
        groups: (rows, samples), 0 to ``num_groups`` - 1.
        num_groups: How many groups there are.
        weights: (rows, samples); 1 by default.

    Returns:
        (rows, num_groups).
    """
    rows = len(groups)
    flat = (groups + num_groups * np.arange(rows)[:, None]).ravel()
    sums = np.bincount(
        flat, None if weights is None else weights.ravel(), minlength=rows * num_groups
    )
    return sums.reshape(rows, num_groups).astype(np.float64)


def percentile_interval(
    values: NDArray[np.float64], drawn: NDArray[np.float64], counts: Sequence[int]
) -> list[Estimate | None]:
    """Estimate shares from what they were in bootstrap resamples.

    A share of 0 or 1 is 0 or 1 in every resample, however few samples there are: there the
    interval is Wilson's of none or all right.

    Args:
        values: (figures,), 0 to 1, as measured; NaN where not defined.
        drawn: (resamples, figures); NaN where a resample leaves one undefined.
        counts: Samples that each figure rests on.

    Returns:
        One estimate per figure, None where it is not defined.
    """
    estimates: list[Estimate | None] = []
    for value, column, count in zip(values.tolist(), drawn.T, counts, strict=True):
        if np.isnan(value):
            estimates.append(None)
            continue
        if value in (0.0, 1.0):
            estimates.append(wilson(round(value * count), count))
            continue
        low, high = np.percentile(column[~np.isnan(column)], (2.5, 97.5)).tolist()
        estimates.append(Estimate(value, min(low, value), max(high, value)))
    return estimates
