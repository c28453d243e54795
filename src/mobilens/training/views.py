"""Random views of training images, with the truth for what they show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mobilens.errors import SpecError
from mobilens.training.augment import Augmentation, Draws, random_crop
from mobilens.training.cache import PixelCache
from mobilens.training.cut import Cut, Rectangle
from mobilens.training.turn import turned
from mobilens.vision.tasks import VisionTask
from mobilens.vision.view import View

# Where the four images of a mosaic meet, as a share of the view.
MEETING = (0.3, 0.7)
# Widest over narrowest that an image is stretched to.
STRETCH = 1.15


class Views:
    """Training images as a net sees them.

    Args:
        images: Whole images.
        targets: The truth of each, in its pixels.
        task: Says what a view shows of a truth.
        size: (height, width) of a view.
        fill: Around images that do not fill it, RGB.
        how: What is random.
    """

    def __init__(
        self,
        images: PixelCache,
        targets: Sequence[Any],
        task: VisionTask,
        size: tuple[int, int],
        fill: tuple[int, int, int],
        how: Augmentation,
    ) -> None:
        self._images, self._targets, self._task = images, targets, task
        self._size, self._how = size, how
        self._fill = fill
        self._merge = task.merge
        for name in ("mixup", "cutmix"):
            if getattr(how, name) and task.LABELS != "class":
                raise SpecError(
                    f"{name} is {getattr(how, name)}", expected="0: truths of this task do not mix"
                )
        if how.mosaic and self._merge is None:
            raise SpecError(
                f"mosaic is {how.mosaic}", expected="0: this task cannot put images together"
            )

    def view(self, index: int, draws: Draws, *, mosaic: bool = True) -> tuple[Tensor, Any]:
        """Draw one view of an image.

        Args:
            index: Of the image.
            draws: The image's row of random numbers.
            mosaic: Whether it may be put together with others.

        Returns:
            (3, height, width), uint8, and its truth in pixels of the view.
        """
        if self._how.geometry == "crop":
            cut = random_crop(self._size_of(index), self._size, draws, self._how)
            return cut.pixels(self._images[index]), self._moved(index, cut.view())
        stream = np.random.default_rng([int(value * 2**24) for value in draws[:4]])
        canvas = torch.tensor(self._fill, dtype=torch.uint8).view(3, 1, 1).repeat(1, *self._size)
        if mosaic and stream.random() < self._how.mosaic:
            return canvas, self._mosaic(canvas, index, stream)
        view = self._place(canvas, index, Rectangle(0, 0, *self._size), stream)
        if self._how.rotation:
            degrees = self._how.rotation * stream.uniform(-1, 1)
            canvas, turn = turned(canvas, degrees, self._fill)
            view = view.then(turn)
        return canvas, self._moved(index, view)

    def _mosaic(self, canvas: Tensor, index: int, stream: np.random.Generator) -> Any:
        """Put four images around a point."""
        height, width = self._size
        y, x = (round(side * stream.uniform(*MEETING)) for side in self._size)
        parts = (
            Rectangle(0, 0, y, x),
            Rectangle(0, x, y, width - x),
            Rectangle(y, 0, height - y, x),
            Rectangle(y, x, height - y, width - x),
        )
        others = stream.integers(0, len(self._images), 3)
        indices = stream.permutation([index, *others])
        seen = [
            self._moved(int(one), self._place(canvas, int(one), part, stream))
            for one, part in zip(indices, parts, strict=True)
        ]
        assert self._merge is not None
        return self._merge(seen)

    def _place(
        self, canvas: Tensor, index: int, part: Rectangle, stream: np.random.Generator
    ) -> View:
        """Paint an image into a part of the canvas."""
        cut = self._jittered(self._size_of(index), part, stream)
        top, left, height, width = cut.target
        canvas[:, top : top + height, left : left + width] = cut.pixels(self._images[index])
        return cut.view()

    def _jittered(
        self, image_size: tuple[int, int], part: Rectangle, stream: np.random.Generator
    ) -> Cut:
        """Choose a size and a place: larger than the part it is cut off, smaller it floats."""
        fits = min(side / own for side, own in zip(self._size, image_size, strict=True))
        low, high = np.log(self._how.jitter_scale)
        scale = fits * np.exp(stream.uniform(low, high))
        stretch = np.exp(stream.uniform(-0.5, 0.5) * np.log(STRETCH))
        axes = []
        for own, factor, begin, room in (
            (image_size[0], scale * stretch, part.top, part.height),
            (image_size[1], scale / stretch, part.left, part.width),
        ):
            whole = max(1, round(own * factor))
            shown = min(whole, room)
            taken = min(own, max(1, round(shown / factor)))
            axes.append(
                (
                    round(stream.random() * (own - taken)),
                    taken,
                    begin + round(stream.random() * (room - shown)),
                    shown,
                )
            )
        (y, rows, top, height), (x, columns, left, width) = axes
        return Cut(
            Rectangle(y, x, rows, columns),
            Rectangle(top, left, height, width),
            self._size,
            image_size,
            flip=bool(self._how.flip and stream.random() < 0.5),
        )

    def _size_of(self, index: int) -> tuple[int, int]:
        _, height, width = self._images[index].shape
        return height, width

    def _moved(self, index: int, view: View) -> Any:
        return self._task.move(self._targets[index], view)
