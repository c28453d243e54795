"""LR-ASPP as a module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilens.nn.layers import ConvNormAct
from mobilens.spec.heads import LrAsppHead
from mobilens.spec.model import ModelSpec


class LrAsppNet(nn.Module):
    """Two features to class scores, (N, classes, H, W), of the finer one's size."""

    def __init__(self, model: ModelSpec, head: LrAsppHead, channels: tuple[int, ...]) -> None:
        super().__init__()
        low, last = channels
        self.conv = ConvNormAct(
            last, head.channels, act=head.act, padding=model.padding, bn_eps=model.bn_eps
        )
        self.gate = nn.Conv2d(last, head.channels, 1, bias=False)
        self.high = nn.Conv2d(head.channels, head.num_classes, 1)
        self.low = nn.Conv2d(low, head.num_classes, 1)
        self.scoring = (self.high, self.low)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """The finer feature and the last one, in this order."""
        low, last = features
        gate = torch.sigmoid(self.gate(last.mean((2, 3), keepdim=True)))
        wide = F.interpolate(self.conv(last) * gate, low.shape[2:], mode="bilinear")
        scores: Tensor = self.high(wide) + self.low(low)
        return scores
