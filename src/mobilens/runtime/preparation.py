"""How pixels are prepared for a file that does not say so: ``--preprocess``, a text or a JSON file.

``size=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225`` and ``{"size": 224, "mean": [0.485, ...],
...}`` say the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mobilens.errors import SpecError, UsageError
from mobilens.spec import codec
from mobilens.spec.task import Preprocessing

EXAMPLE = "size=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225"
MAX_BYTES = 64 * 1024
# Pixels lie from 0 to 1 then; some nets count from the middle of a wider range.
MOST_AFTER_DIVISION = 2.0
LISTS = ("size", "mean", "std", "fill")


@dataclass(frozen=True)
class Preparation:
    """What a file of another tool wants, as somebody says.

    Attributes:
        size: (height, width) that the net reads, pixels; None takes it from the file.
        resize: As of ``Preprocessing``, likewise the next four.
        crop_pct: Share of the resized short side that is kept.
        interpolation: Kernel of the resize.
        mean: Subtracted from red, green, blue after division by 255; None for a file that reads
            bytes and does it itself.
        std: Divides them then, likewise.
        fill: RGB behind transparent pixels and around letterboxed images.
        layout: Order of the axes; None takes it from the file.
        colour: Order of the channels.
        output: Name of the output that has the scores; None where there is one alone.
    """

    size: tuple[int, int] | None = None
    resize: Literal["crop", "squash", "letterbox"] = "crop"
    crop_pct: float = 0.875
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    fill: tuple[int, int, int] = (255, 255, 255)
    layout: Literal["nchw", "nhwc"] | None = None
    colour: Literal["rgb", "bgr"] = "rgb"
    output: str | None = None

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and max(map(abs, values)) > MOST_AFTER_DIVISION:
                shown = "/".join(f"{value:g}" for value in values)
                divided = "/".join(f"{value / 255:.3f}" for value in values)
                raise SpecError(
                    f"{name}={shown} is of pixels from 0 to 255",
                    expected=f"of pixels divided by 255: {name}={divided}",
                )

    def preprocessing(self, size: tuple[int, int]) -> Preprocessing:
        """Say it as our own files do.

        Args:
            size: (height, width) that the net reads, pixels.

        Raises:
            SpecError: A value is out of range.
        """
        plain = Preprocessing()
        return Preprocessing(
            size=size,
            resize=self.resize,
            crop_fraction=self.crop_pct,
            interpolation=self.interpolation,
            mean=self.mean or plain.mean,
            std=self.std or plain.std,
            fill=self.fill,
        )


def read_preparation(given: str | Path) -> Preparation:
    """Read what somebody says.

    Args:
        given: ``key=value`` with commas between, lists with slashes; or a JSON file.

    Raises:
        UsageError: It is neither, or a key or value is unknown.
    """
    values = _from_file(Path(given)) if _is_file(given) else _from_text(str(given))
    if isinstance(values.get("size"), int):
        values["size"] = [values["size"]] * 2
    try:
        return codec.from_json(Preparation, values, "preprocess")
    except SpecError as error:
        raise UsageError(error.given, expected=error.expected, remedy=EXAMPLE) from None


def _is_file(given: str | Path) -> bool:
    return isinstance(given, Path) or "=" not in given


def _from_file(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _unreadable(path, f"has {path.stat().st_size:,} bytes")
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise _unreadable(path, "is not JSON") from None
    if not isinstance(values, dict):
        raise _unreadable(path, "is no JSON object")
    return values


def _from_text(text: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for part in text.split(","):
        key, found, value = (piece.strip() for piece in part.partition("="))
        if not found or key in values:
            raise UsageError(
                f"{part!r} in what --preprocess says",
                expected="key=value, each key once, lists with slashes",
                remedy=EXAMPLE,
            )
        items = [_number(item) for item in value.split("/")]
        values[key] = items if key in LISTS and len(items) > 1 else _number(value)
    return values


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _unreadable(path: Path, what: str) -> UsageError:
    return UsageError(
        f"{path}, given with --preprocess, {what}",
        expected="a small JSON file, or text such as in the example",
        remedy=EXAMPLE,
    )
