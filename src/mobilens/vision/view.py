"""View: how an image, or a part of it, lands in another image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilens.vision.resize import Placement


@dataclass(frozen=True, eq=False)
class View:
    """An affine map and what can be seen through it.

    Attributes:
        matrix: (2, 3), float64: x, y, 1 of the image to x, y of the view, pixels.
        window: Left, top, right, bottom of what the view fills of the new image, pixels.
        size: (height, width) of the new image.
        image_size: (height, width) of the image that is seen.
    """

    matrix: NDArray[np.float64]
    window: tuple[float, float, float, float]
    size: tuple[int, int]
    image_size: tuple[int, int]

    @classmethod
    def of(cls, placement: Placement) -> View:
        """The map of a plain placement."""
        (x, y), (left, top) = placement.scale, placement.source[:2]
        shift_x, shift_y = placement.target[0] - left / x, placement.target[1] - top / y
        matrix = np.array([[1 / x, 0, shift_x], [0, 1 / y, shift_y]])
        return cls(matrix, placement.target, placement.size, placement.image_size)

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry points (..., 2) from the image into the view."""
        moved: NDArray[np.float64] = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return moved

    def then(self, later: View) -> View:
        """The map of this one and then another, seen through the other's window."""
        square = np.vstack([self.matrix, [0, 0, 1]])
        return View(later.matrix @ square, later.window, later.size, self.image_size)
