"""The few layers that every block is made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from mobilens.spec.blocks import Activation
from mobilens.spec.model import Padding

# Those without numbers of their own.
ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard_swish": nn.Hardswish,
    "gelu": nn.GELU,
}

LAYER_SCALE_INIT = 1e-5
# Below 0. Source: He et al., "Delving Deep into Rectifiers" (arXiv 1502.01852), section 2.1.
PRELU_INIT = 0.25


def build_activation(act: Activation, channels: int) -> nn.Module:
    """Build an activation by name; it may overwrite its input where torch allows.

    Args:
        act: Its name.
        channels: Of what it reads: PReLU learns a slope for each.
    """
    if act == "prelu":
        return nn.PReLU(channels, PRELU_INIT)
    if act in ("none", "gelu"):
        return ACTIVATIONS[act]()
    return ACTIVATIONS[act](inplace=True)


class SameConv2d(nn.Conv2d):
    """Convolution padded as TensorFlow does: as little as needed, the odd pixel after.

    At stride 2 on even sizes this pads only right and bottom, so its sampling grid lies one pixel
    from that of symmetric padding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W); each side is divided by the stride, rounded up."""
        totals = []
        for axis in (0, 1):
            size, stride = x.shape[2 + axis], self.stride[axis]
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            totals.append(max((-(-size // stride) - 1) * stride + reach - size, 0))
        (before_y, after_y), (before_x, after_x) = ((n // 2, n - n // 2) for n in totals)
        if before_y == after_y and before_x == after_x:
            # The convolution pads for itself then, which spares a copy of the whole input.
            sides = (before_y, before_x)
        else:
            x, sides = F.pad(x, (before_x, after_x, before_y, after_y)), (0, 0)
        return F.conv2d(x, self.weight, self.bias, self.stride, sides, self.dilation, self.groups)


def build_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    stride: int = 1,
    *,
    padding: Padding,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """Build a convolution whose output size is the input's over the stride, rounded up."""
    if padding == "same" and kernel_size > 1:
        return SameConv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding=dilation * (kernel_size - 1) // 2,
        dilation=dilation,
        groups=groups,
        bias=bias,
    )


class ConvNormAct(nn.Module):
    """Convolution, BatchNorm, activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        *,
        act: Activation,
        padding: Padding,
        bn_eps: float,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = build_conv(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )
        self.norm: nn.Module = nn.BatchNorm2d(out_channels, eps=bn_eps)
        self.act = build_activation(act, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H/stride, W/stride)."""
        norm = self.norm
        if isinstance(norm, nn.BatchNorm2d) and not norm.training and torch.is_grad_enabled():
            return self._fixed_statistics(norm, x)
        out: Tensor = self.act(norm(self.conv(x)))
        return out

    def _fixed_statistics(self, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
        """The same where BatchNorm keeps its statistics and weights learn.

        It is a scale and a shift then. On the filters they cost next to nothing; on the outputs
        up to a quarter of a training step (V2 on a CPU: benchmarks/train_step.py).
        """
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        mean = norm.running_mean if self.conv.bias is None else norm.running_mean - self.conv.bias
        folded = {
            "weight": self.conv.weight * scale.view(-1, 1, 1, 1),
            "bias": norm.bias - mean * scale,
        }
        out: Tensor = self.act(functional_call(self.conv, folded, (x,)))
        return out


class SqueezeExcite(nn.Module):
    """Scales channels by a gate computed from their averages.

    Source: MobileNetV3 (arXiv 1905.02244), section 5.3: ReLU inside, hard sigmoid outside.
    """

    def __init__(self, channels: int, squeeze_channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeeze_channels, 1)
        self.act = nn.ReLU(inplace=True)
        self.expand = nn.Conv2d(squeeze_channels, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), same shape out."""
        gate = x.mean((2, 3), keepdim=True)
        gate = self.gate(self.expand(self.act(self.reduce(gate))))
        scaled: Tensor = x * gate
        return scaled


class LayerScale(nn.Module):
    """A learned scale a channel, small at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels, 1, 1), LAYER_SCALE_INIT))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), same shape out."""
        return x * self.scale
