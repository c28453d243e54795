"""Pictures for people: captions under images, and grids of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mobilens.atomic import written
from mobilens.vision.predictor import Pixels

Colour = tuple[int, int, int]

INK = (24, 27, 31)
PAPER = (255, 255, 255)
RED = (176, 32, 32)
GREY = (92, 98, 106)
# Told apart by people who see colours otherwise too, and dark enough for white words.
PALETTE: tuple[Colour, ...] = (
    (0, 104, 168),
    (190, 68, 0),
    (0, 122, 88),
    (160, 58, 128),
    (140, 96, 0),
    (58, 90, 190),
    (196, 32, 72),
    (84, 110, 28),
)
_GAP = 12
# Wide coverage first; Pillow looks in the system's own font folders.
_SYSTEM_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")
_ELLIPSIS = "..."

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


@dataclass(frozen=True)
class Mark:
    """A box to draw.

    Attributes:
        box: Left, top, right, bottom, pixels.
        colour: Of its line, and behind its words.
        words: At its upper edge, at its lower one where it is dashed; may be empty.
        dashed: Whether its line is.
    """

    box: tuple[float, float, float, float]
    colour: Colour
    words: str
    dashed: bool = False


def draw_boxes(
    image: Pixels, boxes: NDArray[np.float32], kinds: NDArray[np.int64], words: Sequence[str]
) -> Pixels:
    """Give the image with boxes on it, each with a few words at its upper edge.

    Args:
        image: (height, width, 3), RGB, uint8.
        boxes: (n, 4), xyxy, pixels; of those that overlap, the first lie on top.
        kinds: (n,): boxes of one kind have one colour.
        words: One for each box.

    Returns:
        A new image of the same size.
    """
    marks = [
        Mark((left, top, right, bottom), PALETTE[int(kind) % len(PALETTE)], text)
        for (left, top, right, bottom), kind, text in zip(boxes.tolist(), kinds, words, strict=True)
    ]
    return draw_marks(image, marks)


def draw_marks(image: Pixels, marks: Sequence[Mark]) -> Pixels:
    """Give the image with boxes on it, the first on top; no box hides words.

    Args:
        image: (height, width, 3), RGB, uint8.
        marks: What to draw.

    Returns:
        A new image of the same size.
    """
    page = Image.fromarray(image)
    draw = ImageDraw.Draw(page)
    short = min(image.shape[:2])
    line, size = -(-short // 200), max(13, short // 32)
    for mark in reversed(marks):
        _outline(draw, _inside(mark.box, page), mark, line)
    for mark in reversed(marks):
        if mark.words:
            _label(draw, _inside(mark.box, page), mark, size, page)
    return np.asarray(page)


Corners = tuple[int, int, int, int]


def _inside(box: tuple[float, float, float, float], page: Image.Image) -> Corners:
    """First and last pixels of a box that lie in the picture."""
    last = (page.width - 1, page.height - 1)
    left, top = (min(max(round(box[axis]), 0), last[axis]) for axis in (0, 1))
    right = min(max(round(box[2]) - 1, left), last[0])
    bottom = min(max(round(box[3]) - 1, top), last[1])
    return left, top, right, bottom


def _outline(draw: ImageDraw.ImageDraw, corners: Corners, mark: Mark, line: int) -> None:
    """Draw a box with a thin white edge around its line, which parts it from any picture."""
    left, top, right, bottom = corners
    around = (left - 1, top - 1, right + 1, bottom + 1)
    draw.rectangle(around, outline=PAPER, width=line + 2)
    if not mark.dashed:
        draw.rectangle(corners, outline=mark.colour, width=line)
        return
    for start, end in _dashes(left, right, 4 * line + 2):
        draw.rectangle((start, top, end, top + line - 1), fill=mark.colour)
        draw.rectangle((start, bottom - line + 1, end, bottom), fill=mark.colour)
    for start, end in _dashes(top, bottom, 4 * line + 2):
        draw.rectangle((left, start, left + line - 1, end), fill=mark.colour)
        draw.rectangle((right - line + 1, start, right, end), fill=mark.colour)


def _dashes(first: int, last: int, length: int) -> list[tuple[int, int]]:
    """First and last pixels of dashes, which begin and end at the ends; gaps are half as long."""
    rest = last - first + 1 - length
    if rest <= 0:
        return [(first, last)]
    starts = np.linspace(first, first + rest, max(2, round(rest / (1.5 * length)) + 1))
    return [(round(start), round(start) + length - 1) for start in starts.tolist()]


def _label(
    draw: ImageDraw.ImageDraw, corners: Corners, mark: Mark, size: int, page: Image.Image
) -> None:
    left, top, _, bottom = corners
    font, text = _font_for(mark.words, size)
    width, height = font.getlength(text) + size // 2, _line_height(size)
    x = max(0.0, min(left, page.width - width))
    # Above a box that was found and below one that was missed: both may lie in one place.
    y = bottom + 1 if mark.dashed else top - height
    y = max(0, min(y, page.height - height))
    draw.rectangle((x, y, x + width, y + height), fill=mark.colour)
    draw.text((x + size // 4, y), text, PAPER, font)


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
    size = min(side // 15, 20)
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
