"""Task-aligned assignment: which cells answer for which thing (TOOD, arXiv 2108.07755)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mobilens.tasks.detection.iou import overlap

# A cell's claim is score ** SCORE_POWER * IoU ** IOU_POWER; so many of the best are taken a thing.
SCORE_POWER, IOU_POWER, CELLS_A_THING = 0.5, 6.0, 10


@dataclass(frozen=True, eq=False)
class Assignment:
    """What each cell should say.

    Attributes:
        positive: (N, A), bool: cells that answer for a thing.
        boxes: (N, A, 4): its box.
        quality: (N, A, classes): how well the cell does, 0 to 1, at its class; else 0.
        ignored: (N, A), bool: cells in what is neither right nor wrong to find.
    """

    positive: Tensor
    boxes: Tensor
    quality: Tensor
    ignored: Tensor


def assign(
    scores: Tensor, boxes: Tensor, centres: Tensor, strides: Tensor, targets: dict[str, Tensor]
) -> Assignment:
    """Choose cells for the things of each image.

    Args:
        scores: (N, A, classes), 0 to 1.
        boxes: (N, A, 4), what cells say now, pixels.
        centres: (A, 2), middle of each cell, x, y, pixels.
        strides: (A,), their sides.
        targets: What ``Detection.targets`` gives.
    """
    things, classes, valid = targets["boxes"], targets["classes"], targets["valid"]
    inside = _inside(things, centres, strides)  # (N, M, A)
    claims = scores.transpose(1, 2).gather(1, classes[..., None].expand(-1, -1, scores.shape[1]))
    fits, _ = overlap(things[:, :, None], boxes[:, None])
    fits = fits * (inside & valid[..., None])
    align = claims.pow(SCORE_POWER) * fits.pow(IOU_POWER)
    best = align.topk(min(CELLS_A_THING, align.shape[2]), dim=2).indices
    chosen = torch.zeros_like(inside).scatter(2, best, value=True) & inside & valid[..., None]
    # A cell that several things want goes to the one that it fits best.
    rank = torch.where(chosen, fits + 1, fits.new_zeros(()))
    owner = rank.argmax(1)
    positive = chosen.any(1)
    mine = chosen & (torch.arange(things.shape[1], device=owner.device)[:, None] == owner[:, None])
    align = align * mine
    top = align.amax(2, keepdim=True).clamp(min=1e-9)
    quality = (align / top * (fits * mine).amax(2, keepdim=True)).amax(1)
    label = classes.gather(1, owner)
    full = scores.new_zeros(scores.shape).scatter(2, label[..., None], quality[..., None])
    crowd = (_inside(things, centres, strides) & targets["ignored"][..., None]).any(1)
    return Assignment(
        positive,
        things.gather(1, owner[..., None].expand(-1, -1, 4)),
        full * positive[..., None],
        crowd & ~positive,
    )


def _inside(things: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Which cells lie in which things, (N, M, A); a small thing has the finest cell around it."""
    finest = strides.min()
    middle = (things[..., :2] + things[..., 2:]) / 2
    half = ((things[..., 2:] - things[..., :2]) / 2).clamp(min=float(finest) / 2)
    away = (centres[None, None] - middle[:, :, None]).abs()
    return (away <= half[:, :, None]).all(3)
