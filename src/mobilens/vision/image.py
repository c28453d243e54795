"""Images as nets read them: the one implementation for training, evaluation and runtime.

Colour: RGB, 8 bits, no colour profile applied. Transparent pixels lie on ``fill``, white by
default. 16-bit grey is scaled to 8 bits by its range. Animations and multi-page files give their
first frame. EXIF orientation is applied.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilens.errors import ImageError, UsageError
from mobilens.spec.task import Preprocessing
from mobilens.vision.decode import MAX_PIXELS, Colour, Decoded, Source, decode, opened, read_size
from mobilens.vision.orientation import Box, stored_box, swaps_sides, turn_upright
from mobilens.vision.points import region_around
from mobilens.vision.predictor import Pixels
from mobilens.vision.resize import (
    Placement,
    decode_reduction,
    place,
    place_inside,
    place_whole,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "Placed",
    "Region",
    "decode_image",
    "image_size",
    "load_placed",
    "load_prepared",
    "load_short_side",
    "load_thumbnail",
    "normalise",
    "prepare",
]

IMAGE_SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
    )
)
WHITE: Colour = (255, 255, 255)

_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True, order=True)
class Region:
    """A part of an image file that is asked about by itself.

    Attributes:
        path: The file.
        box: Left, top, right, bottom in the upright image, pixels; it may reach beyond.
    """

    path: Path
    box: Box

    def __post_init__(self) -> None:
        # A name for a path, or the row of an array for a box, is the same region.
        object.__setattr__(self, "path", Path(self.path))
        left, top, right, bottom = (float(edge) for edge in self.box)
        object.__setattr__(self, "box", (left, top, right, bottom))
        if not (left < right and top < bottom and all(map(math.isfinite, self.box))):
            raise UsageError(
                f"the region is {self.box}",
                expected="left, top, right, bottom, pixels, each side longer than 0",
            )

    @classmethod
    def around(cls, path: str | Path, box: Sequence[float] | NDArray[np.floating]) -> Region:
        """What a model of keypoints looks at to find the points of a thing.

        Args:
            path: The file.
            box: Of the thing, left, top, right, bottom in the upright image, pixels.

        Raises:
            UsageError: The box has no sides, or is made of other than numbers.
        """
        left, top, right, bottom = (float(edge) for edge in box)
        return cls(Path(path), region_around((left, top, right, bottom)))

    def __fspath__(self) -> str:
        return os.fspath(self.path)


# What can be made ready for a net.
Photo = Source | Region | Image.Image | Pixels


@dataclass(frozen=True, eq=False)
class Placed:
    """Pixels of an image, and where they come from.

    Attributes:
        pixels: (height, width, 3), RGB, uint8, upright.
        placement: Which part of the upright image they show, and where in these pixels it lies.
    """

    pixels: Pixels
    placement: Placement


def decode_image(source: Source, *, fill: Colour = WHITE) -> Pixels:
    """Decode a whole image.

    Args:
        source: Path, or the file's bytes.
        fill: RGB behind transparent pixels, 0 to 255.

    Returns:
        (height, width, 3), RGB, uint8, upright.

    Raises:
        ImageError: The file is missing, empty, of another format, damaged or too large.
    """
    decoded = decode(source, fill)
    return np.array(turn_upright(decoded.image, decoded.orientation).convert("RGB"))


def image_size(source: Source) -> tuple[int, int]:
    """Read the (height, width) of the upright image from its header, pixels.

    Raises:
        ImageError: As ``decode_image``, as far as the header shows it.
    """
    return read_size(source)


def load_prepared(source: Source | Region, preprocessing: Preprocessing) -> Pixels:
    """Load the pixels that a net reads, decoding and resizing no more than they need.

    The same as ``prepare(decode_image(source))``, except that a JPEG is decoded at a reduced scale
    where that changes the pixels by less than 0.5 of 255 in the mean (``vision.resize``).

    Args:
        source: Path, the file's bytes, or a region of a file.
        preprocessing: Size and geometry; ``mean`` and ``std`` are not applied.

    Returns:
        (height, width, 3), RGB, uint8, of ``preprocessing.size``.

    Raises:
        ImageError: As ``decode_image``.
    """
    return load_placed(source, preprocessing).pixels


def load_placed(source: Photo, preprocessing: Preprocessing) -> Placed:
    """The same of a photo of any kind, with where in it the pixels lie.

    Args:
        source: Path, the file's bytes, a region of a file, a Pillow image of any mode, or an array
            as ``prepare`` takes it.
        preprocessing: Size and geometry.

    Raises:
        ImageError: As ``decode_image``, or the array is no image.
    """
    if isinstance(source, np.ndarray):
        return _laid_out(_of_array(source), preprocessing)
    if isinstance(source, Image.Image):
        return _laid_out(opened(source, preprocessing.fill), preprocessing)
    file, box = _divided(source)
    decoded = decode(
        file,
        preprocessing.fill,
        lambda size: decode_reduction(place(size, preprocessing, box)),
    )
    return _laid_out(decoded, preprocessing, box)


def _divided(source: Source | Region) -> tuple[Source, Box | None]:
    """The file, and the part of it that is meant; None for all."""
    return (source.path, source.box) if isinstance(source, Region) else (source, None)


def load_short_side(source: Source | Region, short_side: int, *, fill: Colour = WHITE) -> Placed:
    """Load a whole image with its short side at ``short_side`` pixels, or as it is if smaller.

    Of a region, as much is loaded as lies inside of its image.

    Args:
        source: Path, the file's bytes, or a region of a file.
        short_side: Short side of the result; the long one keeps the aspect, rounded down.
        fill: RGB behind transparent pixels, 0 to 255.

    Raises:
        ImageError: As ``decode_image``.
    """
    file, box = _divided(source)

    def placed(size: tuple[int, int]) -> Placement:
        part = box and _bounded(box, size)
        sides = (part[2] - part[0], part[3] - part[1]) if part else size
        return place_whole(size, max(1, min(short_side, *map(round, sides))), part)

    decoded = decode(file, fill, lambda size: decode_reduction(placed(size)))
    placement = placed(decoded.size)
    return Placed(np.array(_resized(decoded, placement, "bilinear")), placement)


def _bounded(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box that lies inside of an image, a pixel at least."""
    height, width = size
    left, top = (
        min(max(edge, 0.0), side - 1.0) for edge, side in zip(box[:2], (width, height), strict=True)
    )
    right = max(min(box[2], float(width)), left + 1)
    bottom = max(min(box[3], float(height)), top + 1)
    return left, top, right, bottom


def load_thumbnail(source: Source, side: int) -> Pixels:
    """Load a whole image, scaled so that its long side is ``side`` pixels.

    Args:
        source: Path, or the file's bytes.
        side: Long side of the result; the short one keeps the aspect, at least a pixel.

    Returns:
        (height, width, 3), RGB, uint8, upright.

    Raises:
        ImageError: As ``decode_image``.
    """

    def placed(size: tuple[int, int]) -> Placement:
        return place_inside(size, (side, side))

    decoded = decode(source, WHITE, lambda size: decode_reduction(placed(size)))
    return np.array(_resized(decoded, placed(decoded.size), "bilinear"))


def prepare(image: Pixels, preprocessing: Preprocessing) -> Pixels:
    """Give an image that is in memory the geometry that a net reads.

    Args:
        image: (height, width, 3), RGB, uint8, upright.
        preprocessing: Size and geometry; ``mean`` and ``std`` are not applied.

    Returns:
        (height, width, 3), RGB, uint8, of ``preprocessing.size``.

    Raises:
        ImageError: The array is not such an image.
    """
    return load_placed(image, preprocessing).pixels


def normalise(pixels: Pixels, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Bring pixels to the numbers that the first layer reads.

    Args:
        pixels: (..., 3), RGB, uint8.
        preprocessing: Its ``mean`` is subtracted and its ``std`` divides, after division by 255.

    Returns:
        The same shape, float32.
    """
    mean = np.asarray(preprocessing.mean, np.float32)
    std = np.asarray(preprocessing.std, np.float32)
    normal: NDArray[np.float32] = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return normal


def _of_array(image: Pixels) -> Decoded:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ImageError(
            f"the image is an array of {image.dtype}, shape {image.shape}",
            expected="uint8, (height, width, 3)",
        )
    return Decoded(Image.fromarray(image), image.shape[:2])


def _laid_out(decoded: Decoded, preprocessing: Preprocessing, region: Box | None = None) -> Placed:
    placement = place(decoded.size, preprocessing, region)
    image = _resized(decoded, placement, preprocessing.interpolation)
    height, width = preprocessing.size
    if placement.target_size != (height, width):
        canvas = Image.new("RGB", (width, height), preprocessing.fill)
        canvas.paste(image, placement.target[:2])
        image = canvas
    return Placed(np.array(image), placement)


def _resized(decoded: Decoded, placement: Placement, interpolation: str) -> Image.Image:
    """Cut and scale the stored pixels in one step, then turn the small result upright."""
    image, orientation = decoded.image, decoded.orientation
    height, width = placement.target_size
    box = stored_box(placement.source, decoded.size, orientation)
    left, top, right, bottom = (side / decoded.reduction for side in box)
    small = image.resize(
        (height, width) if swaps_sides(orientation) else (width, height),
        _RESAMPLING[interpolation],
        # Rounding of the last bit must not leave the image.
        box=(max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height)),
    )
    return turn_upright(small, orientation).convert("RGB")
