"""MobileNetV1. Source: arXiv 1704.04861, Table 1 (its last row has stride 1 in effect)."""

from __future__ import annotations

from mobilens.spec.blocks import ConvNormAct, DepthwiseSeparable
from mobilens.spec.heads.classifier import ClassifierHead
from mobilens.spec.model import ModelSpec

# stride, channels
ROWS = [
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
]


def mobilenet_v1(width_mult: float) -> ModelSpec:
    """MobileNetV1; ReLU6 as in the released code. Channels are cut, not rounded to eights."""

    def scaled(channels: int) -> int:
        return max(int(channels * width_mult), 8)

    return ModelSpec(
        name="mobilenet_v1",
        stem=ConvNormAct(3, scaled(32), stride=2, act="relu6"),
        rows=tuple(DepthwiseSeparable(3, scaled(c), stride=s) for s, c in ROWS),
        head=ClassifierHead(num_classes=1000, dropout=0.001),
        width_mult=width_mult,
    )
