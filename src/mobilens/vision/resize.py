"""Where an image lands in the net's input, and how small it may be decoded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilens.spec.task import Preprocessing
from mobilens.vision.orientation import Box

# A JPEG decoder can give the photo at 1/2, 1/4 or 1/8 for less than the whole: each pixel is then
# about the mean of a square of the photo's. A resize after that blurs a little more, or less, than
# it would have blurred the whole photo, by an amount that falls with the square of the reduced
# pixels that it has for each of its own. Here is how many it must have. Measured on photos enlarged
# to 2 to 38 megapixels with sensor noise, against full decoding and the same resize (mean absolute
# difference, of 255, and that of the worst photo): with 2 reduced pixels to a pixel 0.53 to 0.96
# (1.5), with 2.5 0.33 to 0.43 (0.79), with these minima and more 0.15 to 0.34 (0.50). At 1/2 three
# to one is bad luck, 0.36 (0.73): the sampled kernel then loses what the reduction does not add.
# With 2.9, photos of 12 megapixels, short side 2976 and up, are decoded at 1/4 for inputs of 224.
REDUCED_PIXELS_PER_PIXEL = {8: 2.9, 4: 2.9, 2: 3.2}


@dataclass(frozen=True)
class Placement:
    """A rectangle of an upright image and the rectangle of the net's input that it fills.

    Attributes:
        source: Left, top, right, bottom in the image, pixels; sides may lie between pixels.
        target: Left, top, right, bottom in the input, whole pixels.
        size: (height, width) of the input.
        image_size: (height, width) of the upright image.
    """

    source: Box
    target: tuple[int, int, int, int]
    size: tuple[int, int]
    image_size: tuple[int, int]

    @property
    def target_size(self) -> tuple[int, int]:
        """(height, width) of the target, pixels."""
        left, top, right, bottom = self.target
        return bottom - top, right - left

    @property
    def scale(self) -> tuple[float, float]:
        """Image pixels to an input pixel, along x and along y."""
        left, top, right, bottom = self.source
        height, width = self.target_size
        return (right - left) / width, (bottom - top) / height

    def to_input(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry points (..., 2) as x, y from the image to the input, pixels."""
        moved: NDArray[np.float64] = (points - self.source[:2]) / self.scale + self.target[:2]
        return moved

    def to_image(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry points (..., 2) as x, y from the input back to the image, pixels."""
        moved: NDArray[np.float64] = (points - self.target[:2]) * self.scale + self.source[:2]
        return moved


def place(
    size: tuple[int, int], preprocessing: Preprocessing, region: Box | None = None
) -> Placement:
    """Say which part of an image a net reads, and where it comes to lie.

    Args:
        size: (height, width) of the upright image.
        preprocessing: ``"crop"`` follows torchvision and timm to the pixel: scale the image so
            that it covers the input over ``crop_fraction`` (rounded down), round its other side
            down too, then cut the middle, rounded to whole pixels of the scaled image.
        region: Left, top, right, bottom of what is asked about, pixels: it just fits, whatever
            ``preprocessing.resize`` is, with what lies around it. None for the whole image.
    """
    height, width = preprocessing.size
    if region is not None:
        return _place_region(size, (height, width), region)
    if preprocessing.resize == "crop":
        return Placement(
            _crop_box(size, preprocessing), (0, 0, width, height), (height, width), size
        )
    whole = (0.0, 0.0, float(size[1]), float(size[0]))
    if preprocessing.resize == "squash":
        return Placement(whole, (0, 0, width, height), (height, width), size)
    inner_height, inner_width = place_inside(size, (height, width)).target_size
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    inner = (left, top, left + inner_width, top + inner_height)
    return Placement(whole, inner, (height, width), size)


def _place_region(size: tuple[int, int], bounds: tuple[int, int], region: Box) -> Placement:
    """Fit a region into ``bounds``; its middle is theirs."""
    left, top, right, bottom = region
    step = max((bottom - top) / bounds[0], (right - left) / bounds[1])
    (x, far_x), (own_x, own_far_x) = _fit_axis((left + right) / 2, step, bounds[1], size[1])
    (y, far_y), (own_y, own_far_y) = _fit_axis((top + bottom) / 2, step, bounds[0], size[0])
    return Placement((own_x, own_y, own_far_x, own_far_y), (x, y, far_x, far_y), bounds, size)


def _fit_axis(
    middle: float, step: float, room: int, own: int
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Along an axis, whole pixels of the input that lie inside of the image, and where there.

    Args:
        middle: Of the region, in the image.
        step: Image pixels to an input pixel.
        room: Pixels of the input.
        own: Pixels of the image.
    """
    begin = middle - step * room / 2
    first = min(max(math.ceil(-begin / step), 0), room - 1)
    last = max(min(math.floor((own - begin) / step), room), first + 1)
    # Of a region beside the image, its edge.
    near = min(max(begin + first * step, 0.0), own - 1.0)
    far = max(min(begin + last * step, float(own)), near + 1.0)
    return (first, last), (near, far)


def place_whole(size: tuple[int, int], short_side: int, region: Box | None = None) -> Placement:
    """Place an image so that its short side is ``short_side``; the long one rounds down.

    Args:
        size: (height, width) of the upright image.
        short_side: Pixels.
        region: Part of the image in its place.
    """
    left, top, right, bottom = region or (0.0, 0.0, float(size[1]), float(size[0]))
    part = (max(1, round(bottom - top)), max(1, round(right - left)))
    height, width = _scaled_to_cover(part, (short_side, short_side))
    return Placement((left, top, right, bottom), (0, 0, width, height), (height, width), size)


def place_inside(size: tuple[int, int], bounds: tuple[int, int]) -> Placement:
    """Place a whole image so that it just fits into ``bounds``, (height, width)."""
    scale = min(bounds[0] / size[0], bounds[1] / size[1])
    height = min(max(round(size[0] * scale), 1), bounds[0])
    width = min(max(round(size[1] * scale), 1), bounds[1])
    whole = (0.0, 0.0, float(size[1]), float(size[0]))
    return Placement(whole, (0, 0, width, height), (height, width), size)


def decode_reduction(placement: Placement) -> int:
    """Find the largest reduction, 1, 2, 4 or 8, at which a JPEG may be decoded for a placement."""
    scale = min(placement.scale)
    enough = (k for k, pixels in REDUCED_PIXELS_PER_PIXEL.items() if scale / k >= pixels)
    return next(enough, 1)


def _crop_box(size: tuple[int, int], preprocessing: Preprocessing) -> Box:
    height, width = preprocessing.size
    cover = (
        int(height / preprocessing.crop_fraction),
        int(width / preprocessing.crop_fraction),
    )
    scaled_height, scaled_width = _scaled_to_cover(size, cover)
    top = round((scaled_height - height) / 2)
    left = round((scaled_width - width) / 2)
    y, x = size[0] / scaled_height, size[1] / scaled_width
    return left * x, top * y, (left + width) * x, (top + height) * y


def _scaled_to_cover(size: tuple[int, int], cover: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an image scaled so that it just covers ``cover``."""
    height, width = size
    if cover[0] * width >= cover[1] * height:
        return cover[0], cover[0] * width // height
    return cover[1] * height // width, cover[1]
