"""A view turned around its middle."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mobilens.vision.view import View


def turned(image: Tensor, degrees: float, fill: tuple[int, int, int]) -> tuple[Tensor, View]:
    """Turn an image counter-clockwise; what comes in at its corners is filled.

    Args:
        image: (3, H, W), uint8.
        degrees: How far.
        fill: RGB, 0 to 255.

    Returns:
        The same shape, and how it came about.
    """
    page = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    page = page.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=fill)
    height, width = image.shape[1:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    middle = np.array([width / 2, height / 2])
    turn = np.array([[cos, sin], [-sin, cos]])
    matrix = np.column_stack([turn, middle - turn @ middle])
    size = (height, width)
    pixels = torch.from_numpy(np.array(page)).permute(2, 0, 1)
    return pixels, View(matrix, (0, 0, width, height), size, size)
