"""LR-ASPP, the segmentation head of the V3 paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mobilens.spec.blocks import Activation, positive
from mobilens.spec.cost import Shape, Walk
from mobilens.spec.taps import Body, Tap

if TYPE_CHECKING:
    from mobilens.spec.model import ModelSpec


@dataclass(frozen=True, slots=True)
class LrAsppHead:
    """Segmentation by the last feature, gated by its own mean, and a finer one beside it.

    Source: arXiv 1905.02244, section 6.4 and figure 10, with the pooling over the whole plane that
    torchvision has. Class scores come out at the finer feature's size.

    Attributes:
        num_classes: Classes told apart.
        low_stride: Of the finer feature.
        low_first: Whether it is what the first row of that stride gives, as in torchvision's
            weights, and not the last.
        channels: Width of the head.
        act: After its convolution.
    """

    kind: ClassVar[str] = "lraspp"
    num_classes: int
    low_stride: int = 8
    low_first: bool = False
    channels: int = 128
    act: Activation = "relu"

    @classmethod
    def on(cls, model: ModelSpec, num_classes: int) -> LrAsppHead:  # noqa: ARG003
        """The usual head on a model that classifies."""
        return cls(num_classes)

    def taps(self, body: Body) -> tuple[Tap, ...]:
        """The finer feature and the last one."""
        low = body.first_at if self.low_first else body.at
        return (low(self.low_stride), body.last)

    def check(self, channels: tuple[int, ...]) -> None:  # noqa: ARG002 (any will do)
        """Raise SpecError if the head cannot be built on features of these channels."""
        positive(self, "num_classes", "low_stride", "channels")

    def walk(self, w: Walk, features: tuple[Shape, ...]) -> None:
        """Pass the features of one image through."""
        low, last = features
        w.shape = last
        w.conv("conv", self.channels, act=self.act)
        w.shape = last
        with w.keeping(self.channels * last.pixels):
            w.pool("pool")
            w.conv("gate", self.channels, norm=False)
        w.shape = Shape(self.channels, low.height, low.width)
        w.conv("high", self.num_classes, norm=False, bias=True)
        with w.keeping(w.shape.elements):
            w.shape = low
            w.conv("low", self.num_classes, norm=False, bias=True)
