"""The anchor-free head as a module, and its loss."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilens.errors import SpecError
from mobilens.nn.backbone import Backbone, require_buildable
from mobilens.nn.blocks import DepthwiseSeparable
from mobilens.nn.init import init_weights
from mobilens.nn.layers import ConvNormAct
from mobilens.spec import blocks as spec
from mobilens.spec.heads import AnchorFreeHead
from mobilens.spec.model import ModelSpec
from mobilens.tasks.detection.assign import assign
from mobilens.tasks.detection.iou import giou

# Before training, every cell holds every class to be as unlikely as this.
PRIOR = 0.01
# Weights of the parts of the loss.
CLASS_WEIGHT, BOX_WEIGHT, SIDE_WEIGHT = 1.0, 2.5, 0.5


class AnchorFreeHeadNet(nn.Module):
    """Features to what every cell says: logits of the classes, and distributions of four sides."""

    def __init__(self, model: ModelSpec, head: AnchorFreeHead, channels: tuple[int, ...]) -> None:
        super().__init__()
        width, levels, taps = head.channels, len(head.strides), len(channels)
        self._taps = taps

        def separable(stride: int = 1) -> DepthwiseSeparable:
            row = spec.DepthwiseSeparable(head.kernel_size, width, stride, head.act)
            return DepthwiseSeparable(row, width, model.padding, model.bn_eps)

        self.lateral = nn.ModuleList(
            ConvNormAct(one, width, act=head.act, padding=model.padding, bn_eps=model.bn_eps)
            for one in channels
        )
        self.extra = nn.ModuleList(separable(2) for _ in range(levels - taps))
        self.down = nn.ModuleList(separable() for _ in range(taps - 1))
        self.up = nn.ModuleList(separable(2) for _ in range(taps - 1))
        self.merged = nn.ModuleList(separable() for _ in range(taps - 1))
        self.tower = nn.ModuleList(
            nn.Sequential(*(separable() for _ in range(head.depth))) for _ in range(levels)
        )
        self.classes = nn.ModuleList(nn.Conv2d(width, head.num_classes, 1) for _ in range(levels))
        self.sides = nn.ModuleList(nn.Conv2d(width, 4 * head.bins, 1) for _ in range(levels))

    def pyramid(self, features: tuple[Tensor, ...]) -> list[Tensor]:
        """One map for each level, all of one width."""
        levels = [lateral(x) for lateral, x in zip(self.lateral, features, strict=True)]
        for extra in self.extra:
            levels.append(extra(levels[-1]))
        for index in reversed(range(self._taps - 1)):
            finer = levels[index]
            coarse = F.interpolate(levels[index + 1], finer.shape[2:], mode="bilinear")
            levels[index] = self.down[index](finer + coarse)
        for index in range(1, self._taps):
            finer = self.up[index - 1](levels[index - 1])
            levels[index] = self.merged[index - 1](levels[index] + finer)
        return levels

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Features to logits (N, A, classes) and logits of sides (N, A, 4 * bins)."""
        logits, sides = [], []
        for level, tower, classes, side in zip(
            self.pyramid(features), self.tower, self.classes, self.sides, strict=True
        ):
            x = tower(level)
            logits.append(_cells(classes(x)))
            sides.append(_cells(side(x)))
        return torch.cat(logits, 1), torch.cat(sides, 1)


def _cells(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, H * W, C)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


class AnchorFreeDetector(nn.Module):
    """Backbone and anchor-free head."""

    def __init__(self, model: ModelSpec) -> None:
        super().__init__()
        require_buildable(model)
        head = model.head
        assert isinstance(head, AnchorFreeHead)
        _require_whole_cells(model, head)
        self.spec = model
        self.backbone = Backbone(model, model.taps)
        self.head = AnchorFreeHeadNet(model, head, self.backbone.channels)
        self._bins = head.bins
        centres, strides = _cells_of(model.resolution, head.strides)
        self.centres: Tensor
        self.strides: Tensor
        self.steps: Tensor
        self.bins: Tensor
        # They follow from the description, and so are no part of a checkpoint.
        self.register_buffer("centres", centres.repeat(1, 2), persistent=False)
        self.register_buffer("strides", strides, persistent=False)
        signs = torch.tensor([-1.0, -1.0, 1.0, 1.0])
        self.register_buffer("steps", strides[:, None] * signs, persistent=False)
        self.register_buffer("bins", torch.arange(head.bins).float()[None], persistent=False)
        init_weights(self)
        for classes in self.head.classes:
            assert isinstance(classes, nn.Conv2d)
            nn.init.normal_(classes.weight, std=0.01)
            assert classes.bias is not None
            nn.init.constant_(classes.bias, -math.log((1 - PRIOR) / PRIOR))
        for sides in self.head.sides:
            assert isinstance(sides, nn.Conv2d)
            nn.init.normal_(sides.weight, std=0.01)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W), normalised, to what the loss and the answers need, by name.

        Returns:
            ``"logits"`` (N, A, classes), ``"sides"`` (N, A, 4, bins), ``"boxes"`` (N, A, 4), xyxy
            in pixels of the input, and the cells' ``"centres"`` (A, 4) and ``"strides"`` (A,).
        """
        logits, sides = self.head(self.backbone(x))
        cells = logits.shape[1]
        # A row for each side: some runtimes multiply no more than rows.
        shares = sides.reshape(len(x), 4 * cells, self._bins).float().softmax(2)
        distances = F.linear(shares, self.bins).reshape(len(x), cells, 4)
        return {
            "logits": logits,
            "sides": sides.reshape(len(x), cells, 4, self._bins),
            "boxes": distances * self.steps + self.centres,
            "centres": self.centres,
            "strides": self.strides,
        }


def _require_whole_cells(model: ModelSpec, head: AnchorFreeHead) -> None:
    coarsest = head.strides[-1]
    if any(side % coarsest for side in model.resolution):
        height, width = (max(1, round(side / coarsest)) * coarsest for side in model.resolution)
        raise SpecError(
            f"resolution is {model.resolution}",
            expected=f"multiples of {coarsest}, the stride of the coarsest level",
            remedy=f"{height}" if height == width else f"({height}, {width})",
        )


def _cells_of(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Middle of each cell, (A, 2) as x, y in pixels, and its side, (A,)."""
    centres, sides = [], []
    for stride in strides:
        rows, columns = (torch.arange(side // stride) + 0.5 for side in size)
        y, x = torch.meshgrid(rows * stride, columns * stride, indexing="ij")
        centres.append(torch.stack([x.flatten(), y.flatten()], 1))
        sides.append(torch.full((x.numel(),), float(stride)))
    return torch.cat(centres), torch.cat(sides)


def anchor_free_loss(raw: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Loss of each image, (N,); their mean is the loss of the batch.

    Cells are assigned by how well they classify and locate together (arXiv 2108.07755), classes
    learn how well the box fits in place of 1 (arXiv 2006.04388, with cross-entropy), boxes by
    generalised IoU (arXiv 1902.09630), sides by the two whole numbers around the truth.

    Args:
        raw: What the net gives.
        targets: What ``Detection.targets`` gives.
    """
    logits, boxes, sides = raw["logits"].float(), raw["boxes"].float(), raw["sides"].float()
    with torch.no_grad():
        found = assign(logits.sigmoid(), boxes, raw["centres"][:, :2], raw["strides"], targets)
    weight = found.quality.sum(2)
    total = weight.sum().clamp(min=1.0) / len(logits)
    classes = F.binary_cross_entropy_with_logits(logits, found.quality, reduction="none")
    losses = CLASS_WEIGHT * (classes.sum(2) * ~found.ignored).sum(1)
    image, cell = torch.nonzero(found.positive, as_tuple=True)
    if len(image):
        wanted = found.boxes[image, cell]
        share = weight[image, cell]
        overlap = BOX_WEIGHT * (1 - giou(boxes[image, cell], wanted)) * share
        step, centre = raw["strides"][cell, None], raw["centres"][cell]
        signs = torch.tensor([-1.0, -1.0, 1.0, 1.0], device=wanted.device)
        distances = (wanted - centre) * signs / step
        spread = SIDE_WEIGHT * _between_bins(sides[image, cell], distances) * share
        losses = losses.index_add(0, image, overlap + spread)
    return losses / total


def _between_bins(logits: Tensor, distances: Tensor) -> Tensor:
    """Cross-entropy of (P, 4, bins) with distances (P, 4) between whole numbers, (P,)."""
    last = logits.shape[2] - 1
    distances = distances.clamp(0, last - 0.01)
    low = distances.floor()
    high_share = distances - low
    chances = F.log_softmax(logits, 2)
    below, above = (
        chances.gather(2, bins.long().unsqueeze(2)).squeeze(2) for bins in (low, low + 1)
    )
    return -(below * (1 - high_share) + above * high_share).mean(1)
