"""A small real data set that ships inside: the UCI handwritten digits.

1,797 digits by 43 people, 8x8 pixels each: the test part of "Optical Recognition of Handwritten
Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998; CC BY 4.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

SHEET = Path(__file__).with_name("digits.png")
DIGIT_SIDE = 8
ENLARGED_SIDE = 28
# Every so many-th digit measures; the others teach.
HOLD_OUT = 5


def digits() -> Iterator[tuple[Image.Image, int]]:
    """Every digit, grey, 8x8 pixels, with its value."""
    with Image.open(SHEET) as sheet:
        sheet.load()
        labels = str(sheet.info["labels"])
        columns = sheet.width // DIGIT_SIDE
        for index, label in enumerate(labels):
            row, column = divmod(index, columns)
            left, top = column * DIGIT_SIDE, row * DIGIT_SIDE
            yield sheet.crop((left, top, left + DIGIT_SIDE, top + DIGIT_SIDE)), int(label)


def write_photos(folder: Path) -> int:
    """Write the digits as a person would bring photos: ``train/`` and ``validation/`` by class.

    Args:
        folder: Where the two folders are made.

    Returns:
        How many were written.
    """
    count = 0
    for index, (digit, value) in enumerate(digits()):
        split = "validation" if index % HOLD_OUT == 0 else "train"
        target = folder / split / str(value)
        target.mkdir(parents=True, exist_ok=True)
        large = digit.resize((ENLARGED_SIDE, ENLARGED_SIDE), Image.Resampling.BICUBIC)
        large.save(target / f"{index:04}.png")
        count += 1
    return count
