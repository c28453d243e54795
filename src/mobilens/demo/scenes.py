"""Scenes made of the digits, with the labels of each task known by construction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilens.demo import HOLD_OUT, digits, turned, write_photos

SIDE = 128
SCENES = {"train": 400, "val": 100}
# Digits of a scene, and their sides, pixels.
COUNT, SIDES = (1, 4), (28, 52)
# For masks: a segmenter looks at squares of 8 pixels, and strokes should not be much narrower.
LARGE_SIDES = (48, 96)
# What is a digit's and not the paper's, 0 to 255.
INK = 90


@dataclass(frozen=True, eq=False)
class Scene:
    """Digits on a grey page.

    Attributes:
        image: (SIDE, SIDE, 3), RGB, uint8.
        values: Value of each digit.
        boxes: (n, 4), xyxy around the ink of each, pixels.
        mask: (SIDE, SIDE), uint8: 0 on paper, a digit's value and one on its ink.
    """

    image: NDArray[np.uint8]
    values: tuple[int, ...]
    boxes: NDArray[np.float64]
    mask: NDArray[np.uint8]


def scenes(split: str, sides: tuple[int, int] = SIDES) -> Iterator[Scene]:
    """Compose the scenes of a part of the data; the same ones every time.

    Args:
        split: ``"train"`` or ``"val"``: of digits that teach, or of those that measure.
        sides: Smallest and largest side of a digit, pixels.
    """
    measures = split == "val"
    stock = [one for i, one in enumerate(digits()) if (i % HOLD_OUT == 0) == measures]
    stream = np.random.default_rng(int(measures))
    for _ in range(SCENES[split]):
        yield _compose(stock, sides, stream)


def _compose(
    stock: list[tuple[Image.Image, int]], sides: tuple[int, int], stream: np.random.Generator
) -> Scene:
    page = stream.normal(stream.uniform(30, 90), 12, (SIDE, SIDE))
    taken, mask = np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), np.uint8)
    values, boxes = [], []
    for _ in range(stream.integers(COUNT[0], COUNT[1] + 1)):
        digit, value = stock[stream.integers(len(stock))]
        side = int(stream.integers(*sides))
        top, left = (int(place) for place in stream.integers(0, SIDE - side, 2))
        part = slice(top, top + side), slice(left, left + side)
        if taken[part].any():
            continue
        ink = np.asarray(digit.resize((side, side), Image.Resampling.BICUBIC), np.float64)
        rows, columns = np.nonzero(ink > INK)
        if not rows.size:
            continue
        taken[part] = True
        mask[part][ink > INK] = value + 1
        page[part] = np.maximum(page[part], ink)
        values.append(value)
        boxes.append(
            (left + columns.min(), top + rows.min(), left + columns.max() + 1, top + rows.max() + 1)
        )
    image = page.clip(0, 255).astype(np.uint8)[..., None].repeat(3, 2)
    return Scene(image, tuple(values), np.array(boxes, np.float64).reshape(-1, 4), mask)


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


def write_masks(folder: Path) -> int:
    """Write scenes with the class of every pixel: paper, or the digit whose ink it is.

    Args:
        folder: Where ``images/``, ``masks/`` and ``classes.txt`` are made.

    Returns:
        How many scenes were written.
    """
    for split in SCENES:
        images, masks = folder / "images" / split, folder / "masks" / split
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for number, scene in enumerate(scenes(split, LARGE_SIDES)):
            Image.fromarray(scene.image).save(images / f"{number:04}.png")
            Image.fromarray(scene.mask).save(masks / f"{number:04}.png")
    names = "".join(f"{value + 1} {value}\n" for value in range(10))
    (folder / "classes.txt").write_text(f"0 paper\n{names}")
    return sum(SCENES.values())


@dataclass(frozen=True)
class Demo:
    """How a task is shown.

    Attributes:
        write: Writes the data into a folder; gives how many images there are.
        what: These images, in words.
        resolution: Input side, pixels.
        epochs: Of training.
        lr: Highest learning rate: from no weights more is learnt at a higher one.
        own: The command that does it with one's own data.
    """

    write: Callable[[Path], int]
    what: str
    resolution: int
    epochs: int
    lr: float
    own: str


DEMOS = {
    "classify": Demo(
        write_photos,
        "handwritten digits",
        64,
        12,
        4e-3,
        "the same for your photos, one folder for each class:\n  mobilens train PHOTOS",
    ),
    "detect": Demo(
        write_boxes,
        "scenes of handwritten digits",
        SIDE,
        40,
        4e-3,
        "the same for your photos, with boxes as COCO, YOLO or Pascal VOC have them:\n"
        "  mobilens train DATA --task detect",
    ),
    "segment": Demo(
        write_masks,
        "scenes of handwritten digits",
        SIDE,
        25,
        8e-3,
        "the same for your photos, with a mask for each or outlines as COCO has them:\n"
        "  mobilens train DATA --task segment",
    ),
    "keypoints": Demo(
        turned.write_points,
        "turned handwritten digits",
        turned.SIDE,
        30,
        4e-3,
        "the same for your photos, with points as COCO has them or in a CSV file:\n"
        "  mobilens train DATA --task keypoints",
    ),
    "embed": Demo(
        turned.write_identities,
        "photos of handwritten digits",
        turned.SIDE,
        20,
        4e-3,
        "the same for your photos, one folder for each person or thing:\n"
        "  mobilens train PHOTOS --task embed",
    ),
}
