"""Cut: a rectangle of an image that fills a rectangle of a view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from mobilens.vision.view import View


class Rectangle(NamedTuple):
    """Whole pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Cut:
    """A part of an image, scaled, perhaps mirrored, and where in a view it comes to lie.

    Attributes:
        source: Part of the image.
        target: Part of the view that it fills.
        size: (height, width) of the view.
        image_size: (height, width) of the image.
        flip: Whether it is mirrored left to right.
    """

    source: Rectangle
    target: Rectangle
    size: tuple[int, int]
    image_size: tuple[int, int]
    flip: bool = False

    def pixels(self, image: Tensor) -> Tensor:
        """Cut out of (3, H, W), uint8, and resize with antialiasing to the target's size."""
        top, left, height, width = self.source
        part = image[:, top : top + height, left : left + width]
        if self.flip:
            part = part.flip(2)
        size = (self.target.height, self.target.width)
        return F.interpolate(part[None], size=size, mode="bilinear", antialias=True)[0]

    def view(self) -> View:
        """The same as a map of points."""
        across = self.target.width / self.source.width
        down = self.target.height / self.source.height
        left, top = self.target.left, self.target.top
        x = [across, 0.0, left - self.source.left * across]
        if self.flip:
            x = [-across, 0.0, left + self.target.width + self.source.left * across]
        y = [0.0, down, top - self.source.top * down]
        window = (left, top, left + self.target.width, top + self.target.height)
        return View(np.array([x, y]), window, self.size, self.image_size)
