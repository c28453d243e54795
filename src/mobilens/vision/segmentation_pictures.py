"""Pictures of the classes of pixels: masks that programs read, and things cut out of photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mobilens.errors import UsageError
from mobilens.spec.task import TaskSpec
from mobilens.vision.drawing import PALETTE, Colour
from mobilens.vision.masks import Mask, resized
from mobilens.vision.predictor import Pixels
from mobilens.vision.tasks import Render

if TYPE_CHECKING:
    from mobilens.vision.segmentation import SegmentationPrediction


def colour_of(number: int) -> Colour:
    """Colour of a class: the first ones are told apart best."""
    if number < len(PALETTE):
        return PALETTE[number]
    stream = np.random.default_rng(number)
    red, green, blue = (int(part) for part in stream.integers(40, 216, 3))
    return red, green, blue


def palette_masks(task: TaskSpec) -> Render:
    """Masks whose values are the numbers of classes, in the colours that answers are drawn in."""
    colours = [part for number in range(len(task.class_names)) for part in colour_of(number)]

    def render(image: Pixels, prediction: SegmentationPrediction) -> Image.Image:
        picture = Image.fromarray(resized(prediction.classes, image.shape[:2]))
        picture.putpalette(colours)
        return picture

    return render


def alpha_masks(task: TaskSpec) -> Render:
    """Masks whose values are the probability of the second of two classes, 0 to 255.

    Raises:
        UsageError: The model has more than two classes.
    """
    if len(task.class_names) != 2:
        raise UsageError(
            f"the model has {len(task.class_names)} classes: which one alpha masks show is not "
            "known",
            expected="a model of two classes",
            remedy="--mask-style palette",
        )
    return lambda image, prediction: Image.fromarray(_alpha(image, prediction))


def cutouts(task: TaskSpec) -> Render:  # noqa: ARG001
    """Photos that show what is not of the first class: softly of two classes, else with edges."""
    return lambda image, prediction: Image.fromarray(np.dstack([image, _alpha(image, prediction)]))


def _alpha(image: Pixels, prediction: SegmentationPrediction) -> Mask:
    """How much of each pixel is not of the first class, 0 to 255."""
    seen = prediction.classes != 0 if prediction.foreground is None else prediction.foreground
    return resized((255 * seen.clip(0, 1)).round().astype(np.uint8), image.shape[:2])
