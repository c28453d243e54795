"""Weights before training."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

InitScheme = Literal["kaiming", "truncated_normal"]


def init_weights(net: nn.Module, scheme: InitScheme = "kaiming") -> None:
    """Initialise convolutions and classifiers in place; BatchNorm starts as the identity.

    Args:
        net: Any module.
        scheme: ``"kaiming"``, normal with the variance that keeps gradients (fan out), or
            ``"truncated_normal"`` with deviation 0.09 cut at two, as the released V1 and V2 code.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            if scheme == "kaiming":
                # torch's own fan-out forgets the groups: depthwise filters would start near zero.
                fan_out = module.out_channels // module.groups * math.prod(module.kernel_size)
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            else:
                nn.init.trunc_normal_(module.weight, std=0.09, a=-0.18, b=0.18)
        elif isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.01, a=-0.02, b=0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
