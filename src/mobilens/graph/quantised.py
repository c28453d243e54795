"""Which values and filters of a graph are 8-bit integers, and what numbers these stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilens.graph.ops import Conv, Floats, Graph, Linear, Op, Prelu

LOWEST, HIGHEST = -128, 127
WEIGHT_LIMIT = 127  # symmetric: -128 is left out, as every runtime asks


@dataclass(frozen=True)
class Grid:
    """The numbers that int8 values stand for: ``scale * (q - zero_point)``.

    Attributes:
        scale: Distance of two neighbours, above 0.
        zero_point: The integer that stands for 0, -128 to 127.
    """

    scale: float
    zero_point: int

    @classmethod
    def covering(cls, lowest: float, highest: float) -> Grid:
        """Give the grid that reaches from one number to another, and to 0, which it holds exactly.

        Args:
            lowest: Smallest number.
            highest: Largest number.
        """
        lowest, highest = min(lowest, 0.0), max(highest, 0.0)
        scale = float(np.float32(max(highest - lowest, 1e-6) / (HIGHEST - LOWEST)))
        return cls(scale, int(np.clip(round(LOWEST - lowest / scale), LOWEST, HIGHEST)))

    @classmethod
    def symmetric(cls, lowest: float, highest: float) -> Grid:
        """Give the grid around 0 that reaches as far as the further of two numbers.

        Args:
            lowest: Smallest number.
            highest: Largest number.
        """
        furthest = max(abs(lowest), abs(highest), 1e-6)
        return cls(float(np.float32(furthest / HIGHEST)), 0)

    def encode(self, values: Floats) -> NDArray[np.int8]:
        """Round to the grid and clamp to its ends."""
        steps = np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point
        clipped: NDArray[np.int8] = np.clip(steps, LOWEST, HIGHEST).astype(np.int8)
        return clipped


@dataclass(frozen=True, eq=False)
class Quantisation:
    """What of a graph is 8-bit.

    An operator computes in integers when its inputs and its output all have a grid and, where it
    has filters, these have scales. Filters behind a grid are integers even where what comes out of
    them is not stored as such.

    Attributes:
        grids: Of each value that is stored as int8.
        scales: Of each operator's filters by the name of its output, (out,); ``filters`` rounds by
            them, to -127 to 127.
    """

    grids: Mapping[str, Grid]
    scales: Mapping[str, Floats]

    def is_integer(self, op: Op) -> bool:
        """Whether an operator computes in integers."""
        # Not every runtime has PReLU of integers, so it is computed in floats in all of them.
        if isinstance(op, Prelu) or not all(name in self.grids for name in (*op.inputs, op.output)):
            return False
        return not isinstance(op, (Conv, Linear)) or op.output in self.scales

    def has_integer_filters(self, op: Conv | Linear) -> bool:
        """Whether an operator's filters are integers, whatever comes out of it."""
        return op.output in self.scales and op.inputs[0] in self.grids

    def filters(self, op: Conv | Linear) -> NDArray[np.int8]:
        """The filters of an operator as integers."""
        scales = self.scales[op.output].reshape(-1, *[1] * (op.weight.ndim - 1))
        steps = np.rint(op.weight.astype(np.float64) / scales)
        return np.clip(steps, -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)

    def bias(self, op: Conv | Linear) -> NDArray[np.int32]:
        """The bias of an operator in steps of its input times its filters."""
        step = self.grids[op.inputs[0]].scale * self.scales[op.output].astype(np.float64)
        limit = 2**31 - 1
        return np.clip(np.rint(op.bias / step), -limit, limit).astype(np.int32)


def weight_scales(op: Conv | Linear, *, pairs: bool = False) -> Floats:
    """Scales that just reach the largest filter value of each output channel.

    Args:
        op: Convolution or fully connected layer.
        pairs: Whether two neighbours together must stay within 128: times the largest uint8 they
            then fit 16 bits, in which some kernels add them. Filters of single channels are
            exempt; their kernels multiply otherwise.
    """
    magnitude = np.abs(op.weight)
    largest = magnitude.reshape(len(magnitude), -1).max(1)
    if pairs and magnitude.shape[1] > 1:
        # Neighbours are channels, a pair begins at an even one; 127 leaves one for rounding.
        even = magnitude[:, : magnitude.shape[1] // 2 * 2]
        both = even[:, ::2] + even[:, 1::2]
        largest = np.maximum(largest, both.reshape(len(both), -1).max(1))
    # Filters of a dead channel get a scale near the others': runtimes refuse ratios out of range.
    floor = max(float(largest.max()) * 1e-3, 1e-6)
    scales: Floats = (np.maximum(largest, floor) / WEIGHT_LIMIT).astype(np.float32)
    return scales


def integer_operators(graph: Graph, quantisation: Quantisation) -> int:
    """Count the operators that compute in integers."""
    return sum(quantisation.is_integer(op) for op in graph.ops)
