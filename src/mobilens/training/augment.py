"""Random views of images, drawn ahead and applied to whole batches of tensors.

Every image has its own row of random numbers, drawn from (seed, epoch) alone. So an epoch can be
repeated exactly after a restart, and processes that share an epoch see what one alone would see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mobilens.errors import SpecError
from mobilens.spec import codec
from mobilens.training.cut import Cut, Rectangle
from mobilens.training.trivial_augment import COLOURS, OPERATIONS, trivial_augment

Draws = NDArray[np.float32]
NUM_DRAWS = 12


@dataclass(frozen=True)
class Augmentation:
    """What is done to training images.

    Attributes:
        crop_scale: Smallest and largest share of the image's area that a crop covers.
        crop_ratio: Smallest and largest width over height of a crop.
        flip: Mirror half of the images left to right.
        geometry: ``"crop"`` shows a random part of the image, stretched; ``"jitter"`` shows it
            larger or smaller than it fits, cut off or with grey around it.
        jitter_scale: For ``"jitter"``: smallest and largest size, 1 where the image just fits.
        rotation: For ``"jitter"``: furthest that a view is turned either way, degrees.
        mosaic: Share of views that are put together of four images (arXiv 2004.10934).
        close_mosaic: Share of the epochs, at the end, that have none.
        policy: ``"trivial"`` applies one operation of TrivialAugment (arXiv 2103.10158) a view,
            ``"colour"`` one of those that leave everything in its place.
        random_erasing: Share of images that lose a rectangle (arXiv 1708.04896).
        mixup: Alpha of Mixup (arXiv 1710.09412); 0 for none.
        cutmix: Alpha of CutMix (arXiv 1905.04899); 0 for none. With both, each batch takes one.
    """

    crop_scale: tuple[float, float] = (0.35, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    policy: Literal["none", "trivial", "colour"] = "trivial"
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    geometry: Literal["crop", "jitter"] = "crop"
    jitter_scale: tuple[float, float] = (0.5, 1.5)
    rotation: float = 0.0
    mosaic: float = 0.0
    close_mosaic: float = 0.2

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with others of their batch."""
        return self.mixup > 0 or self.cutmix > 0

    def __post_init__(self) -> None:
        for name, item in codec.read_fields(self, "augmentation").items():
            object.__setattr__(self, name, item)
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise SpecError(f"crop_scale is {low}, {high}", expected="above 0, rising, up to 1")
        narrow, wide = self.crop_ratio
        if not 0 < narrow <= wide:
            raise SpecError(f"crop_ratio is {narrow}, {wide}", expected="above 0, rising")
        small, large = self.jitter_scale
        if not 0 < small <= large:
            raise SpecError(f"jitter_scale is {small}, {large}", expected="above 0, rising")
        for name in ("random_erasing", "mosaic", "close_mosaic"):
            if not 0 <= getattr(self, name) <= 1:
                raise SpecError(f"{name} is {getattr(self, name)}", expected="0 to 1")
        for name in ("mixup", "cutmix", "rotation"):
            if not getattr(self, name) >= 0:
                raise SpecError(f"{name} is {getattr(self, name)}", expected="0 or more")


def epoch_draws(num_images: int, seed: int, epoch: int) -> Draws:
    """Draw the random numbers of one epoch: (num_images, NUM_DRAWS), each in [0, 1)."""
    # Philox is counted, not stepped: the same key gives the same numbers on every machine.
    stream = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    return stream.random((num_images, NUM_DRAWS), dtype=np.float32)


def random_crop(
    image_size: tuple[int, int], size: tuple[int, int], draws: Draws, how: Augmentation
) -> Cut:
    """Choose a random part of an image that fills a view.

    Args:
        image_size: (height, width) of the image.
        size: (height, width) of the view.
        draws: The image's row of random numbers.
        how: Scale and ratio of the crop.
    """
    height, width = image_size
    low, high = how.crop_scale
    area = height * width * (low + (high - low) * float(draws[0]))
    first, last = (math.log(ratio) for ratio in how.crop_ratio)
    ratio = math.exp(first + (last - first) * float(draws[1]))
    crop_width = min(width, max(1, round(math.sqrt(area * ratio))))
    crop_height = min(height, max(1, round(math.sqrt(area / ratio))))
    top = round((height - crop_height) * float(draws[2]))
    left = round((width - crop_width) * float(draws[3]))
    return Cut(
        Rectangle(top, left, crop_height, crop_width),
        Rectangle(0, 0, *size),
        size,
        image_size,
        flip=bool(how.flip and draws[4] < 0.5),
    )


def augment_batch(batch: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    """Apply the colour, shape and erasing operations to cropped images.

    Args:
        batch: (N, 3, H, W), uint8.
        draws: (N, NUM_DRAWS).
        how: Which operations.

    Returns:
        (N, 3, H, W), uint8.
    """
    if how.policy != "none":
        operations = OPERATIONS if how.policy == "trivial" else COLOURS
        batch = trivial_augment(batch, draws[:, 5:8], operations)
    if how.random_erasing:
        _erase(batch, draws[:, 8:12], how.random_erasing)
    return batch


def mix_batch(
    batch: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor], draws: Draws, how: Augmentation
) -> tuple[Tensor, Tensor]:
    """Mix each image with another, and the targets alike.

    Args:
        batch: Images, (N, 3, H, W), float, and targets, (N, classes), distributions.
        others: What they are mixed with, likewise.
        draws: (NUM_DRAWS,), which decides for the whole batch.
        how: Mixup's and CutMix's alpha; one of them at least is positive.
    """
    (images, targets), (other_images, other_targets) = batch, others
    cut = how.cutmix > 0 and (how.mixup == 0 or draws[4] < 0.5)
    alpha = how.cutmix if cut else how.mixup
    keys = [int(draws[0] * 2**24), int(draws[1] * 2**24)]
    stream = np.random.Generator(np.random.Philox(key=keys))
    keep = float(stream.beta(alpha, alpha))
    if cut:
        height, width = images.shape[2:]
        side = math.sqrt(1 - keep)
        top, left = stream.random(2)
        box_height, box_width = round(height * side), round(width * side)
        y, x = round(float(top) * (height - box_height)), round(float(left) * (width - box_width))
        images = images.clone()
        rows, columns = slice(y, y + box_height), slice(x, x + box_width)
        images[:, :, rows, columns] = other_images[:, :, rows, columns]
        keep = 1 - box_height * box_width / (height * width)
    else:
        images = keep * images + (1 - keep) * other_images
    return images, keep * targets + (1 - keep) * other_targets


def _erase(batch: Tensor, draws: Draws, share: float) -> None:
    """Fill a rectangle of 2 to 33 % of the area with grey, in place."""
    height, width = batch.shape[2:]
    for image, (chosen, area, top, left) in zip(batch, draws, strict=True):
        if chosen >= share:
            continue
        side = math.sqrt(0.02 + 0.31 * float(area))
        # The chosen draw, stretched back to [0, 1), also gives the ratio.
        ratio = math.exp(math.log(3.3) * (2 * float(chosen) / share - 1) / 2)
        box_height = min(height, round(height * side * ratio))
        box_width = min(width, round(width * side / ratio))
        y = round((height - box_height) * float(top))
        x = round((width - box_width) * float(left))
        image[:, y : y + box_height, x : x + box_width] = 128
