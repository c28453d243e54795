"""A map for each point, from a light feature pyramid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mobilens.errors import SpecError
from mobilens.spec.blocks import Activation, odd_kernel, positive
from mobilens.spec.cost import Shape, Walk
from mobilens.spec.taps import Body, Tap

if TYPE_CHECKING:
    from mobilens.spec.model import ModelSpec


@dataclass(frozen=True, slots=True)
class HeatmapHead:
    """Keypoints: a map for each point, whose cells say how likely it lies there.

    Features are brought to one width, and coarse ones added to finer ones, each step with a
    separable convolution: the way down of a feature pyramid (arXiv 1612.03144) in the place of the
    transposed convolutions of "simple baselines" (arXiv 1804.06208), which cost more.

    Attributes:
        num_classes: Points, a map each.
        channels: Width of the pyramid.
        stride: Of the maps.
        kernel_size: Of depthwise convolutions.
        act: After convolutions.
    """

    kind: ClassVar[str] = "heatmap"
    num_classes: int
    channels: int = 96
    stride: int = 4
    kernel_size: int = 5
    act: Activation = "relu"

    @classmethod
    def on(cls, model: ModelSpec, num_classes: int) -> HeatmapHead:  # noqa: ARG003
        """The usual head on a model that classifies."""
        return cls(num_classes)

    def taps(self, body: Body) -> tuple[Tap, ...]:
        """The last feature of each stride from the maps' on, the finest first."""
        body.at(self.stride)
        return tuple(tap for stride, tap in body.strides.items() if stride >= self.stride)

    def check(self, channels: tuple[int, ...]) -> None:  # noqa: ARG002 (any will do)
        """Raise SpecError if the head cannot be built on features of these channels."""
        positive(self, "num_classes", "channels")
        odd_kernel("kernel_size", self.kernel_size)
        if self.stride < 2:
            raise SpecError(f"stride is {self.stride}", expected="2 or more")

    def walk(self, w: Walk, features: tuple[Shape, ...]) -> None:
        """Pass the features of one image through."""
        for index, feature in enumerate(features):
            w.shape = feature
            w.conv(f"lateral {index}", self.channels, act=self.act)
        for index in reversed(range(len(features))):
            w.shape = Shape(self.channels, features[index].height, features[index].width)
            w.conv(
                f"down {index} depthwise",
                self.channels,
                self.kernel_size,
                depthwise=True,
                act=self.act,
            )
            w.conv(f"down {index} pointwise", self.channels, act=self.act)
        w.conv("maps", self.num_classes, norm=False, bias=True)
