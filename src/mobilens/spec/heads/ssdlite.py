"""SSDLite, the detector of the V2 and V3 papers.

Source: MobileNetV2 (arXiv 1801.04381, section 6.2) and MobileNetV3 (arXiv 1905.02244, section 6.3);
sizes and anchors as released with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mobilens.errors import SpecError
from mobilens.spec.blocks import Activation, InvertedResidual, not_negative, positive
from mobilens.spec.cost import Shape, Walk
from mobilens.spec.heads.classifier import ClassifierHead
from mobilens.spec.taps import Body, Tap

if TYPE_CHECKING:
    from mobilens.spec.model import ModelSpec

EXTRAS = (512, 256, 256, 128)
# Boxes of a cell; the first level of the released nets has three.
USUAL_BOXES = 6


@dataclass(frozen=True, slots=True)
class SsdLiteHead:
    """Detection by boxes of fixed sizes, which are chosen and moved.

    It reads what the expansion of the first row at stride 32 makes (where a row has none, the last
    feature of stride 16) and the last feature of stride 32; four smaller levels are made from that.
    Each level tells classes and offsets by separable convolutions.

    Attributes:
        num_classes: Classes told apart, without the background, which is one more.
        conv_channels: Pointwise convolution before the second level (V2); 0 for none.
        conv_act: After it.
        extras: Channels of the levels that are made, each half the size of the one before.
        first_boxes: Boxes of a cell in the first level, 3 or 6; six in the others.
        act: After convolutions of the head.
    """

    kind: ClassVar[str] = "ssdlite"
    num_classes: int
    conv_channels: int = 0
    conv_act: Activation = "relu6"
    extras: tuple[int, ...] = EXTRAS
    first_boxes: int = USUAL_BOXES
    act: Activation = "relu6"

    @classmethod
    def on(cls, model: ModelSpec, num_classes: int) -> SsdLiteHead:
        """The usual head on a model that classifies."""
        conv = model.head if isinstance(model.head, ClassifierHead) else None
        return cls(
            num_classes,
            conv_channels=conv.conv_channels if conv else 0,
            conv_act=conv.act if conv else "relu6",
        )

    def taps(self, body: Body) -> tuple[Tap, ...]:
        """An inner value of stride 16 and the last one of stride 32."""
        entry = body.at(16).row + 1
        row = body.rows[entry] if entry < len(body.rows) else None
        inner = isinstance(row, InvertedResidual) and row.expand
        # The default boxes of its levels are those of these strides.
        return (Tap(entry, expanded=True) if inner else body.at(16), body.at(32))

    def check(self, channels: tuple[int, ...]) -> None:  # noqa: ARG002 (any will do)
        """Raise SpecError if the head cannot be built on features of these channels."""
        positive(self, "num_classes")
        not_negative(self, "conv_channels")
        if self.first_boxes not in (3, USUAL_BOXES):
            raise SpecError(f"first_boxes is {self.first_boxes}", expected="3 or 6")
        if any(width < 2 for width in self.extras):
            raise SpecError(f"extras are {self.extras}", expected="2 or more channels each")

    @property
    def boxes(self) -> tuple[int, ...]:
        """Boxes of a cell, for each level."""
        return (self.first_boxes, *[USUAL_BOXES] * (1 + len(self.extras)))

    def walk(self, w: Walk, features: tuple[Shape, ...]) -> None:
        """Pass the features of one image through."""
        first, w.shape = features
        if self.conv_channels:
            w.conv("conv", self.conv_channels, act=self.conv_act)
        levels = [first, w.shape]
        for index, width in enumerate(self.extras):
            w.conv(f"extra {index} squeeze", width // 2, act=self.act)
            w.conv(f"extra {index} depthwise", width // 2, 3, 2, depthwise=True, act=self.act)
            w.conv(f"extra {index} pointwise", width, act=self.act)
            levels.append(w.shape)
        for index, (level, boxes) in enumerate(zip(levels, self.boxes, strict=True)):
            for name, outputs in (("classes", self.num_classes + 1), ("offsets", 4)):
                w.shape = level
                w.conv(f"{name} {index} depthwise", level.channels, 3, depthwise=True, act=self.act)
                w.conv(f"{name} {index} pointwise", boxes * outputs, norm=False, bias=True)
