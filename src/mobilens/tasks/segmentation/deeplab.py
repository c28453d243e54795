"""DeepLabv3 and v3+ heads as a module."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilens.nn.layers import ConvNormAct
from mobilens.spec.heads import DeepLabHead
from mobilens.spec.model import ModelSpec


class DeepLabNet(nn.Module):
    """One or two features to class scores, (N, classes, H, W), of the finest one's size."""

    def __init__(self, model: ModelSpec, head: DeepLabHead, channels: tuple[int, ...]) -> None:
        super().__init__()
        last, width = channels[-1], head.channels
        layer = partial(ConvNormAct, act=head.act, padding=model.padding, bn_eps=model.bn_eps)

        def spread(inputs: int, rate: int = 1) -> nn.Module:
            if not head.separable:
                return layer(inputs, width, 3, dilation=rate)
            depthwise = layer(inputs, inputs, 3, dilation=rate, groups=inputs)
            return nn.Sequential(depthwise, layer(inputs, width))

        self.plain = layer(last, width)
        self.rates = nn.ModuleList(spread(last, rate) for rate in head.rates)
        self.pooled = layer(last, width)
        self.project = layer(width * (2 + len(head.rates)), width)
        self.dropout = nn.Dropout(head.dropout)
        self.low: nn.Module | None = None
        self.decode = nn.Sequential(spread(width))
        if head.low_channels:
            self.low = layer(channels[0], head.low_channels)
            self.decode = nn.Sequential(spread(width + head.low_channels), spread(width))
        self.classes = nn.Conv2d(width, head.num_classes, 1)
        self.scoring = (self.classes,)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """The finer feature, if one is read, and the last one."""
        last = features[-1]
        pooled = self.pooled(last.mean((2, 3), keepdim=True))
        branches = [self.plain(last), *(rate(last) for rate in self.rates)]
        branches.append(F.interpolate(pooled, last.shape[2:], mode="bilinear"))
        x = self.dropout(self.project(torch.cat(branches, 1)))
        if self.low is not None:
            low = self.low(features[0])
            x = torch.cat([F.interpolate(x, low.shape[2:], mode="bilinear"), low], 1)
        scores: Tensor = self.classes(self.decode(x))
        return scores
