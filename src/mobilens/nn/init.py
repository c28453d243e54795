"""Weights before training."""

from __future__ import annotations

import math

from torch import nn


def init_weights(net: nn.Module, std: float | None = None) -> None:
    """Initialise convolutions and classifiers in place; BatchNorm starts as the identity.

    Args:
        net: Any module.
        std: Deviation of the convolutions' weights, a normal distribution cut at two of it; None
            takes the one that keeps the size of gradients (Kaiming, fan out).
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            if std is None:
                # torch's own fan-out forgets the groups: depthwise filters would start near zero.
                fan_out = module.out_channels // module.groups * math.prod(module.kernel_size)
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            else:
                nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        elif isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.01, a=-0.02, b=0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
