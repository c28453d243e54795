"""Types of arguments that several verbs take."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_foreign(parser: argparse.ArgumentParser) -> None:
    """Declare what has to be said of a file of another tool."""
    group = parser.add_argument_group("model files of other tools")
    group.add_argument(
        "--preprocess",
        metavar="HOW",
        help="how pixels are prepared: a JSON file, or text such as size=224,"
        "mean=0.485/0.456/0.406,std=0.229/0.224/0.225,crop_pct=0.875,interpolation=bicubic; "
        "also resize, fill, layout, colour, output",
    )
    group.add_argument(
        "--labels", metavar="FILE", help="names of the classes, one a line (default: numbers)"
    )


def named_path(text: str) -> Path:
    """Read a path; an empty one, as of an unset shell variable, is none.

    Raises:
        ArgumentTypeError: It is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(text)


def positive_int(text: str) -> int:
    """Read a whole number of 1 or more.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return value


def image_size(text: str) -> int | tuple[int, int]:
    """Read the size of an image: its side, or height and width such as ``256x192``.

    Raises:
        ArgumentTypeError: It is none.
    """
    sides = [positive_int(side) for side in text.lower().split("x")]
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a side nor HEIGHTxWIDTH")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def positive_ints(text: str) -> tuple[int, ...]:
    """Read whole numbers of 1 or more with commas between them, such as ``1,2,4``.

    Raises:
        ArgumentTypeError: One of them is none.
    """
    return tuple(dict.fromkeys(positive_int(part) for part in text.split(",")))


def positive_float(text: str) -> float:
    """Read a number above 0.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def share(text: str) -> float:
    """Read a number from 0 to 1.

    Raises:
        ArgumentTypeError: It is none.
    """
    return _number_from(text, 0, 1)


def similarity(text: str) -> float:
    """Read a number from -1 to 1.

    Raises:
        ArgumentTypeError: It is none.
    """
    return _number_from(text, -1, 1)


def _number_from(text: str, least: int, most: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
    return value


def points(text: str) -> float:
    """Read a number of percentage points, 0 to 100.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of points, 0 to 100")
    return value
