"""The heatmap head as a module, the maps that it should give, and its loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilens.nn.backbone import Backbone, require_buildable
from mobilens.nn.blocks import DepthwiseSeparable
from mobilens.nn.init import init_weights
from mobilens.nn.layers import ConvNormAct
from mobilens.spec import blocks as spec
from mobilens.spec.heads import HeatmapHead
from mobilens.spec.model import ModelSpec

# Deviation of the peak that is learnt, in cells.
SIGMA = 1.5


class HeatmapHeadNet(nn.Module):
    """Features, the finest first, to a map for each point, (N, points, H, W)."""

    def __init__(self, model: ModelSpec, head: HeatmapHead, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            ConvNormAct(
                one, head.channels, act=head.act, padding=model.padding, bn_eps=model.bn_eps
            )
            for one in channels
        )
        row = spec.DepthwiseSeparable(head.kernel_size, head.channels, 1, head.act)
        self.down = nn.ModuleList(
            DepthwiseSeparable(row, head.channels, model.padding, model.bn_eps) for _ in channels
        )
        self.maps = nn.Conv2d(head.channels, head.num_classes, 1)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """(N, C, H, W) each to (N, points, H, W) of the finest feature's size."""
        x: Tensor | None = None
        for lateral, down, feature in zip(
            reversed(self.lateral), reversed(self.down), reversed(features), strict=True
        ):
            level = lateral(feature)
            if x is not None:
                level = level + F.interpolate(x, level.shape[2:], mode="bilinear")
            x = down(level)
        maps: Tensor = self.maps(x)
        return maps


class HeatmapNet(nn.Module):
    """Backbone and heatmap head."""

    def __init__(self, model: ModelSpec) -> None:
        super().__init__()
        require_buildable(model)
        head = model.head
        assert isinstance(head, HeatmapHead)
        self.spec = model
        self.backbone = Backbone(model, model.taps)
        self.head = HeatmapHeadNet(model, head, self.backbone.channels)
        init_weights(self)
        nn.init.normal_(self.head.maps.weight, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), normalised, to (N, points, H / stride, W / stride), before softmax."""
        maps: Tensor = self.head(self.backbone(x))
        return maps


def peaks(points: Tensor, size: tuple[int, int], stride: tuple[float, float]) -> Tensor:
    """What maps should be: how likely each cell is, which is most where a point lies.

    Args:
        points: (N, K, 2), x, y in pixels of the input.
        size: (height, width) of a map.
        stride: Pixels of the input to a cell, down and across.

    Returns:
        (N, K, height * width), each row adding up to 1.
    """
    height, width = size
    x, y = points.unbind(2)
    across = torch.arange(width, device=points.device) + 0.5
    down = torch.arange(height, device=points.device) + 0.5
    columns = torch.softmax(-((x[..., None] / stride[1] - across) ** 2) / (2 * SIGMA**2), 2)
    rows = torch.softmax(-((y[..., None] / stride[0] - down) ** 2) / (2 * SIGMA**2), 2)
    return (rows[..., :, None] * columns[..., None, :]).flatten(2)
