"""Features to one vector of length 1, and the margins by which it is learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from mobilens.errors import SpecError
from mobilens.spec.blocks import Activation, not_negative, positive
from mobilens.spec.cost import Shape, Walk
from mobilens.spec.heads.classifier import ClassifierHead
from mobilens.spec.taps import Body, Tap

if TYPE_CHECKING:
    from mobilens.spec.model import ModelSpec


@dataclass(frozen=True, slots=True)
class EmbeddingHead:
    """Embeddings: the last feature, weighed place by place, as a vector.

    The pooling is MobileFaceNet's global depthwise convolution (arXiv 1804.07573, section 3.1): a
    weight for each place of each channel, since places of a face are not alike. What is learnt of
    the classes themselves, a direction each, serves the loss alone: it is counted nowhere, and no
    model file holds it.

    Attributes:
        num_classes: Classes that are learnt; those to come are others.
        channels: Length of the vector.
        conv_channels: Pointwise convolution with BatchNorm before the pooling; 0 for none.
        act: After it.
        scale: What cosines are multiplied by before softmax.
        margin: By which the right class must be nearer.
    """

    num_classes: int
    channels: int = 128
    conv_channels: int = 0
    act: Activation = "relu"
    scale: float = 32.0
    margin: float = 0.0

    @classmethod
    def on(cls, model: ModelSpec, num_classes: int) -> Self:
        """The usual head on a model that classifies, with its last convolution."""
        head = model.head
        assert isinstance(head, ClassifierHead)
        return cls(num_classes, conv_channels=head.conv_channels, act=head.act)

    def taps(self, body: Body) -> tuple[Tap, ...]:
        """The last feature."""
        return (body.last,)

    def check(self, channels: tuple[int, ...]) -> None:  # noqa: ARG002 (any will do)
        """Raise SpecError if the head cannot be built on features of these channels."""
        positive(self, "num_classes", "channels")
        not_negative(self, "conv_channels")
        if not self.scale > 0:
            raise SpecError(f"scale is {self.scale}", expected="above 0")
        if not 0 <= self.margin < 1:
            raise SpecError(f"margin is {self.margin}", expected="0 to below 1")

    def walk(self, w: Walk, features: tuple[Shape, ...]) -> None:
        """Pass the features of one image through."""
        (w.shape,) = features
        if self.conv_channels:
            w.conv("conv", self.conv_channels, act=self.act)
        w.weigh("pool")
        w.conv("embedding", self.channels)


@dataclass(frozen=True, slots=True)
class ArcFaceHead(EmbeddingHead):
    """The same learnt by ArcFace's margin: an angle, in radians (arXiv 1801.07698)."""

    kind: ClassVar[str] = "arcface"
    margin: float = 0.3


@dataclass(frozen=True, slots=True)
class CosFaceHead(EmbeddingHead):
    """The same learnt by CosFace's margin: a difference of cosines (arXiv 1801.09414)."""

    kind: ClassVar[str] = "cosface"
    margin: float = 0.2
