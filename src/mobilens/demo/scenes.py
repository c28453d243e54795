"""Scenes made of the digits, with the labels of each task known by construction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilens.demo import HOLD_OUT, digits, write_photos

SIDE = 128
SCENES = {"train": 400, "val": 100}
# Digits of a scene, and their sides, pixels.
COUNT, SIZES = (1, 4), (28, 52)
# What is a digit's and not the paper's, 0 to 255.
INK = 90


@dataclass(frozen=True, eq=False)
class Scene:
    """Digits on a grey page.

    Attributes:
        image: (SIDE, SIDE, 3), RGB, uint8.
        values: Value of each digit.
        boxes: (n, 4), xyxy around the ink of each, pixels.
    """

    image: NDArray[np.uint8]
    values: tuple[int, ...]
    boxes: NDArray[np.float64]


def scenes(split: str) -> Iterator[Scene]:
    """Compose the scenes of a part of the data; the same ones every time.

    Args:
        split: ``"train"`` or ``"val"``: of digits that teach, or of those that measure.
    """
    measures = split == "val"
    stock = [one for i, one in enumerate(digits()) if (i % HOLD_OUT == 0) == measures]
    stream = np.random.default_rng(int(measures))
    for _ in range(SCENES[split]):
        yield _compose(stock, stream)


def _compose(stock: list[tuple[Image.Image, int]], stream: np.random.Generator) -> Scene:
    page = stream.normal(stream.uniform(30, 90), 12, (SIDE, SIDE))
    taken = np.zeros((SIDE, SIDE), bool)
    values, boxes = [], []
    for _ in range(stream.integers(COUNT[0], COUNT[1] + 1)):
        digit, value = stock[stream.integers(len(stock))]
        side = int(stream.integers(*SIZES))
        top, left = (int(place) for place in stream.integers(0, SIDE - side, 2))
        part = slice(top, top + side), slice(left, left + side)
        if taken[part].any():
            continue
        ink = np.asarray(digit.resize((side, side), Image.Resampling.BICUBIC), np.float64)
        rows, columns = np.nonzero(ink > INK)
        if not rows.size:
            continue
        taken[part] = True
        page[part] = np.maximum(page[part], ink)
        values.append(value)
        boxes.append(
            (left + columns.min(), top + rows.min(), left + columns.max() + 1, top + rows.max() + 1)
        )
    image = page.clip(0, 255).astype(np.uint8)[..., None].repeat(3, 2)
    return Scene(image, tuple(values), np.array(boxes, np.float64).reshape(-1, 4))


def write_boxes(folder: Path) -> int:
    """Write scenes with their boxes, as YOLO has them.

    Args:
        folder: Where ``images/``, ``labels/`` and ``digits.yaml`` are made.

    Returns:
        How many scenes were written.
    """
    for split in SCENES:
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number, scene in enumerate(scenes(split)):
            Image.fromarray(scene.image).save(images / f"{number:04}.png")
            lines = [_yolo(*one) for one in zip(scene.values, scene.boxes, strict=True)]
            (labels / f"{number:04}.txt").write_text("".join(lines))
    names = "".join(f'  {value}: "{value}"\n' for value in range(10))
    (folder / "digits.yaml").write_text(f"train: images/train\nval: images/val\nnames:\n{names}")
    return sum(SCENES.values())


def _yolo(value: int, box: NDArray[np.float64]) -> str:
    left, top, right, bottom = box / SIDE
    numbers = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return f"{value} " + " ".join(f"{number:.6f}" for number in numbers) + "\n"


@dataclass(frozen=True)
class Demo:
    """How a task is shown.

    Attributes:
        write: Writes the data into a folder; gives how many images there are.
        what: These images, in words.
        resolution: Input side, pixels.
        epochs: Of training.
        own: The command that does it with one's own data.
    """

    write: Callable[[Path], int]
    what: str
    resolution: int
    epochs: int
    own: str


DEMOS = {
    "classify": Demo(
        write_photos,
        "handwritten digits",
        64,
        12,
        "the same for your photos, one folder for each class:\n  mobilens train PHOTOS",
    ),
    "detect": Demo(
        write_boxes,
        "scenes of handwritten digits",
        SIDE,
        40,
        "the same for your photos, with boxes as COCO, YOLO or Pascal VOC have them:\n"
        "  mobilens train DATA --task detect",
    ),
}
