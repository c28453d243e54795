"""Images to a feature pyramid, and the whole classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mobilens.errors import SpecError
from mobilens.nn.blocks import InvertedResidual, build_block
from mobilens.nn.layers import ConvNormAct, build_activation
from mobilens.spec import blocks as spec
from mobilens.spec import heads as spec_heads
from mobilens.spec.model import ModelSpec
from mobilens.spec.taps import STEM, Tap

# torch counts the bytes of a tensor in 64 bits.
MAX_PARAMS = 2**60


class Backbone(nn.Module):
    """Stem and rows: an image to features.

    Attributes:
        taps: Where each feature is taken; by default one for each stride, the last of each size.
        strides: Input size over feature size, one for each feature.
        channels: Channels of each feature.
    """

    def __init__(self, model: ModelSpec, taps: tuple[Tap, ...] | None = None) -> None:
        super().__init__()
        self.stem = build_block(model.stem, model.in_channels, model.padding, model.bn_eps)
        self.blocks = nn.ModuleList()
        channels = model.stem.out_channels
        for row in model.rows:
            self.blocks.append(build_block(row, channels, model.padding, model.bn_eps))
            channels = spec.out_channels(row, channels)
        body = model.body
        self._last_at = {stride: tap.row for stride, tap in body.strides.items()}
        self.taps = tuple(body.strides.values()) if taps is None else taps
        self.strides = tuple(map(body.stride, self.taps))
        self.channels = tuple(map(body.channels, self.taps))

    def parts_up_to(self, stride: int) -> list[nn.Module]:
        """Stem and blocks that the feature of a stride, and those before it, come from.

        Args:
            stride: Input size over feature size; below the stem's, there are none.
        """
        reached = [last for at, last in self._last_at.items() if at <= stride]
        return [self.stem, *self.blocks[: reached[-1] + 1]] if reached else []

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) to a feature for each of ``taps``, (N, C, H/stride, W/stride)."""
        x = self.stem(x)
        found = {Tap(STEM): x}
        for index, block in enumerate(self.blocks):
            inner = Tap(index, expanded=True)
            if inner in self.taps:
                assert isinstance(block, InvertedResidual)
                found[inner] = block.expand(x)
                x = block.from_expanded(found[inner], x)
            else:
                x = block(x)
            if Tap(index) in self.taps:
                found[Tap(index)] = x
        return tuple(found[tap] for tap in self.taps)


class ClassifierHead(nn.Module):
    """Features to class scores."""

    def __init__(self, model: ModelSpec) -> None:
        super().__init__()
        row, channels = model.head, model.feature_channels
        assert isinstance(row, spec_heads.ClassifierHead)
        self.conv: nn.Module = nn.Identity()
        if row.conv_channels:
            self.conv = ConvNormAct(
                channels, row.conv_channels, act=row.act, padding="symmetric", bn_eps=model.bn_eps
            )
            channels = row.conv_channels
        self.hidden: nn.Module = nn.Identity()
        if row.hidden_channels and row.hidden_norm:
            self.hidden = ConvNormAct(
                channels,
                row.hidden_channels,
                act=row.act,
                padding="symmetric",
                bn_eps=model.bn_eps,
            )
            channels = row.hidden_channels
        elif row.hidden_channels:
            self.hidden = nn.Sequential(
                nn.Conv2d(channels, row.hidden_channels, 1),
                build_activation(row.act, row.hidden_channels),
            )
            channels = row.hidden_channels
        self.dropout = nn.Dropout(row.dropout)
        self.classifier = nn.Linear(channels, row.num_classes)

    def pool(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D): what the dropout and the classifier see."""
        pooled = self.conv(features).mean((2, 3), keepdim=True)
        out: Tensor = self.hidden(pooled).flatten(1)
        return out

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, classes), before softmax."""
        out: Tensor = self.classifier(self.dropout(self.pool(features)))
        return out


class MobileNet(nn.Module):
    """A whole classifier built from a spec."""

    def __init__(self, model: ModelSpec) -> None:
        super().__init__()
        require_buildable(model)
        self.spec = model
        self.backbone = Backbone(model)
        self.head = ClassifierHead(model)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W), normalised, to (N, classes), before softmax."""
        out: Tensor = self.head(self.backbone(x)[-1])
        return out


def require_buildable(model: ModelSpec) -> None:
    """Refuse a spec that is plain data in order, but whose tensors no memory holds.

    Raises:
        SpecError: A row is too large.
    """
    for row in model.cost().rows:
        if row.params > MAX_PARAMS:
            raise SpecError(
                f"{row.name} ({row.block}) has {row.params:,} params",
                expected=f"at most {MAX_PARAMS:,}",
            )


def build(model: ModelSpec) -> MobileNet:
    """Turn a spec into a module, in channels_last memory format, initialised for training.

    Args:
        model: What to build.
    """
    from mobilens.nn.init import init_weights

    net = MobileNet(model)
    init_weights(net)
    # A convolution takes the format of its weights, so callers need not convert their images.
    return net.to(memory_format=torch.channels_last)
