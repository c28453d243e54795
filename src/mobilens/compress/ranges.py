"""From how values are spread to the range that their grid covers.

A range too wide wastes the 256 numbers of a grid, one too narrow cuts off what lies outside. Which
is worse depends on the value: hence several ways, and a measurement on the runtime to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilens.compress.statistics import Histogram
from mobilens.graph.ops import Activation, Add, Conv, Graph, Mul, Op

Range: TypeAlias = tuple[float, float]
Method: TypeAlias = Callable[[Histogram], Range]

# Share of the values that a percentile range keeps at each end.
KEPT = 0.99999
STEPS = 255
# Ends that a search tries, as shares of the ends that occur.
SHARES = np.linspace(0.2, 1.0, 33)


def extremes(histogram: Histogram) -> Range:
    """Cover everything that occurred."""
    return histogram.low, histogram.high


def percentile(histogram: Histogram) -> Range:
    """Cut off one value in a hundred thousand at either end."""
    shares = np.cumsum(histogram.counts) / histogram.counts.sum()
    edges = np.linspace(histogram.low, histogram.high, len(shares) + 1)
    low = edges[np.searchsorted(shares, 1 - KEPT)]
    high = edges[np.searchsorted(shares, KEPT) + 1]
    return float(low), float(high)


def least_squares(histogram: Histogram) -> Range:
    """Make the mean squared error of rounding and cutting off as small as it gets."""
    x, counts = histogram.centres, histogram.counts

    def error(low: float, high: float) -> float:
        step = (high - low) / STEPS
        cut = np.clip(x, low, high)
        return float(counts @ np.where(cut == x, step * step / 12, (x - cut) ** 2))

    return _search(histogram, error)


def entropy(histogram: Histogram) -> Range:
    """Lose as little information as possible: the smallest Kullback-Leibler divergence.

    Source: Migacz, 8-bit inference with TensorRT, GTC 2017; here for ranges of two ends.
    """
    x = histogram.centres
    width = (histogram.high - histogram.low) / len(x)
    # Zeros, which a ReLU makes half of all, are exact on every grid: they say nothing of it.
    counts = np.where(np.abs(x) <= width, 0.0, histogram.counts)

    def divergence(low: float, high: float) -> float:
        """Count what lies outside as at the ends, and compare with what the grid can tell apart."""
        inside = (x >= low) & (x <= high)
        if not counts[inside].any():
            return float("inf")
        kept = counts[inside]
        reference = kept.copy()
        reference[0] += counts[x < low].sum()
        reference[-1] += counts[x > high].sum()
        level = np.rint((x[inside] - low) / (high - low) * STEPS).astype(np.int64)
        return _divergence(reference, _levelled(kept, level))

    return _search(histogram, divergence)


METHODS: Mapping[str, Method] = {
    "extremes": extremes,
    "percentile": percentile,
    "least squares": least_squares,
    "entropy": entropy,
}


def ranges(
    graph: Graph, counted: Mapping[str, Histogram], method: Method, *, symmetric: bool = False
) -> dict[str, Range]:
    """Choose a range for each value that was counted.

    Args:
        graph: What computes them.
        counted: How they are spread.
        method: How to choose.
        symmetric: Whether grids will reach as far below 0 as above it.
    """
    dead = _dead_below(graph)
    found = {}
    for name, histogram in counted.items():
        if name in dead:
            histogram = _from(histogram, dead[name])
        found[name] = method(_mirrored(histogram) if symmetric else histogram)
    return found


def _dead_below(graph: Graph) -> dict[str, float]:
    """Find values that a hard swish alone reads: below -3, which gives 0, all are alike."""
    dead = {}
    for name, readers in graph.users().items():
        floors = [floor for op in readers if (floor := _floor(op)) is not None]
        gates = {op.output for op in readers if _floor(op) is not None}
        # By product, the value is read once more by the product with its own gate.
        products = [op for op in readers if isinstance(op, Mul) and gates & set(op.inputs)]
        if floors and len(floors) + len(products) == len(readers):
            dead[name] = min(floors)
    return dead


def _floor(op: Op) -> float | None:
    """The number below which what reads a value for a hard swish gives 0."""
    match op:
        case Activation(kind="hard_swish") | Add(constant=3.0, clamp=(0.0, 6.0)):
            return -3.0
        case Conv(clamp=(0.0, 6.0)) if op.depthwise and op.weight.shape[2:] == (1, 1):
            return float(np.min(-op.bias / op.weight[:, 0, 0, 0]))
    return None


def _from(histogram: Histogram, lowest: float) -> Histogram:
    """Leave out what lies below a number."""
    kept = histogram.centres >= lowest
    if kept.all() or not kept.any():
        return histogram
    counts = histogram.counts[kept]
    return Histogram(max(lowest, histogram.low), histogram.high, counts)


def _mirrored(histogram: Histogram) -> Histogram:
    """Count each value once more on the other side of 0, so that both ends are chosen alike."""
    furthest = max(abs(histogram.low), abs(histogram.high))
    x, counts = histogram.centres, histogram.counts
    both, _ = np.histogram(
        np.concatenate([x, -x]), len(x), (-furthest, furthest), weights=np.tile(counts, 2)
    )
    return Histogram(-furthest, furthest, both)


def _search(histogram: Histogram, cost: Callable[[float, float], float]) -> Range:
    """Try ends from a fifth of what occurs to all of it, and give the best pair."""
    best, found = float("inf"), (histogram.low, histogram.high)
    for low in _ends(min(histogram.low, 0.0)):
        for high in _ends(max(histogram.high, 0.0)):
            if high > low and (now := cost(low, high)) < best:
                best, found = now, (low, high)
    return found


def _ends(end: float) -> Collection[float]:
    return [0.0] if end == 0 else [float(end * share) for share in SHARES]


def _levelled(kept: NDArray[np.float64], level: NDArray[np.int64]) -> NDArray[np.float64]:
    """Spread what falls on one number of the grid evenly over the bins that it came from."""
    sums = np.bincount(level, kept)
    occupied = np.bincount(level, kept > 0)
    each = np.divide(sums, occupied, out=np.zeros_like(sums), where=occupied > 0)
    return np.where(kept > 0, each[level], 0.0)


def _divergence(reference: NDArray[np.float64], given: NDArray[np.float64]) -> float:
    p, q = reference / reference.sum(), given / max(given.sum(), 1e-12)
    q = np.maximum(q, 1e-12)
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / q[some])))
