"""Truth for every pixel: masks that load themselves when they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilens.errors import DataError
from mobilens.vision.orientation import swaps_sides, turn_upright
from mobilens.vision.view import View

Mask = NDArray[np.uint8]
Value = TypeVar("Value", bound=np.generic)
# A pixel that is neither right nor wrong, whatever is answered.
VOID = 255
MAX_CLASSES = 255


class MaskValuesError(DataError):
    """A mask that can be read, but whose values stand for no classes."""


class MaskSource(Protocol):
    """Where the class of every pixel comes from; ``VOID`` where it does not count."""

    def mask(self, size: tuple[int, int]) -> Mask:
        """Give the classes for an image of (height, width), uint8.

        Raises:
            DataError: The mask cannot be read; the message names it.
        """
        ...

    def text(self) -> str:
        """Say in a line what it is: another mask has another text."""
        ...


@dataclass(frozen=True, eq=False)
class MaskTarget:
    """The class of every pixel of an image.

    Attributes:
        source: Gives them when they are needed.
        classes: Numbers of the classes that occur, each once.
    """

    source: MaskSource
    classes: tuple[int, ...]

    def mask(self, size: tuple[int, int]) -> Mask:
        """Give the classes for an image of (height, width), uint8.

        Raises:
            DataError: The mask cannot be read; the message names it.
        """
        return self.source.mask(size)


@dataclass(frozen=True, eq=False)
class MaskFile:
    """A picture whose values stand for classes.

    Attributes:
        path: PNG or the like: palette and grey values count as they are, colours by ``colours``.
        table: (256,), uint8: class of each value; ``VOID`` for those that stand for none.
        colours: Class of each colour, where classes are told by colour.
        orientation: EXIF orientation of an image that it was drawn on before that was turned
            upright; 1 where it lies as a person sees the image.
    """

    path: Path
    table: Mask
    colours: tuple[tuple[tuple[int, int, int], int], ...] = ()
    orientation: int = 1

    def mask(self, size: tuple[int, int]) -> Mask:
        """Give the classes, brought to the image's size where the mask has another."""
        values = read_values(self.path, colours=bool(self.colours))
        if self.colours:
            classes = np.full(values.shape[:2], VOID, np.uint8)
            for colour, number in self.colours:
                classes[(values == colour).all(2)] = number
        else:
            classes = self.table[values]
        return resized(upright(classes, self.orientation), size)

    def text(self) -> str:
        """Hash of the file's content and of what its values stand for."""
        digest = hashlib.sha256(self.path.read_bytes() if self.path.is_file() else b"")
        digest.update(self.table.tobytes() + repr((self.colours, self.orientation)).encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Runs:
    """A thing as COCO's run lengths.

    Attributes:
        lengths: Pixels outside, then inside, in turns, down each column from the left one on.
        size: (height, width).
    """

    lengths: NDArray[np.int64]
    size: tuple[int, int]

    def inside(self) -> NDArray[np.bool_]:
        """Tell of each pixel whether it is inside; what the lengths do not reach is not."""
        pixels = np.zeros(self.size[0] * self.size[1], bool)
        flat = np.repeat(np.arange(len(self.lengths)) % 2 == 1, self.lengths)[: len(pixels)]
        pixels[: len(flat)] = flat
        return pixels.reshape(self.size, order="F")


# Rings, each (n, 2), x, y in pixels, which lie beside each other; or run lengths.
Shape = tuple[NDArray[np.float32], ...] | Runs


@dataclass(frozen=True, eq=False)
class Polygons:
    """Outlines, the later ones on top.

    Attributes:
        outlines: Of each thing: its class and its shape.
        size: (height, width) of the image that they were drawn on.
        background: Class of what no outline covers; ``VOID`` where that does not count.
        orientation: EXIF orientation of an image that they were drawn on before that was turned
            upright; 1 where they lie as a person sees the image.
    """

    outlines: tuple[tuple[int, Shape], ...]
    size: tuple[int, int]
    background: int = VOID
    orientation: int = 1

    def mask(self, size: tuple[int, int]) -> Mask:
        """Fill the outlines, in the image's size."""
        height, width = size[::-1] if swaps_sides(self.orientation) else size
        page = np.full((height, width), self.background, np.uint8)
        scale = np.array([width / self.size[1], height / self.size[0]])
        for number, shape in self.outlines:
            if isinstance(shape, Runs):
                page[resized(shape.inside(), (height, width))] = number
                continue
            for ring in shape:
                fill(page, ring * scale, number)
        return upright(page, self.orientation)

    def text(self) -> str:
        """Hash of every outline."""
        digest = hashlib.sha256(repr((self.size, self.background, self.orientation)).encode())
        for number, shape in self.outlines:
            if isinstance(shape, Runs):
                digest.update(repr((number, "runs", shape.size)).encode())
                digest.update(np.ascontiguousarray(shape.lengths, "<i8").tobytes())
                continue
            digest.update(repr((number, [len(ring) for ring in shape])).encode())
            for ring in shape:
                digest.update(np.ascontiguousarray(ring, "<f4").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class MaskArray:
    """Classes in memory.

    Attributes:
        values: (height, width), uint8.
    """

    values: Mask

    def mask(self, size: tuple[int, int]) -> Mask:
        """Give the classes, brought to a size."""
        return resized(self.values, size)

    def text(self) -> str:
        """Hash of the classes."""
        return hashlib.sha256(repr(self.values.shape).encode() + self.values.tobytes()).hexdigest()


def read_values(path: Path, *, colours: bool = False) -> Mask:
    """Read a mask file as it is: indices of a palette, grey values, or colours.

    Args:
        path: The file.
        colours: Whether colours are wanted, (height, width, 3); else values, (height, width), of
            which colours whose three parts are equal are one.

    Raises:
        DataError: It cannot be read, or holds colours where values are wanted.
    """
    try:
        with Image.open(path) as picture:
            if colours:
                return np.array(picture.convert("RGB"))
            if picture.mode in ("P", "L", "1"):
                values = np.array(picture.convert("L") if picture.mode == "1" else picture)
                return values.astype(np.uint8)
            if picture.mode.startswith("I"):
                return _narrowed(np.array(picture), path)
            parts = np.array(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"the mask {path} cannot be read: {error}") from None
    if (parts[..., :1] != parts).any():
        raise MaskValuesError(
            f"{path} tells classes by colour",
            expected="grey values or a palette, or a class map that says which colour is which",
        )
    return parts[..., 0]


def _narrowed(wide: NDArray[np.integer], path: Path) -> Mask:
    """Values of many bits as bytes, where they fit."""
    least, most = int(wide.min()), int(wide.max())
    if least < 0 or most > 255:
        raise MaskValuesError(f"{path} holds values from {least} to {most}", expected="0 to 255")
    return wide.astype(np.uint8)


def fill(page: Mask, ring: NDArray[np.floating], number: int) -> None:
    """Give the pixels whose middle is inside a ring a number.

    Pillow would cut coordinates down to whole numbers and count the edge in.

    Args:
        page: (height, width), which is changed.
        ring: (n, 2), x, y in pixels; the middle of the first pixel is at a half. Where it crosses
            itself, inside and outside take turns.
        number: What they become.
    """
    if len(ring) < 3 or not np.isfinite(ring).all():
        return
    height, width = page.shape
    # Where pixels have their middles, edges are at whole numbers: each row from its first
    # middle on, up to but without the last one.
    start = np.asarray(ring, np.float64) - 0.5
    end = np.roll(start, -1, axis=0)
    upper, lower = (np.ceil(pick(start[:, 1], end[:, 1])) for pick in (np.minimum, np.maximum))
    first, last = (np.clip(edge, 0, height).astype(np.int64) for edge in (upper, lower))
    count = last - first
    if not count.any():
        return
    edges = np.repeat(np.arange(len(start)), count)
    rows = np.arange(len(edges)) - np.repeat(np.cumsum(count) - count, count) + first[edges]
    (x, y), (far_x, far_y) = start[edges].T, end[edges].T
    columns = np.ceil(x + (rows - y) * (far_x - x) / (far_y - y))
    columns = np.clip(columns, 0, width).astype(np.int64)
    top, left, right = rows.min(), columns.min(), columns.max()
    # An edge turns over all that is right of it.
    turns = np.zeros((rows.max() + 1 - top, right + 1 - left), np.int32)
    np.add.at(turns, (rows - top, columns - left), 1)
    inside = turns.cumsum(1)[:, :-1] % 2 == 1
    page[top : top + len(turns), left:right][inside] = number


def upright(mask: Mask, orientation: int) -> Mask:
    """Turn a mask of stored pixels as a person sees them."""
    if orientation == 1:
        return mask
    return np.array(turn_upright(Image.fromarray(mask), orientation))


def resized(mask: NDArray[Value], size: tuple[int, int]) -> NDArray[Value]:
    """Bring a mask to (height, width) without mixing classes."""
    if mask.shape == size:
        return mask
    height, width = size
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(np.int64)
    return _looked_up(mask, rows, columns)


def _looked_up(
    mask: NDArray[Value], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[Value]:
    """Give the pixels where some rows and some columns cross."""
    # One axis after the other: rows are copied whole, which is faster than pixel by pixel.
    chosen: NDArray[Value] = mask[rows][:, columns]
    return chosen


def move_mask(mask: Mask, view: View) -> Mask:
    """Give what a view shows of a mask; around it, and outside of the mask, is nothing that counts.

    Args:
        mask: (height, width), uint8.
        view: Any affine map.

    Returns:
        The view's size, uint8.
    """
    (a, b, left), (c, d, top), _ = np.linalg.inv(np.vstack([view.matrix, [0, 0, 1]]))
    x, y = np.arange(view.size[1]) + 0.5, np.arange(view.size[0])[:, None] + 0.5
    if b or c:
        columns, across = _reached(a * x + b * y + left, mask.shape[1])
        rows, down = _reached(c * x + d * y + top, mask.shape[0])
        moved = mask[rows, columns]
    else:  # scaled, shifted or mirrored: all pixels of a row come from one row
        columns, across = _reached(a * x + left, mask.shape[1])
        rows, down = _reached(d * y + top, mask.shape[0])
        moved = _looked_up(mask, rows[:, 0], columns)
    across &= (x >= view.window[0]) & (x <= view.window[2])
    down &= (y >= view.window[1]) & (y <= view.window[3])
    moved[~(across & down)] = VOID
    return moved


def _reached(places: NDArray[np.float64], side: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Give the pixels that places along an axis fall on, and whether there are such pixels."""
    found = np.floor(places).astype(np.int64)
    return found.clip(0, side - 1), (found >= 0) & (found < side)


def painted(parts: Sequence[Mask]) -> Mask:
    """Put masks of one size over each other where they count."""
    whole = parts[0].copy()
    for part in parts[1:]:
        seen = part != VOID
        whole[seen] = part[seen]
    return whole
