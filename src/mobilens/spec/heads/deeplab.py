"""DeepLabv3 and v3+: context at several rates, and a decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mobilens.errors import SpecError
from mobilens.spec.blocks import Activation, not_negative, positive
from mobilens.spec.cost import Shape, Walk
from mobilens.spec.taps import Body, Tap

if TYPE_CHECKING:
    from mobilens.spec.model import ModelSpec


@dataclass(frozen=True, slots=True)
class DeepLabHead:
    """Segmentation by dilated convolutions side by side (ASPP), and with v3+ a finer feature.

    Source: arXiv 1706.05587 (v3), arXiv 1802.02611 (v3+, separable); as MobileNetV2 has it, arXiv
    1801.04381, section 6.3. Class scores come out at the size of the finest feature that is read.

    Attributes:
        num_classes: Classes told apart.
        channels: Width of the head.
        rates: Dilations side by side; for an output stride of 8 twice those for 16.
        separable: Whether its 3x3 convolutions are depthwise and pointwise.
        low_channels: Width that the finer feature is brought to; 0 leaves the decoder out (v3).
        low_stride: Of the finer feature.
        act: After convolutions.
        dropout: Behind the projection.
    """

    kind: ClassVar[str] = "deeplab"
    num_classes: int
    channels: int = 256
    rates: tuple[int, ...] = (6, 12, 18)
    separable: bool = True
    low_channels: int = 48
    low_stride: int = 4
    act: Activation = "relu"
    dropout: float = 0.1

    @classmethod
    def on(cls, model: ModelSpec, num_classes: int) -> DeepLabHead:
        """The usual head on a model that classifies."""
        scale = max(1, 16 // model.output_stride)
        return cls(num_classes, rates=tuple(rate * scale for rate in (6, 12, 18)))

    def taps(self, body: Body) -> tuple[Tap, ...]:
        """The last feature and, with a decoder, a finer one before it."""
        return (body.at(self.low_stride), body.last) if self.low_channels else (body.last,)

    def check(self, channels: tuple[int, ...]) -> None:  # noqa: ARG002 (any will do)
        """Raise SpecError if the head cannot be built on features of these channels."""
        positive(self, "num_classes", "channels", "low_stride")
        not_negative(self, "low_channels")
        if not self.rates or min(self.rates) < 1:
            raise SpecError(f"rates are {self.rates}", expected="one or more, each 1 or more")
        if not 0 <= self.dropout < 1:
            raise SpecError(f"dropout is {self.dropout}", expected="0 or more and below 1")

    def walk(self, w: Walk, features: tuple[Shape, ...]) -> None:
        """Pass the features of one image through."""
        last = features[-1]
        w.shape = last
        w.conv("plain", self.channels, act=self.act)
        for rate in self.rates:
            w.shape = last
            self._spread(w, f"rate {rate}")
        w.shape = last
        w.pool("pool")
        w.conv("pooled", self.channels, act=self.act)
        branches = self.channels * (2 + len(self.rates))
        w.shape = Shape(branches, last.height, last.width)
        w.conv("project", self.channels, act=self.act)
        if self.low_channels:
            low = features[0]
            w.shape = low
            w.conv("low", self.low_channels, act=self.act)
            w.shape = Shape(self.channels + self.low_channels, low.height, low.width)
            self._spread(w, "decode 0")
        self._spread(w, "decode 1")
        w.conv("classes", self.num_classes, norm=False, bias=True)

    def _spread(self, w: Walk, name: str) -> None:
        """A 3x3 convolution, separable or not."""
        if self.separable:
            w.conv(f"{name} depthwise", w.shape.channels, 3, depthwise=True, act=self.act)
            w.conv(f"{name} pointwise", self.channels, act=self.act)
        else:
            w.conv(name, self.channels, 3, act=self.act)
