"""What a model costs, counted from its description: params, MACs, memory.

One MAC is one multiply-add of a convolution, a fully connected layer or one of attention's two
products. Bias, normalisation, activation, pooling and elementwise operators count none. Params are
the trainable ones: a normalisation has two a channel, its running statistics are not counted, and
PReLU has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mobilens.spec.blocks import Activation


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of one image's activation, without the batch."""

    channels: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Positions in the plane."""
        return self.height * self.width

    @property
    def elements(self) -> int:
        """Numbers held."""
        return self.channels * self.pixels

    def strided(self, stride: int) -> Shape:
        """Shape after a padded operator with this stride: each side divided, rounded up."""
        return replace(self, height=-(-self.height // stride), width=-(-self.width // stride))


@dataclass(frozen=True, slots=True)
class Op:
    """One operator: what it costs and what is alive while it runs.

    Attributes:
        name: Its name inside the block, such as ``"expand"``.
        input: Shape read.
        output: Shape written.
        params: Trainable parameters.
        macs: Multiply-adds for one image.
        live: Numbers that must be in memory while it runs: input, output, and what a later
            operator still needs. Activations and additions are taken to work in place.
        kernel_size: Of a convolution, else 0.
        groups: Of a convolution, else 1.
    """

    name: str
    input: Shape
    output: Shape
    params: int
    macs: int
    live: int
    kernel_size: int = 0
    groups: int = 1

    @property
    def depthwise(self) -> bool:
        """Whether this is a convolution with one filter a channel."""
        return self.kernel_size > 1 and self.groups == self.input.channels > 1


class Walk:
    """Follows one image through the operators of a model, in the order they run."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.ops: list[Op] = []
        self._kept = 0

    def conv(
        self,
        name: str,
        channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        *,
        depthwise: bool = False,
        norm: bool = True,
        bias: bool = False,
        act: Activation = "none",
    ) -> None:
        """Pass through a padded convolution, with a normalisation or a bias behind it.

        Args:
            name: Name of the operator.
            channels: Output channels.
            kernel_size: Side of the square kernel.
            stride: Stride on both axes.
            depthwise: One filter a channel.
            norm: Followed by a normalisation with scale and shift.
            bias: Has a bias of its own.
            act: Activation behind all that.
        """
        source, target = self.shape, replace(self.shape.strided(stride), channels=channels)
        groups = source.channels if depthwise else 1
        weights = channels * (source.channels // groups) * kernel_size**2
        self.ops.append(
            Op(
                name,
                source,
                target,
                params=weights + channels * (2 * norm + bias + (act == "prelu")),
                macs=weights * target.pixels,
                live=source.elements + target.elements + self._kept,
                kernel_size=kernel_size,
                groups=groups,
            )
        )
        self.shape = target

    def norm(self, name: str) -> None:
        """Pass through a normalisation that stands alone."""
        self._elementwise(name, params=2 * self.shape.channels)

    def scale(self, name: str) -> None:
        """Pass through a learned scale a channel."""
        self._elementwise(name, params=self.shape.channels)

    def pool(self, name: str) -> None:
        """Average over the plane."""
        target = Shape(self.shape.channels, 1, 1)
        live = self.shape.elements + target.elements + self._kept
        self.ops.append(Op(name, self.shape, target, 0, 0, live))
        self.shape = target

    def weigh(self, name: str) -> None:
        """Add up over the plane by a weight for each place of each channel, and normalise."""
        source, target = self.shape, Shape(self.shape.channels, 1, 1)
        live = source.elements + target.elements + self._kept
        params = source.elements + 2 * source.channels
        self.ops.append(Op(name, source, target, params, source.elements, live))
        self.shape = target

    def matmul(self, name: str, output: Shape, macs: int, *, also_reads: int) -> None:
        """Multiply two activations, as attention does.

        Args:
            name: Name of the operator.
            output: Shape written.
            macs: Multiply-adds.
            also_reads: Numbers of the second operand; the first is the current shape.
        """
        live = self.shape.elements + also_reads + output.elements + self._kept
        self.ops.append(Op(name, self.shape, output, 0, macs, live))
        self.shape = output

    @contextmanager
    def keeping(self, elements: int) -> Iterator[None]:
        """While inside, this many more numbers stay alive for a later operator."""
        self._kept += elements
        try:
            yield
        finally:
            self._kept -= elements

    def _elementwise(self, name: str, params: int) -> None:
        live = self.shape.elements + self._kept
        self.ops.append(Op(name, self.shape, self.shape, params, 0, live))


@dataclass(frozen=True)
class RowCost:
    """Cost of one row of a model: its stem, a block, or its head.

    Attributes:
        name: ``"stem"``, ``"row 0"``, ... or ``"head"``.
        block: Kind of block.
        input: Shape read.
        output: Shape written.
        params: Trainable parameters.
        macs: Multiply-adds for one image.
        peak_activation_elements: Most numbers alive at once, for one image.
        separable_macs: MACs of the row's depthwise convolutions and the pointwise ones after them.
        standard_macs: MACs of standard convolutions in their place (same kernel, in and out).
    """

    name: str
    block: str
    input: Shape
    output: Shape
    params: int
    macs: int
    peak_activation_elements: int
    separable_macs: int
    standard_macs: int

    @property
    def separable_ratio(self) -> float | None:
        """Separable over standard cost, 1/N + 1/K² for one pair; None without such a pair."""
        return self.separable_macs / self.standard_macs if self.standard_macs else None


@dataclass(frozen=True)
class Cost:
    """Cost of a whole model for one image.

    Attributes:
        rows: Cost of each row, in the order they run.
    """

    rows: tuple[RowCost, ...]

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return sum(row.params for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return sum(row.macs for row in self.rows)

    @property
    def standard_macs(self) -> int:
        """Multiply-adds of the same net with standard convolutions for its separable ones."""
        return self.macs + sum(row.standard_macs - row.separable_macs for row in self.rows)

    def peak_activation_bytes(self, bytes_per_element: int = 4) -> int:
        """Most activation memory alive at once, running row after row, for one image."""
        return bytes_per_element * max(row.peak_activation_elements for row in self.rows)

    def weight_bytes(self) -> dict[str, int]:
        """Bytes that the parameters take at each precision."""
        return weight_bytes(self.params)


def weight_bytes(params: int) -> dict[str, int]:
    """Bytes that this many parameters take, by precision."""
    return {"fp32": 4 * params, "fp16": 2 * params, "int8": params}


def row_cost(name: str, block: str, ops: list[Op]) -> RowCost:
    """Sum the operators of one row.

    Args:
        name: Name of the row.
        block: Kind of its block.
        ops: Its operators in order; at least one.
    """
    separable = standard = 0
    for depthwise, pointwise in _separable_pairs(ops):
        separable += depthwise.macs + pointwise.macs
        standard += (
            depthwise.output.pixels
            * depthwise.kernel_size**2
            * depthwise.input.channels
            * pointwise.output.channels
        )
    return RowCost(
        name=name,
        block=block,
        input=ops[0].input,
        output=ops[-1].output,
        params=sum(op.params for op in ops),
        macs=sum(op.macs for op in ops),
        peak_activation_elements=max(op.live for op in ops),
        separable_macs=separable,
        standard_macs=standard,
    )


def _separable_pairs(ops: list[Op]) -> Iterator[tuple[Op, Op]]:
    """Each depthwise convolution with the pointwise one that mixes its channels."""
    for index, op in enumerate(ops):
        if not op.depthwise:
            continue
        for later in ops[index + 1 :]:
            # The very tensor, not an equal shape: squeeze-excite on a 1x1 plane looks the same.
            if later.kernel_size == 1 and later.input is op.output:
                yield op, later
                break
