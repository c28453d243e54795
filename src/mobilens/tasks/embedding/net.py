"""The embedding head as a module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilens.nn.backbone import Backbone, require_buildable
from mobilens.nn.init import init_weights
from mobilens.nn.layers import ConvNormAct
from mobilens.spec.heads.embedding import ArcFaceHead, EmbeddingHead
from mobilens.spec.model import ModelSpec


class GlobalDepthwise(nn.Module):
    """A weight for each place of each channel, and BatchNorm: (N, C, H, W) to (N, C, 1, 1)."""

    def __init__(self, channels: int, size: tuple[int, int], eps: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, size, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh and add up."""
        pooled: Tensor = self.norm(self.conv(x))
        return pooled


class EmbeddingHeadNet(nn.Module):
    """The last feature to a vector, (N, channels), of any length."""

    def __init__(self, model: ModelSpec, head: EmbeddingHead, channels: int) -> None:
        super().__init__()
        self.conv: nn.Module = nn.Identity()
        if head.conv_channels:
            self.conv = ConvNormAct(
                channels, head.conv_channels, act=head.act, padding="symmetric", bn_eps=model.bn_eps
            )
            channels = head.conv_channels
        feature = model.cost().rows[-1].input
        self.pool = GlobalDepthwise(channels, (feature.height, feature.width), model.bn_eps)
        self.embedding = ConvNormAct(
            channels, head.channels, act="none", padding="symmetric", bn_eps=model.bn_eps
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, channels)."""
        vectors: Tensor = self.embedding(self.pool(self.conv(features))).flatten(1)
        return vectors


class EmbeddingNet(nn.Module):
    """Backbone, embedding head and, for the loss, a direction for each class that is learnt."""

    def __init__(self, model: ModelSpec) -> None:
        super().__init__()
        require_buildable(model)
        head = model.head
        assert isinstance(head, EmbeddingHead)
        self.spec = model
        self.margins: Tensor
        self.backbone = Backbone(model, model.taps)
        self.head = EmbeddingHeadNet(model, head, self.backbone.channels[-1])
        init_weights(self)
        places = self.head.pool.conv.weight
        nn.init.constant_(places, 1 / places[0].numel())  # their mean at first
        self.prototypes = nn.Parameter(torch.randn(head.num_classes, head.channels))
        self.register_buffer("margins", torch.tensor(_margins(head)), persistent=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W), normalised, to ``"embeddings"`` (N, channels), of any length.

        While it learns, also ``"cosines"`` (N, classes) with the directions of the classes, and
        ``"margins"`` (3,) of the loss: an angle, a difference of cosines, and their scale.
        """
        vectors = self.head(self.backbone(x)[-1])
        if not self.training:
            return {"embeddings": vectors}
        cosines = F.normalize(vectors.float()) @ F.normalize(self.prototypes).T
        return {"embeddings": vectors, "cosines": cosines, "margins": self.margins}


def _margins(head: EmbeddingHead) -> tuple[float, float, float]:
    by_angle = isinstance(head, ArcFaceHead)
    return (head.margin if by_angle else 0.0, 0.0 if by_angle else head.margin, head.scale)
