"""The operators of a graph, and the graph itself: NumPy and names, no torch.

A value is named by what made it and holds one tensor a batch; the batch axis stands in front of
every shape and is never written down. Images are (C, H, W), as torch has them, whatever layout a
runtime prefers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Shape: TypeAlias = tuple[int, ...]
ActivationKind: TypeAlias = Literal[
    "relu", "relu6", "hard_swish", "hard_sigmoid", "gelu", "sigmoid", "exp"
]
# Lowest and highest value that leaves an operator; None is no bound.
Clamp: TypeAlias = tuple[float | None, float | None]

UNCLAMPED: Clamp = (None, None)


@dataclass(frozen=True, eq=False, kw_only=True)
class Op:
    """What all operators have.

    Attributes:
        inputs: Names of the values it reads.
        output: Name of the value it makes.
    """

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Normalise(Op):
    """Raw pixels, uint8 (H, W, 3), to an image: value / 255, less mean, over std.

    Attributes:
        mean: Of red, green, blue.
        std: Likewise.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class Border(Op):
    """A frame of one grey around raw pixels, uint8 (H, W, 3).

    Attributes:
        pads: Pixels added at (top, left, bottom, right).
        value: Of all three channels, 0 to 255.
    """

    pads: tuple[int, int, int, int]
    value: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(Op):
    """Convolution of an image, zeros around it.

    Attributes:
        weight: (out, in / groups, height, width).
        bias: (out,).
        stride: (vertical, horizontal).
        pads: Pixels added at (top, left, bottom, right).
        dilation: (vertical, horizontal).
        groups: As in torch.
        clamp: Bounds of what comes out.
    """

    weight: Floats
    bias: Floats
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    clamp: Clamp = UNCLAMPED

    @property
    def depthwise(self) -> bool:
        """Whether each channel has filters of its own."""
        return self.groups > 1 and self.weight.shape[1] == 1

    @property
    def pointwise(self) -> bool:
        """Whether every pixel is answered from itself alone."""
        return self.weight.shape[2:] == (1, 1) and self.pads == (0, 0, 0, 0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Op):
    """Fully connected layer over the last axis.

    Attributes:
        weight: (out, in).
        bias: (out,).
        clamp: Bounds of what comes out.
        fixed: Whether it is arithmetic in which nothing was learnt, such as a mean of bins.
    """

    weight: Floats
    bias: Floats
    clamp: Clamp = UNCLAMPED
    fixed: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Activation(Op):
    """An elementwise function by name."""

    kind: ActivationKind


@dataclass(frozen=True, eq=False, kw_only=True)
class Prelu(Op):
    """An image where it is above 0, and its product with a slope a channel where it is below.

    Attributes:
        slope: (C,).
    """

    slope: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Op):
    """Sum of two values, or of a value and a number.

    Attributes:
        constant: The number, where there is one input alone.
        clamp: Bounds of what comes out.
    """

    constant: float | None = None
    clamp: Clamp = UNCLAMPED


@dataclass(frozen=True, eq=False, kw_only=True)
class Mul(Op):
    """Product of two values, the second may be (C, 1, 1) to the first's (C, H, W)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Scale(Op):
    """x * scale + shift, a pair of numbers for each channel, one for all, or one for each value.

    Attributes:
        scale: (C,), (1,), or the shape of what is no image.
        shift: The same shape.
    """

    scale: Floats
    shift: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Mean(Op):
    """Average over the pixels of an image, (C, H, W) to (C, 1, 1)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad(Op):
    """Zeros around an image.

    Attributes:
        pads: Pixels added at (top, left, bottom, right).
    """

    pads: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class Resize(Op):
    """An image brought to another size, bilinear between pixels' middles, without antialiasing.

    Attributes:
        size: New (height, width).
    """

    size: tuple[int, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Op):
    """Values one behind the other along their first axis, the channels of images."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Slice(Op):
    """A part of each row, the last axis of what is no image.

    Attributes:
        begin: First column that is kept.
        end: First column after those that are kept.
    """

    begin: int
    end: int


@dataclass(frozen=True, eq=False, kw_only=True)
class SelectBoxes(Op):
    """The best of many boxes without those that better ones cover, (A, 4) and (A, C) to (K, 6).

    A row is a box, its score and its class, best first; rows of score 0 fill up.

    Attributes:
        candidates: Best pairs of box and class that are looked at.
        most: K, rows that are given.
        max_iou: A box that overlaps a better one of its class by more is left out.
        least_score: Lower scores are left out.
        class_agnostic: Whether each box has its best class alone, and a better one of any class
            counts.
    """

    candidates: int
    most: int
    max_iou: float
    least_score: float
    class_agnostic: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Permute(Op):
    """Axes in another order.

    Attributes:
        order: Old axis for each new one, the batch's 0 in front.
    """

    order: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Op):
    """The same values in another shape, each image for itself.

    Attributes:
        shape: New shape, without the batch.
    """

    shape: Shape


@dataclass(frozen=True, eq=False, kw_only=True)
class MatMul(Op):
    """Product of two matrices an image.

    Attributes:
        transpose: Whether the second is turned first.
    """

    transpose: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Softmax(Op):
    """Over the last axis.

    Attributes:
        channels: Over the channels of an image instead.
    """

    channels: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class ArgMax(Op):
    """The channel with the largest value at every pixel, the first of equals: (H, W)."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in the order in which they run.

    Attributes:
        input: Name of the pixels, uint8 (H, W, 3).
        ops: The operators.
        outputs: Name of the value behind each named output.
        shapes: Shape of every value, without the batch.
    """

    input: str
    ops: tuple[Op, ...]
    outputs: Mapping[str, str]
    shapes: Mapping[str, Shape] = field(repr=False)

    def users(self) -> Mapping[str, list[Op]]:
        """Give the operators that read each value."""
        readers: dict[str, list[Op]] = {name: [] for name in self.shapes}
        for op in self.ops:
            for name in op.inputs:
                readers[name].append(op)
        return readers

    def maker(self) -> Mapping[str, Op]:
        """Give the operator that makes each value."""
        return {op.output: op for op in self.ops}

    def with_ops(self, ops: Iterable[Op], shapes: Mapping[str, Shape] | None = None) -> Graph:
        """Give a graph of other operators; shapes of values that nothing makes are dropped."""
        ops = tuple(ops)
        known = {**self.shapes, **(shapes or {})}
        made = [self.input, *(op.output for op in ops)]
        return replace(self, ops=ops, shapes={name: known[name] for name in made})

    def count(self) -> Counter[str]:
        """Count the operators by kind."""
        return Counter(type(op).__name__ for op in self.ops)
