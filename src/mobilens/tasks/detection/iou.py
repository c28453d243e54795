"""Overlap of boxes under torch; boxes are (..., 4), xyxy."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-7


def overlap(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union, and the area of the union, of boxes that broadcast."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(one[..., 2:] - one[..., :2]).clamp(min=0).prod(-1) for one in (first, second)]
    union = areas[0] + areas[1] - shared
    return shared / union.clamp(min=TINY), union


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised IoU, -1 to 1 (arXiv 1902.09630)."""
    plain, union = overlap(first, second)
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    hull = (high - low).clamp(min=0).prod(-1)
    return plain - (hull - union) / hull.clamp(min=TINY)
