"""What values a graph computes on calibration images: their ends, and how they are spread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilens.graph.ops import Graph, Op
from mobilens.graph.run import run
from mobilens.vision.predictor import Pixels

BINS = 2048
BATCH = 16


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often each number occurs among the values of one name.

    Attributes:
        low: Smallest number.
        high: Largest number, above ``low``.
        counts: (bins,), of equal widths from ``low`` to ``high``.
    """

    low: float
    high: float
    counts: NDArray[np.float64]

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin."""
        edges = np.linspace(self.low, self.high, len(self.counts) + 1)
        centres: NDArray[np.float64] = (edges[:-1] + edges[1:]) / 2
        return centres


@torch.no_grad()
def histograms(
    graph: Graph, pixels: Pixels, names: Collection[str], batch: int = BATCH
) -> Mapping[str, Histogram]:
    """Compute a graph on images and count its values.

    Args:
        graph: What to compute, in float.
        pixels: (N, height, width, 3), RGB, uint8, N of 1 or more.
        names: Values to count.
        batch: Images computed at once.
    """
    ends: dict[str, tuple[float, float]] = {}
    counts: dict[str, NDArray[np.float64]] = {}

    def reach(op: Op, value: Tensor) -> Tensor:
        if op.output in names:
            low, high = ends.get(op.output, (np.inf, -np.inf))
            ends[op.output] = min(low, float(value.min())), max(high, float(value.max()))
        return value

    def count(op: Op, value: Tensor) -> Tensor:
        if op.output in names:
            found = torch.histc(value.float(), BINS, *ends[op.output]).double().numpy()
            counts[op.output] = counts.get(op.output, 0.0) + found
        return value

    _compute(graph, pixels, reach, batch)
    for name, (low, high) in ends.items():
        ends[name] = (low, high if high > low else low + 1e-6)  # a value that never changes
    _compute(graph, pixels, count, batch)
    return {name: Histogram(*ends[name], counts[name]) for name in ends}


def _compute(
    graph: Graph, pixels: Pixels, each: Callable[[Op, Tensor], Tensor], batch: int
) -> None:
    for images in batches(pixels, batch):
        run(graph, images, each)


def batches(pixels: Pixels, batch: int = BATCH) -> Iterator[Tensor]:
    """Give images as tensors, some at a time."""
    for start in range(0, len(pixels), batch):
        yield torch.from_numpy(np.ascontiguousarray(pixels[start : start + batch]))
