"""MobileNetV2. Source: arXiv 1801.04381, Table 2."""

from __future__ import annotations

from mobilens.spec.blocks import ConvNormAct, InvertedResidual
from mobilens.spec.heads.classifier import ClassifierHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.zoo.widths import make_divisible

# expansion t, channels c, repeats n, stride s of the first repeat
STAGES = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


def mobilenet_v2(width_mult: float) -> ModelSpec:
    """MobileNetV2; below width 1 the last convolution keeps its 1280 channels."""
    inputs = make_divisible(32 * width_mult)
    stem = ConvNormAct(3, inputs, stride=2, act="relu6")
    rows: list[InvertedResidual] = []
    for t, c, n, s in STAGES:
        channels = make_divisible(c * width_mult)
        for repeat in range(n):
            stride = s if repeat == 0 else 1
            rows.append(
                InvertedResidual(
                    3,
                    expanded_channels=inputs * t,
                    out_channels=channels,
                    stride=stride,
                    expand=t != 1,
                    residual=stride == 1 and inputs == channels,
                )
            )
            inputs = channels
    last = make_divisible(1280 * max(1.0, width_mult))
    return ModelSpec(
        name="mobilenet_v2",
        stem=stem,
        rows=tuple(rows),
        head=ClassifierHead(num_classes=1000, conv_channels=last, act="relu6", dropout=0.2),
        width_mult=width_mult,
    )
