"""BatchNorm folded into the convolution before it: the same function, fewer operators."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from mobilens.nn.layers import ConvNormAct

N = TypeVar("N", bound=nn.Module)


def fuse_batchnorm(net: N) -> N:
    """Give a copy of a net whose convolutions have their BatchNorm folded in, for answering only.

    A BatchNorm without a convolution before it, as in attention, stays.

    Args:
        net: Left as it was.
    """
    fused = copy.deepcopy(net).eval()
    for module in fused.modules():
        if isinstance(module, ConvNormAct) and isinstance(module.norm, nn.BatchNorm2d):
            _fold(module.conv, module.norm)
            module.norm = nn.Identity()
    return fused


@torch.no_grad()
def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # In double precision: the folded net must agree with the trained one on every image.
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = torch.zeros_like(scale) if conv.bias is None else conv.bias.double()
    shift = norm.bias.double() + (bias - norm.running_mean.double()) * scale
    conv.weight.copy_(conv.weight.double() * scale.view(-1, 1, 1, 1))
    conv.bias = nn.Parameter(shift.to(conv.weight.dtype))
