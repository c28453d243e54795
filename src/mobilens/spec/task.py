"""TaskSpec: what a model answers, for which classes, and how its pixels are prepared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from mobilens.errors import SpecError
from mobilens.spec import codec

# Beyond it, one image in 32-bit floats is 800 megabytes.
MAX_SIDE = 8192


@dataclass(frozen=True)
class Preprocessing:
    """From an oriented RGB image to the pixels that a net reads.

    Attributes:
        size: (height, width) of the net's input, pixels.
        resize: ``"crop"`` scales the image so that the input covers ``crop_fraction`` of it and
            keeps the centre; ``"squash"`` scales each axis by itself; ``"letterbox"`` fits the
            whole image and fills the rest with ``fill``.
        crop_fraction: For ``"crop"``: share of the resized short side that is kept, above 0 to 1.
        interpolation: Kernel of the resize, always with antialiasing.
        mean: Subtracted from red, green, blue after division by 255.
        std: Divides them then.
        fill: RGB behind transparent pixels and around letterboxed images, 0 to 255.
    """

    size: tuple[int, int] = (224, 224)
    resize: Literal["crop", "squash", "letterbox"] = "crop"
    crop_fraction: float = 0.875
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    fill: tuple[int, int, int] = (255, 255, 255)

    def __post_init__(self) -> None:
        for name, item in codec.read_fields(self, "preprocessing").items():
            object.__setattr__(self, name, item)
        if not 1 <= min(self.size) <= max(self.size) <= MAX_SIDE:
            raise SpecError(f"input size is {self.size}", expected=f"1 to {MAX_SIDE} on both sides")
        if not 0 < self.crop_fraction <= 1:
            raise SpecError(f"crop_fraction is {self.crop_fraction}", expected="above 0 to 1")
        if min(self.std) <= 0:
            raise SpecError(f"std is {self.std}", expected="above 0")
        if not all(0 <= value <= 255 for value in self.fill):
            raise SpecError(f"fill is {self.fill}", expected="three numbers from 0 to 255")


@dataclass(frozen=True)
class TaskSpec:
    """What a model answers.

    Attributes:
        kind: Name of the task, such as ``"classify"``.
        class_names: Names in the order of the outputs.
        preprocessing: How pixels are prepared.
        links: Pairs of names, by their place, that belong together, such as the ends of a limb.
        class_agnostic: Of boxes, whether a better one suppresses those of every class, and not only
            of its own.
    """

    kind: str
    class_names: tuple[str, ...]
    preprocessing: Preprocessing = Preprocessing()
    links: tuple[tuple[int, int], ...] = ()
    class_agnostic: bool = False

    def __post_init__(self) -> None:
        for name, item in codec.read_fields(self, "task").items():
            object.__setattr__(self, name, item)
        for name in self.class_names:
            if not codec.is_plain(name):
                raise SpecError(f"the class name {name!r} holds control characters")
        twice = [name for name, count in Counter(self.class_names).items() if count > 1]
        if twice:
            raise SpecError(f"the class name {twice[0]!r} stands twice", expected="each once")
        for link in self.links:
            if not all(0 <= end < len(self.class_names) for end in link):
                raise SpecError(
                    f"a link is {link}", expected=f"two of 0 to {len(self.class_names) - 1}"
                )

    def to_json(self) -> dict[str, Any]:
        """Give JSON values that ``from_json`` reads back unchanged."""
        return dict(codec.to_json(self))

    @classmethod
    def from_json(cls, value: Any) -> TaskSpec:
        """Build from JSON values.

        Raises:
            SpecError: A field is missing, unknown or wrong.
        """
        return codec.from_json(cls, value, "task")
