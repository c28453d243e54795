"""The classifier of every paper: features to class scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from mobilens.errors import SpecError
from mobilens.spec.blocks import Activation, not_negative, positive, positive_value
from mobilens.spec.cost import Shape, Walk
from mobilens.spec.taps import Body, Tap

if TYPE_CHECKING:
    from mobilens.spec.model import ModelSpec


@dataclass(frozen=True, slots=True)
class ClassifierHead:
    """Features to class scores: convolution, pooling, hidden layer, classifier.

    Attributes:
        num_classes: Scores given.
        conv_channels: Pointwise convolution with BatchNorm before the pooling (V2); 0 for none.
        hidden_channels: Pointwise layer after the pooling (V3, V4); 0 for none.
        hidden_norm: Whether the hidden layer has BatchNorm (V4) or a bias (V3).
        act: After the convolution and the hidden layer.
        dropout: Probability, before the classifier.
    """

    kind: ClassVar[str] = "classifier"
    num_classes: int
    conv_channels: int = 0
    hidden_channels: int = 0
    hidden_norm: bool = False
    act: Activation = "relu"
    dropout: float = 0.0

    @classmethod
    def on(cls, model: ModelSpec, num_classes: int) -> ClassifierHead:
        """The paper's head of a model that classifies."""
        assert isinstance(model.head, cls)
        return replace(model.head, num_classes=num_classes)

    def taps(self, body: Body) -> tuple[Tap, ...]:
        """The last feature."""
        return (body.last,)

    def check(self, channels: tuple[int, ...]) -> None:
        """Raise SpecError if the head cannot be built on features of these channels."""
        positive(self, "num_classes")
        positive_value("in_channels", channels[0])
        not_negative(self, "conv_channels", "hidden_channels")
        if not 0 <= self.dropout < 1:
            raise SpecError(f"dropout is {self.dropout}", expected="0 or more and below 1")

    def walk(self, w: Walk, features: tuple[Shape, ...]) -> None:
        """Pass the features of one image through."""
        (w.shape,) = features
        if self.conv_channels:
            w.conv("conv", self.conv_channels, act=self.act)
        w.pool("pool")
        if self.hidden_channels:
            w.conv(
                "hidden",
                self.hidden_channels,
                norm=self.hidden_norm,
                bias=not self.hidden_norm,
                act=self.act,
            )
        w.conv("classifier", self.num_classes, norm=False, bias=True)
