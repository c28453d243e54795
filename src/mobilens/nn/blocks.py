"""One module for each kind of block in a spec."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from mobilens.errors import SpecError
from mobilens.nn.layers import ConvNormAct, LayerScale, SqueezeExcite, build_conv
from mobilens.spec import blocks as spec
from mobilens.spec.model import Padding


class DepthwiseSeparable(nn.Module):
    """Depthwise convolution, then pointwise (V1)."""

    def __init__(
        self, row: spec.DepthwiseSeparable, in_channels: int, padding: Padding, bn_eps: float
    ) -> None:
        super().__init__()
        layer = partial(ConvNormAct, act=row.act, padding=padding, bn_eps=bn_eps)
        self.depthwise = layer(
            in_channels,
            in_channels,
            row.kernel_size,
            row.stride,
            groups=in_channels,
            dilation=row.dilation,
        )
        self.pointwise = layer(in_channels, row.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H/stride, W/stride)."""
        out: Tensor = self.pointwise(self.depthwise(x))
        return out


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze-excite, linear projection (V2, V3)."""

    def __init__(
        self, row: spec.InvertedResidual, in_channels: int, padding: Padding, bn_eps: float
    ) -> None:
        super().__init__()
        width = row.expanded_channels
        layer = partial(ConvNormAct, padding=padding, bn_eps=bn_eps)
        self.expand = layer(in_channels, width, act=row.act) if row.expand else nn.Identity()
        self.depthwise = layer(
            width,
            width,
            row.kernel_size,
            row.stride,
            act=row.act,
            groups=width,
            dilation=row.dilation,
        )
        self.squeeze_excite = (
            SqueezeExcite(width, row.squeeze_channels) if row.squeeze_channels else nn.Identity()
        )
        self.project = layer(width, row.out_channels, act="none")
        self.residual = row.residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H/stride, W/stride)."""
        return self.from_expanded(self.expand(x), x)

    def from_expanded(self, expanded: Tensor, x: Tensor) -> Tensor:
        """Go on from what the expansion of ``x`` gave."""
        y: Tensor = self.project(self.squeeze_excite(self.depthwise(expanded)))
        return x + y if self.residual else y


class FusedInvertedResidual(nn.Module):
    """A full convolution expands, a linear pointwise one projects (V4)."""

    def __init__(
        self, row: spec.FusedInvertedResidual, in_channels: int, padding: Padding, bn_eps: float
    ) -> None:
        super().__init__()
        layer = partial(ConvNormAct, padding=padding, bn_eps=bn_eps)
        self.expand = layer(
            in_channels,
            row.expanded_channels,
            row.kernel_size,
            row.stride,
            act=row.act,
            dilation=row.dilation,
        )
        self.project = layer(row.expanded_channels, row.out_channels, act="none")
        self.residual = row.residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H/stride, W/stride)."""
        y: Tensor = self.project(self.expand(x))
        return x + y if self.residual else y


class UniversalInvertedBottleneck(nn.Module):
    """Optional depthwise convolutions around an expansion, linear projection (V4)."""

    def __init__(
        self,
        row: spec.UniversalInvertedBottleneck,
        in_channels: int,
        padding: Padding,
        bn_eps: float,
    ) -> None:
        super().__init__()
        width = row.expanded_channels
        layer = partial(ConvNormAct, padding=padding, bn_eps=bn_eps, dilation=row.dilation)
        start, middle = row.start_kernel_size, row.middle_kernel_size
        self.start_depthwise = (
            layer(
                in_channels,
                in_channels,
                start,
                1 if middle else row.stride,
                act="none",
                groups=in_channels,
            )
            if start
            else nn.Identity()
        )
        self.expand = layer(in_channels, width, act=row.act)
        self.middle_depthwise = (
            layer(width, width, middle, row.stride, act=row.act, groups=width)
            if middle
            else nn.Identity()
        )
        self.project = layer(width, row.out_channels, act="none")
        self.layer_scale = LayerScale(row.out_channels) if row.layer_scale else nn.Identity()
        self.residual = row.residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H/stride, W/stride)."""
        expanded = self.middle_depthwise(self.expand(self.start_depthwise(x)))
        y: Tensor = self.layer_scale(self.project(expanded))
        return x + y if self.residual else y


class MobileAttention(nn.Module):
    """Mobile multi-query attention: a query a head, one key and value for all (V4)."""

    def __init__(
        self, row: spec.MobileAttention, in_channels: int, padding: Padding, bn_eps: float
    ) -> None:
        super().__init__()
        self.heads, self.key_channels = row.heads, row.key_channels
        self.norm = nn.BatchNorm2d(in_channels, eps=bn_eps)
        self.query = build_conv(in_channels, row.heads * row.key_channels, padding=padding)
        down: Callable[[], nn.Module] = nn.Identity
        if row.kv_stride > 1:
            down = partial(
                ConvNormAct,
                in_channels,
                in_channels,
                row.kv_kernel_size,
                row.kv_stride,
                act="none",
                groups=in_channels,
                padding=padding,
                bn_eps=bn_eps,
                dilation=row.dilation,
            )
        self.key_down = down()
        self.key = build_conv(in_channels, row.key_channels, padding=padding)
        self.value_down = down()
        self.value = build_conv(in_channels, row.key_channels, padding=padding)
        self.output = build_conv(row.heads * row.key_channels, in_channels, padding=padding)
        self.layer_scale = LayerScale(in_channels) if row.layer_scale else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), same shape out."""
        normed = self.norm(x)
        batch, _, height, width = normed.shape
        # All heads share key and value, so positions and heads are one long axis of queries. With
        # channels last in memory, as images are here, nothing is copied on the way.
        query = self.query(normed).permute(0, 2, 3, 1).reshape(batch, -1, self.key_channels)
        key = self._tokens(self.key(self.key_down(normed)))
        value = self._tokens(self.value(self.value_down(normed)))
        scores = torch.softmax(query @ key.transpose(1, 2) * self.key_channels**-0.5, dim=-1)
        mixed = (scores @ value).reshape(batch, height, width, -1).permute(0, 3, 1, 2)
        out: Tensor = x + self.layer_scale(self.output(mixed))
        return out

    @staticmethod
    def _tokens(x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, H * W, C)."""
        return x.permute(0, 2, 3, 1).flatten(1, 2)


def build_block(row: spec.Block, in_channels: int, padding: Padding, bn_eps: float) -> nn.Module:
    """Build the module of one row.

    Args:
        row: The row's description.
        in_channels: Channels that the row above gives.
        padding: As in ModelSpec.
        bn_eps: As in ModelSpec.
    """
    match row:
        case spec.ConvNormAct():
            return ConvNormAct(
                in_channels,
                row.out_channels,
                row.kernel_size,
                row.stride,
                act=row.act,
                padding=padding,
                bn_eps=bn_eps,
                dilation=row.dilation,
            )
        case spec.Depthwise():
            return ConvNormAct(
                in_channels,
                in_channels,
                row.kernel_size,
                row.stride,
                act=row.act,
                padding=padding,
                bn_eps=bn_eps,
                dilation=row.dilation,
                groups=in_channels,
            )
        case spec.DepthwiseSeparable():
            return DepthwiseSeparable(row, in_channels, padding, bn_eps)
        case spec.InvertedResidual():
            return InvertedResidual(row, in_channels, padding, bn_eps)
        case spec.FusedInvertedResidual():
            return FusedInvertedResidual(row, in_channels, padding, bn_eps)
        case spec.UniversalInvertedBottleneck():
            return UniversalInvertedBottleneck(row, in_channels, padding, bn_eps)
        case spec.MobileAttention():
            return MobileAttention(row, in_channels, padding, bn_eps)
    raise SpecError(f"no module is known for a {type(row).__name__}")
