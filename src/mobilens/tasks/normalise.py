"""Raw pixels to what a net reads: the one normalisation, in training and in every graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mobilens.spec.task import Preprocessing


class Normalise(nn.Module):
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W): value / 255, less mean, over std."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        std = torch.tensor(preprocessing.std)
        mean = torch.tensor(preprocessing.mean)
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1))
        self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise a batch; the result is channels_last, since the pixels were."""
        return pixels.permute(0, 3, 1, 2).to(self.scale.dtype) * self.scale + self.shift
