"""A light feature pyramid with one prediction a cell, without anchors."""

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
class AnchorFreeHead:
    """Detection: every cell of every level says what is there and how far its four sides are.

    Features are brought to one width, coarse ones are added to finer ones on the way down and finer
    to coarser on the way up again (a path aggregation network, arXiv 1803.01534, of separable
    convolutions, as PicoDet's, arXiv 2111.00902). Each level then has a tower of its own. The
    distance to a side is the mean of a distribution over whole numbers of cells (arXiv 2006.04388).

    Attributes:
        num_classes: Classes told apart; there is none for the background.
        channels: Width of the pyramid and of the towers.
        strides: Of the levels, rising by a factor of two; those beyond the backbone's last are made
            from it.
        kernel_size: Of depthwise convolutions.
        depth: Separable convolutions in each tower.
        bins: Whole numbers that a distance lies between, 0 to ``bins`` - 1.
        act: After convolutions.
    """

    kind: ClassVar[str] = "anchor_free"
    num_classes: int
    channels: int = 96
    strides: tuple[int, ...] = (8, 16, 32)
    kernel_size: int = 5
    depth: int = 2
    bins: int = 8
    act: Activation = "relu"

    @classmethod
    def on(cls, model: ModelSpec, num_classes: int) -> AnchorFreeHead:  # noqa: ARG003
        """The usual head on a model that classifies."""
        return cls(num_classes)

    def taps(self, body: Body) -> tuple[Tap, ...]:
        """The last feature of each stride that the backbone has."""
        known = body.strides
        return tuple(body.at(stride) for stride in self.strides if stride in known)

    def check(self, channels: tuple[int, ...]) -> None:
        """Raise SpecError if the head cannot be built on features of these channels."""
        positive(self, "num_classes", "channels", "depth")
        odd_kernel("kernel_size", self.kernel_size)
        if self.bins < 2:
            raise SpecError(f"bins is {self.bins}", expected="2 or more")
        doubled = tuple(self.strides[0] * 2**i for i in range(len(self.strides)))
        if not self.strides or self.strides != doubled:
            raise SpecError(
                f"strides are {self.strides}", expected="each twice the one before, such as 8, 16"
            )
        if not channels:
            raise SpecError("the backbone has none of the head's strides", expected="one or more")

    @property
    def outputs(self) -> int:
        """Channels of a prediction: classes, and four distributions."""
        return self.num_classes + 4 * self.bins

    def walk(self, w: Walk, features: tuple[Shape, ...]) -> None:
        """Pass the features of one image through."""
        levels = []
        for index, feature in enumerate(features):
            w.shape = feature
            w.conv(f"lateral {index}", self.channels, act=self.act)
            levels.append(w.shape)
        for index in range(len(features), len(self.strides)):
            w.shape = levels[-1]
            self._separable(w, f"extra {index}", stride=2)
            levels.append(w.shape)
        for index in reversed(range(len(features) - 1)):
            w.shape = levels[index]
            self._separable(w, f"down {index}")
        for index in range(1, len(features)):
            w.shape = levels[index - 1]
            self._separable(w, f"up {index}", stride=2)
            self._separable(w, f"merged {index}")
        for index, level in enumerate(levels):
            w.shape = level
            for step in range(self.depth):
                self._separable(w, f"tower {index} {step}")
            w.conv(f"predict {index}", self.outputs, norm=False, bias=True)

    def _separable(self, w: Walk, name: str, stride: int = 1) -> None:
        w.conv(
            f"{name} depthwise",
            self.channels,
            self.kernel_size,
            stride,
            depthwise=True,
            act=self.act,
        )
        w.conv(f"{name} pointwise", self.channels, act=self.act)
