"""Single digits, turned this way and that: their corners, and which one it is, are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilens.demo import HOLD_OUT, digits

PHOTOS = {"train": 600, "val": 120}
# Digits that are learnt or measured, and photos of each.
IDENTITIES, SEEN = {"train": 120, "val": 40}, 8
# Side of a photo, and of the digit in it, pixels.
SIDE, SIZES = 96, (40, 64)
DEGREES = 35.0
# What is a digit's and not the paper's, 0 to 255.
INK = 90
CORNERS = ("top_left", "top_right", "bottom_right", "bottom_left")


def write_points(folder: Path) -> int:
    """Write turned digits with the corners of the frame that each stands in.

    Args:
        folder: Where ``images/``, ``train.csv`` and ``val.csv`` are made.

    Returns:
        How many photos were written.
    """
    (folder / "images").mkdir(parents=True)
    header = ["image", *(f"{corner}_{axis}" for corner in CORNERS for axis in "xy")]
    for split, count in PHOTOS.items():
        stock, stream = _stock(split)
        lines = [",".join(header)]
        for number in range(count):
            photo, corners = _seen(stock[stream.integers(len(stock))], stream)
            name = f"{split}_{number:04}.png"
            photo.save(folder / "images" / name)
            lines.append(",".join([name, *(f"{value:.2f}" for value in corners.ravel())]))
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return sum(PHOTOS.values())


def write_identities(folder: Path) -> int:
    """Write digits, each seen several times: those that measure are none of those that teach.

    Args:
        folder: Where ``train/`` and ``val/`` are made, with a folder for each digit.

    Returns:
        How many photos were written.
    """
    for split, count in IDENTITIES.items():
        stock, stream = _stock(split)
        for which, index in enumerate(stream.permutation(len(stock))[:count]):
            own = folder / split / f"{which:03}"
            own.mkdir(parents=True)
            for number in range(SEEN):
                photo, _ = _seen(stock[index], stream)
                photo.save(own / f"{number}.png")
    return SEEN * sum(IDENTITIES.values())


def _stock(split: str) -> tuple[list[Image.Image], np.random.Generator]:
    """Digits that teach, or those that measure, and what chooses among them."""
    measures = split == "val"
    stock = [one for i, (one, _) in enumerate(digits()) if (i % HOLD_OUT == 0) == measures]
    return stock, np.random.default_rng(int(measures))


def _seen(
    digit: Image.Image, stream: np.random.Generator
) -> tuple[Image.Image, NDArray[np.float64]]:
    """A photo of a digit, and the corners of its frame, (4, 2) as x, y in pixels."""
    size = int(stream.integers(*SIZES))
    grown = digit.resize((size, size), Image.Resampling.BICUBIC)
    room = size // 5  # for its corners, when it is turned
    left, top = (int(place) for place in stream.integers(room, SIDE - size - room, 2))
    sheet = Image.new("L", (SIDE, SIDE))
    sheet.paste(grown, (left, top))
    ink = np.argwhere(np.asarray(sheet) > INK)
    (first_y, first_x), (last_y, last_x) = ink.min(0), ink.max(0) + 1
    frame = np.array(
        [[first_x, first_y], [last_x, first_y], [last_x, last_y], [first_x, last_y]], np.float64
    )
    degrees = float(stream.uniform(-DEGREES, DEGREES))
    middle = (left + size / 2, top + size / 2)
    turned = np.asarray(sheet.rotate(degrees, Image.Resampling.BICUBIC, center=middle), np.float64)
    page = stream.normal(stream.uniform(30, 90), 12, (SIDE, SIDE))
    photo = np.maximum(page, turned).clip(0, 255).astype(np.uint8)
    return Image.fromarray(photo), _turned(frame, middle, degrees)


def _turned(
    points: NDArray[np.float64], middle: tuple[float, float], degrees: float
) -> NDArray[np.float64]:
    """Points turned counter-clockwise, as Pillow turns pixels."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[cos, sin], [-sin, cos]])
    turned: NDArray[np.float64] = (points - middle) @ turn.T + middle
    return turned
