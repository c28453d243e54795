"""TrivialAugment in its wide form (arXiv 2103.10158, Table 7), on batches of tensors.

Each image takes one operation at one strength, both uniform. Images that drew the same operation
are treated together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

# Value of what a warp brings in from outside of the image.
OUTSIDE = 128

# Strengths are (n,) in [-1, 1] for signed operations, in [0, 1] for the others.
Operation = Callable[[Tensor, Tensor], Tensor]


def trivial_augment(
    batch: Tensor,
    draws: NDArray[np.float32],
    operations: Sequence[tuple[Operation | None, bool]] | None = None,
) -> Tensor:
    """Apply one operation to each image.

    Args:
        batch: (N, 3, H, W), uint8; left as it was.
        draws: (N, 3) in [0, 1): operation, strength, sign.
        operations: What is chosen from, each with whether its strength has a sign; all by default.

    Returns:
        (N, 3, H, W), uint8.
    """
    result = batch.clone()
    operations = OPERATIONS if operations is None else operations
    chosen = (draws[:, 0] * len(operations)).astype(int)
    for index, (operation, signed) in enumerate(operations):
        rows = np.flatnonzero(chosen == index)
        if operation is None or rows.size == 0:
            continue
        strength = draws[rows, 1]
        if signed:
            strength = np.where(draws[rows, 2] < 0.5, -strength, strength)
        where = torch.from_numpy(rows)
        changed = operation(batch[where].float(), torch.from_numpy(strength))
        result[where] = changed.round_().clamp_(0, 255).to(torch.uint8)
    return result


def _affine(
    batch: Tensor, strength: Tensor, entry: Callable[[Tensor], dict[tuple[int, int], Tensor]]
) -> Tensor:
    """Warp by a matrix that differs from the identity in a few entries; outside is grey."""
    height, width = batch.shape[2:]
    matrix = torch.eye(2, 3).repeat(len(batch), 1, 1)
    for (row, column), value in entry(strength).items():
        matrix[:, row, column] = value
    # affine_grid's axes run from -1 to 1 on each side: undo the aspect for off-diagonal terms.
    matrix[:, 0, 1] *= height / width
    matrix[:, 1, 0] *= width / height
    grid = F.affine_grid(matrix, list(batch.shape), align_corners=False)
    return F.grid_sample(batch - OUTSIDE, grid, align_corners=False) + OUTSIDE


def _rotate(batch: Tensor, strength: Tensor) -> Tensor:
    angle = strength * math.radians(135)
    sin, cos = angle.sin(), angle.cos()
    return _affine(batch, angle, lambda _: {(0, 0): cos, (0, 1): -sin, (1, 0): sin, (1, 1): cos})


def _shear_x(batch: Tensor, strength: Tensor) -> Tensor:
    return _affine(batch, strength, lambda s: {(0, 1): 0.99 * s})


def _shear_y(batch: Tensor, strength: Tensor) -> Tensor:
    return _affine(batch, strength, lambda s: {(1, 0): 0.99 * s})


def _translate_x(batch: Tensor, strength: Tensor) -> Tensor:
    return _shifted(batch, strength, axis=2)


def _translate_y(batch: Tensor, strength: Tensor) -> Tensor:
    return _shifted(batch, strength, axis=1)


def _shifted(batch: Tensor, strength: Tensor, axis: int) -> Tensor:
    """Move by whole pixels, which needs no resampling; outside is grey."""
    size = batch.shape[axis + 1]
    moved = torch.full_like(batch, OUTSIDE)
    # 32 pixels at ImageNet's 224, as a share of the image so that it means the same elsewhere.
    for target, image, shift in zip(
        moved, batch, (strength * size * 32 / 224).round(), strict=True
    ):
        kept = size - abs(int(shift))
        source = image.narrow(axis, max(0, -int(shift)), kept)
        target.narrow(axis, max(0, int(shift)), kept).copy_(source)
    return moved


def _blend(batch: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """Move from ``other`` (factor 0) over the image (1) and beyond (1.99)."""
    factor = (1 + 0.99 * strength).view(-1, 1, 1, 1)
    return other + factor * (batch - other)


def _grey(batch: Tensor) -> Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (batch * weights).sum(1, keepdim=True)


def _brightness(batch: Tensor, strength: Tensor) -> Tensor:
    return _blend(batch, torch.zeros(()), strength)


def _colour(batch: Tensor, strength: Tensor) -> Tensor:
    return _blend(batch, _grey(batch), strength)


def _contrast(batch: Tensor, strength: Tensor) -> Tensor:
    return _blend(batch, _grey(batch).mean((1, 2, 3), keepdim=True), strength)


def _sharpness(batch: Tensor, strength: Tensor) -> Tensor:
    padded = F.pad(batch, (1, 1, 1, 1), mode="replicate")
    # The smoothing kernel is ones around a five, over thirteen: a box and four times the middle.
    rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    box = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    smooth = (box + 4 * batch) / 13
    return _blend(batch, smooth, strength)


def _posterize(batch: Tensor, strength: Tensor) -> Tensor:
    bits = 8 - (strength * 6).round().view(-1, 1, 1, 1)
    step = 2 ** (8 - bits)
    return (batch / step).floor() * step


def _solarize(batch: Tensor, strength: Tensor) -> Tensor:
    # From 256, so that no strength at all leaves white as it is.
    threshold = (256 * (1 - strength)).view(-1, 1, 1, 1)
    return torch.where(batch >= threshold, 255 - batch, batch)


def _autocontrast(batch: Tensor, _: Tensor) -> Tensor:
    low, high = batch.amin((2, 3), keepdim=True), batch.amax((2, 3), keepdim=True)
    spread = torch.where(high > low, high - low, torch.full_like(high, 255))
    return torch.where(high > low, (batch - low) * (255 / spread), batch)


def _equalize(batch: Tensor, _: Tensor) -> Tensor:
    planes = batch.flatten(0, 1).flatten(1).long()
    counts = torch.zeros(len(planes), 256, dtype=torch.long)
    counts.scatter_add_(1, planes, torch.ones_like(planes))
    # Pixels a step of the result, had all steps as many; the brightest value has no step above.
    brightest = counts.gather(1, planes.amax(1, keepdim=True))
    step = (planes.shape[1] - brightest) // 255
    below = counts.cumsum(1) - counts
    table = (below + step // 2) // step.clamp(min=1)
    # Too few pixels, or too many of one value, to spread.
    table = torch.where(step > 0, table.clamp(max=255), torch.arange(256))
    return table.gather(1, planes).view_as(batch).float()


# operation and whether its strength has a sign
OPERATIONS: tuple[tuple[Operation | None, bool], ...] = (
    (None, False),
    (_shear_x, True),
    (_shear_y, True),
    (_translate_x, True),
    (_translate_y, True),
    (_rotate, True),
    (_brightness, True),
    (_colour, True),
    (_contrast, True),
    (_sharpness, True),
    (_posterize, False),
    (_solarize, False),
    (_autocontrast, False),
    (_equalize, False),
)
# Those that leave everything in its place, and things what they are.
COLOURS: tuple[tuple[Operation | None, bool], ...] = (
    (None, False),
    (_brightness, True),
    (_colour, True),
    (_contrast, True),
    (_sharpness, True),
    (_autocontrast, False),
)
