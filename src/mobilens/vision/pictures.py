"""Pictures of wrong answers, as pages and grids show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mobilens.vision.image import image_size, load_thumbnail
from mobilens.vision.predictor import Pixels
from mobilens.vision.resize import place_inside
from mobilens.vision.tasks import VisionTask
from mobilens.vision.view import View


def mistake_picture(
    task: VisionTask, path: Path, prediction: Any, target: Any, side: int
) -> Pixels:
    """Load an image as a picture, and draw what is wrong with its answer.

    Args:
        task: What was asked.
        path: The image file.
        prediction: The answer.
        target: The truth.
        side: Long side of the picture, where the task needs none of its own.

    Returns:
        (height, width, 3), RGB, uint8.

    Raises:
        ImageError: As ``decode_image``.
    """
    side = task.MISTAKE_SIDE or side
    image = load_thumbnail(path, side)
    view = View.of(place_inside(image_size(path), (side, side)))
    return task.draw_mistake(image, prediction, target, view)
