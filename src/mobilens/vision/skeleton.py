"""Points and the lines between them, drawn on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mobilens.vision.drawing import PAPER, Colour
from mobilens.vision.predictor import Pixels

XY = tuple[float, float]


@dataclass(frozen=True)
class Dot:
    """A point to draw.

    Attributes:
        at: x, y, pixels.
        colour: Of it.
        hollow: Whether it is a ring.
    """

    at: XY
    colour: Colour
    hollow: bool = False


@dataclass(frozen=True)
class Limb:
    """A line to draw.

    Attributes:
        start: x, y, pixels.
        end: Likewise.
        colour: Of it.
    """

    start: XY
    end: XY
    colour: Colour


def draw_skeleton(image: Pixels, limbs: Sequence[Limb], dots: Sequence[Dot]) -> Pixels:
    """Give the image with lines and, on top of them, dots, each with a thin white edge.

    Args:
        image: (height, width, 3), RGB, uint8.
        limbs: Lines.
        dots: Points.

    Returns:
        A new image of the same size.
    """
    page = Image.fromarray(image)
    draw = ImageDraw.Draw(page)
    line = max(2, -(-min(image.shape[:2]) // 120))
    for limb in limbs:
        draw.line((*limb.start, *limb.end), PAPER, line + 2)
        draw.line((*limb.start, *limb.end), limb.colour, line)
    for dot in dots:
        _dot(draw, dot, line * 1.5 + 0.5)
    return np.asarray(page)


def _dot(draw: ImageDraw.ImageDraw, dot: Dot, radius: float) -> None:
    if dot.hollow:
        _circle(draw, dot.at, 1.6 * radius + 1, None, PAPER, 3)
        _circle(draw, dot.at, 1.6 * radius, None, dot.colour, 2)
        return
    _circle(draw, dot.at, radius + 1, PAPER, None, 0)
    _circle(draw, dot.at, radius, dot.colour, None, 0)


def _circle(
    draw: ImageDraw.ImageDraw,
    at: XY,
    radius: float,
    fill: Colour | None,
    outline: Colour | None,
    width: int,
) -> None:
    x, y = at
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill, outline, width)
