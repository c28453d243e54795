"""One frozen dataclass for each kind of block; each knows its output shape, params and MACs.

A row names its own channel counts, kernel, stride and activation, as the tables of the papers do.
Input channels are those of the row above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from mobilens.errors import SpecError
from mobilens.spec.cost import Shape, Walk

Activation = Literal["none", "relu", "relu6", "hard_swish", "gelu", "prelu"]

# What the 32-bit sizes of phone runtimes hold.
MAX_SIZE = 2**31 - 1
# Wider than any image that a net reads.
MAX_KERNEL = 2**14 - 1


@dataclass(frozen=True, slots=True)
class ConvNormAct:
    """Convolution, BatchNorm, activation."""

    kind: ClassVar[str] = "conv"
    kernel_size: int
    out_channels: int
    stride: int = 1
    act: Activation = "relu"
    dilation: int = 1

    def check(self, in_channels: int) -> None:
        """Raise SpecError if the row cannot be built on this many input channels."""
        positive(self, "kernel_size", "out_channels", "stride", "dilation")
        positive_value("in_channels", in_channels)
        odd_kernel("kernel_size", self.kernel_size)

    def walk(self, w: Walk) -> None:
        """Pass one image through."""
        w.conv("conv", self.out_channels, self.kernel_size, self.stride, act=self.act)


@dataclass(frozen=True, slots=True)
class Depthwise:
    """MobileFaceNet's second layer: a depthwise convolution alone, BatchNorm, activation."""

    kind: ClassVar[str] = "depthwise"
    kernel_size: int
    stride: int = 1
    act: Activation = "prelu"
    dilation: int = 1

    def check(self, in_channels: int) -> None:
        """Raise SpecError if the row cannot be built on this many input channels."""
        positive(self, "kernel_size", "stride", "dilation")
        positive_value("in_channels", in_channels)
        odd_kernel("kernel_size", self.kernel_size)

    def walk(self, w: Walk) -> None:
        """Pass one image through."""
        _depthwise(w, "depthwise", self.kernel_size, self.stride, self.act)


@dataclass(frozen=True, slots=True)
class DepthwiseSeparable:
    """V1's block: depthwise convolution, then pointwise, each with BatchNorm and activation."""

    kind: ClassVar[str] = "depthwise_separable"
    kernel_size: int
    out_channels: int
    stride: int = 1
    act: Activation = "relu6"
    dilation: int = 1

    def check(self, in_channels: int) -> None:
        """Raise SpecError if the row cannot be built on this many input channels."""
        positive(self, "kernel_size", "out_channels", "stride", "dilation")
        positive_value("in_channels", in_channels)
        odd_kernel("kernel_size", self.kernel_size)

    def walk(self, w: Walk) -> None:
        """Pass one image through."""
        _depthwise(w, "depthwise", self.kernel_size, self.stride, self.act)
        w.conv("pointwise", self.out_channels, act=self.act)


@dataclass(frozen=True, slots=True)
class InvertedResidual:
    """V2's and V3's block: expand, depthwise, squeeze-excite, linear projection.

    Attributes:
        kernel_size: Of the depthwise convolution.
        expanded_channels: Width inside the block.
        out_channels: Width after the projection.
        stride: Of the depthwise convolution.
        act: After the expansion and the depthwise convolution; the projection is linear.
        squeeze_channels: Width inside squeeze-excite; 0 for none.
        expand: Whether there is an expansion; without one ``expanded_channels`` is the input's.
        residual: Whether the input is added to the output.
        dilation: Of the depthwise convolution.
    """

    kind: ClassVar[str] = "inverted_residual"
    kernel_size: int
    expanded_channels: int
    out_channels: int
    stride: int = 1
    act: Activation = "relu6"
    squeeze_channels: int = 0
    expand: bool = True
    residual: bool = False
    dilation: int = 1

    def check(self, in_channels: int) -> None:
        """Raise SpecError if the row cannot be built on this many input channels."""
        positive(self, "kernel_size", "expanded_channels", "out_channels", "stride", "dilation")
        odd_kernel("kernel_size", self.kernel_size)
        not_negative(self, "squeeze_channels")
        if not self.expand and self.expanded_channels != in_channels:
            raise SpecError(
                f"expanded_channels is {self.expanded_channels} without an expansion",
                expected=f"the input's {in_channels}",
            )
        _residual_fits(self.residual, self.stride, in_channels, self.out_channels)

    def walk(self, w: Walk) -> None:
        """Pass one image through."""
        skip = w.shape.elements if self.residual else 0
        if self.expand:
            # The block's input is already counted as the input of its first operator.
            w.conv("expand", self.expanded_channels, act=self.act)
        with w.keeping(skip if self.expand else 0):
            _depthwise(w, "depthwise", self.kernel_size, self.stride, self.act)
        with w.keeping(skip):
            if self.squeeze_channels:
                _squeeze_excite(w, self.squeeze_channels)
            w.conv("project", self.out_channels)


@dataclass(frozen=True, slots=True)
class FusedInvertedResidual:
    """V4's fused block: a full convolution expands, a linear pointwise one projects."""

    kind: ClassVar[str] = "fused_inverted_residual"
    kernel_size: int
    expanded_channels: int
    out_channels: int
    stride: int = 1
    act: Activation = "relu"
    residual: bool = False
    dilation: int = 1

    def check(self, in_channels: int) -> None:
        """Raise SpecError if the row cannot be built on this many input channels."""
        positive(self, "kernel_size", "expanded_channels", "out_channels", "stride", "dilation")
        odd_kernel("kernel_size", self.kernel_size)
        _residual_fits(self.residual, self.stride, in_channels, self.out_channels)

    def walk(self, w: Walk) -> None:
        """Pass one image through."""
        skip = w.shape.elements if self.residual else 0
        w.conv("expand", self.expanded_channels, self.kernel_size, self.stride, act=self.act)
        with w.keeping(skip):
            w.conv("project", self.out_channels)


@dataclass(frozen=True, slots=True)
class UniversalInvertedBottleneck:
    """V4's universal inverted bottleneck (UIB).

    Both depthwise kernels: ExtraDW. Only the middle one: inverted bottleneck. Only the start one:
    ConvNext-like. Neither: feed-forward. The stride is the middle one's, if there is one.

    Attributes:
        start_kernel_size: Depthwise convolution before the expansion; 0 for none.
        middle_kernel_size: Depthwise convolution after the expansion; 0 for none.
        expanded_channels: Width inside the block.
        out_channels: Width after the projection.
        stride: Stride of the block.
        act: After the expansion and the middle convolution.
        residual: Whether the input is added to the output.
        layer_scale: Whether a learned scale a channel stands before the addition.
        dilation: Of the depthwise convolutions.
    """

    kind: ClassVar[str] = "universal_inverted_bottleneck"
    start_kernel_size: int
    middle_kernel_size: int
    expanded_channels: int
    out_channels: int
    stride: int = 1
    act: Activation = "relu"
    residual: bool = False
    layer_scale: bool = False
    dilation: int = 1

    def check(self, in_channels: int) -> None:
        """Raise SpecError if the row cannot be built on this many input channels."""
        positive(self, "expanded_channels", "out_channels", "stride", "dilation")
        for name in ("start_kernel_size", "middle_kernel_size"):
            if getattr(self, name) != 0:
                odd_kernel(name, getattr(self, name))
        if self.stride > 1 and not (self.start_kernel_size or self.middle_kernel_size):
            raise SpecError(
                f"stride is {self.stride} without a depthwise convolution to take it",
                expected="stride 1",
            )
        _residual_fits(self.residual, self.stride, in_channels, self.out_channels)

    def walk(self, w: Walk) -> None:
        """Pass one image through."""
        skip = w.shape.elements if self.residual else 0
        kept = 0
        if self.start_kernel_size:
            stride = 1 if self.middle_kernel_size else self.stride
            _depthwise(w, "start_depthwise", self.start_kernel_size, stride)
            kept = skip
        with w.keeping(kept):
            w.conv("expand", self.expanded_channels, act=self.act)
        with w.keeping(skip):
            if self.middle_kernel_size:
                kernel_size = self.middle_kernel_size
                _depthwise(w, "middle_depthwise", kernel_size, self.stride, self.act)
            w.conv("project", self.out_channels)
            if self.layer_scale:
                w.scale("layer_scale")


@dataclass(frozen=True, slots=True)
class MobileAttention:
    """V4's mobile multi-query attention: every head has its query, all share key and value.

    Attributes:
        heads: Number of heads.
        key_channels: Width of each head's query, and of the shared key and value.
        kv_stride: Stride of the depthwise convolution that shrinks key and value; 1 for none.
        kv_kernel_size: Its kernel.
        layer_scale: Whether a learned scale a channel stands before the addition.
        dilation: Of the convolution that shrinks key and value.
    """

    kind: ClassVar[str] = "mobile_attention"
    heads: int
    key_channels: int
    kv_stride: int = 1
    kv_kernel_size: int = 3
    layer_scale: bool = True
    dilation: int = 1

    @property
    def stride(self) -> int:
        """Attention keeps the plane's size."""
        return 1

    def check(self, in_channels: int) -> None:
        """Raise SpecError if the row cannot be built on this many input channels."""
        positive(self, "heads", "key_channels", "kv_stride", "kv_kernel_size", "dilation")
        positive_value("heads times key_channels", self.heads * self.key_channels)
        positive_value("in_channels", in_channels)
        odd_kernel("kv_kernel_size", self.kv_kernel_size)

    def walk(self, w: Walk) -> None:
        """Pass one image through: query, key, value, the two products, output."""
        source = w.shape
        query_elements = self.heads * self.key_channels * source.pixels
        with w.keeping(source.elements):  # the residual
            w.norm("norm")
            normed = w.shape
            w.conv("query", self.heads * self.key_channels, norm=False)
            query = w.shape
            with w.keeping(query_elements):
                # The value is projected from the same input, which so outlives the key's own.
                key = self._shared_projection(w, normed, "key", keeps_input=True)
                with w.keeping(key.elements):
                    value = self._shared_projection(w, normed, "value")
            positions = key.pixels
            w.shape = query
            scores = Shape(self.heads * positions, source.height, source.width)
            with w.keeping(value.elements):
                macs = query_elements * positions
                w.matmul("scores", scores, macs, also_reads=key.elements)
            w.matmul("mixed", query, query_elements * positions, also_reads=value.elements)
            w.conv("output", source.channels, norm=False)
            if self.layer_scale:
                w.scale("layer_scale")

    def _shared_projection(
        self, w: Walk, normed: Shape, name: str, *, keeps_input: bool = False
    ) -> Shape:
        w.shape = normed
        still_read = 0
        if self.kv_stride > 1:
            still_read = normed.elements if keeps_input else 0
            _depthwise(w, f"{name}_down", self.kv_kernel_size, self.kv_stride)
        with w.keeping(still_read):
            w.conv(name, self.key_channels, norm=False)
        return w.shape


Block = (
    ConvNormAct
    | Depthwise
    | DepthwiseSeparable
    | InvertedResidual
    | FusedInvertedResidual
    | UniversalInvertedBottleneck
    | MobileAttention
)


def out_channels(block: Block, in_channels: int) -> int:
    """Channels that a block gives when it is given this many."""
    return in_channels if isinstance(block, (Depthwise, MobileAttention)) else block.out_channels


def _depthwise(w: Walk, name: str, kernel_size: int, stride: int, act: Activation = "none") -> None:
    w.conv(name, w.shape.channels, kernel_size, stride, depthwise=True, act=act)


def _squeeze_excite(w: Walk, squeeze_channels: int) -> None:
    excited = w.shape
    w.pool("squeeze")
    with w.keeping(excited.elements):
        w.conv("squeeze_reduce", squeeze_channels, norm=False, bias=True)
        w.conv("squeeze_expand", excited.channels, norm=False, bias=True)
    w.shape = excited


def positive(block: object, *names: str) -> None:
    """Raise SpecError unless these fields are sizes of 1 or more."""
    for name in names:
        positive_value(name, getattr(block, name))


def positive_value(name: str, value: int) -> None:
    """Raise SpecError unless a value is a size of 1 or more."""
    if value < 1:
        raise SpecError(f"{name} is {value}", expected="1 or more")
    if value > MAX_SIZE:
        raise SpecError(f"{name} is {value}", expected=f"at most {MAX_SIZE}")


def not_negative(block: object, *names: str) -> None:
    """Raise SpecError unless these fields are 0 or sizes."""
    for name in names:
        if getattr(block, name) < 0:
            raise SpecError(f"{name} is {getattr(block, name)}", expected="0 or more")
        if getattr(block, name):
            positive(block, name)


def odd_kernel(name: str, value: int) -> None:
    """Raise SpecError unless a kernel has a middle."""
    if value < 1 or value % 2 == 0:
        raise SpecError(f"{name} is {value}", expected="an odd number, so that sizes stay exact")
    if value > MAX_KERNEL:
        raise SpecError(f"{name} is {value}", expected=f"at most {MAX_KERNEL}")


def _residual_fits(residual: bool, stride: int, in_channels: int, channels: int) -> None:
    if not residual:
        return
    if stride != 1:
        raise SpecError(f"residual with stride {stride}", expected="stride 1")
    if in_channels != channels:
        raise SpecError(
            f"residual from {in_channels} to {channels} channels",
            expected="as many channels out as in",
        )
