"""Pictures for people: captions under images, and grids of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mobilens.atomic import written
from mobilens.vision.predictor import Pixels

INK = (24, 27, 31)
PAPER = (255, 255, 255)
RED = (176, 32, 32)
GREY = (92, 98, 106)
_GAP = 12
# Wide coverage first; Pillow looks in the system's own font folders.
_SYSTEM_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")
_ELLIPSIS = "..."

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Tile:
    """One picture of a grid.

    Attributes:
        image: (height, width, 3), RGB, uint8.
        lines: Caption, (text, colour) for each line.
    """

    image: Pixels
    lines: tuple[tuple[str, Colour], ...]


def caption(image: Pixels, lines: Sequence[str]) -> Pixels:
    """Give the image with lines of text under it; lines too long for its width are cut.

    Args:
        image: (height, width, 3), RGB, uint8.
        lines: Text, from the top.

    Returns:
        A new, taller image of the same width.
    """
    size = max(10, min(image.shape[:2]) // 16)
    height = _line_height(size) * len(lines) + size // 2
    page = Image.new("RGB", (image.shape[1], image.shape[0] + height), PAPER)
    page.paste(Image.fromarray(image), (0, 0))
    _write(page, size // 2, image.shape[0] + size // 4, [(line, INK) for line in lines], size)
    return np.asarray(page)


def picture_grid(tiles: Sequence[Tile], *, columns: int = 4, side: int = 240) -> Pixels:
    """Lay captioned pictures out in rows.

    Args:
        tiles: One or more.
        columns: Pictures in a row, at most.
        side: Each picture is scaled to fit a square of this side, pixels.

    Returns:
        (height, width, 3), RGB, uint8.
    """
    columns = min(columns, len(tiles))
    size = side // 15
    cell_height = side + size // 2 + _line_height(size) * max(len(tile.lines) for tile in tiles)
    rows = -(-len(tiles) // columns)
    page = Image.new(
        "RGB",
        (columns * (side + _GAP) + _GAP, rows * (cell_height + _GAP) + _GAP),
        PAPER,
    )
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        left, top = _GAP + column * (side + _GAP), _GAP + row * (cell_height + _GAP)
        picture = _fit(tile.image, side)
        page.paste(picture, (left, top + side - picture.height))
        _write(page, left, top + side + size // 4, tile.lines, size, side)
    return np.asarray(page)


def _fit(image: Pixels, side: int) -> Image.Image:
    """Scale an image so that its long side is ``side``."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)


def save_png(path: Path, image: Pixels) -> None:
    """Write a PNG file, under a temporary name first."""
    with written(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def _write(
    page: Image.Image,
    left: int,
    top: int,
    lines: Iterable[tuple[str, Colour]],
    size: int,
    width: int | None = None,
) -> None:
    """Write lines of text; each is cut to ``width``, by default to the page's edge."""
    draw = ImageDraw.Draw(page)
    limit = page.width - 2 * left if width is None else width
    for line, (text, colour) in enumerate(lines):
        font, text = _font_for(text, size)
        draw.text((left, top + line * _line_height(size)), _cut(text, font, limit), colour, font)


def _line_height(size: int) -> int:
    return size * 5 // 4


def _cut(text: str, font: Font, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + _ELLIPSIS) > width:
        text = text[:-1]
    return text + _ELLIPSIS


def _font_for(text: str, size: int) -> tuple[Font, str]:
    """Give a font and the text as that font can show it.

    Pillow's own font, the same on every machine, has no more than ASCII. Other text takes a
    system font, or without one loses its accents.
    """
    if text.isascii():
        return ImageFont.load_default(size), text
    if font := _system_font(size):
        return font, text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return ImageFont.load_default(size), plain or "?"


@lru_cache(maxsize=8)
def _system_font(size: int) -> ImageFont.FreeTypeFont | None:
    for name in _SYSTEM_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None
