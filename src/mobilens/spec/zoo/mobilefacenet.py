"""MobileFaceNet. Source: arXiv 1804.07573, Table 1."""

from __future__ import annotations

from mobilens.spec.blocks import Block, ConvNormAct, Depthwise, InvertedResidual
from mobilens.spec.heads.classifier import ClassifierHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.zoo.widths import make_divisible

# expansion t, channels c, repeats n, stride s of the first repeat
STAGES = [
    (2, 64, 5, 2),
    (4, 128, 1, 2),
    (2, 128, 6, 1),
    (4, 128, 1, 2),
    (2, 128, 2, 1),
]


def mobilefacenet(width_mult: float) -> ModelSpec:
    """MobileFaceNet as a classifier, up to its 1x1 convolution of 512 channels.

    What the paper has behind that, a global depthwise convolution and a linear one, is the head for
    embeddings, which takes this convolution over. The paper has no other width than 1; here all
    channels follow the rule of MobileNetV2.
    """
    inputs = make_divisible(64 * width_mult)
    stem = ConvNormAct(3, inputs, stride=2, act="prelu")
    rows: list[Block] = [Depthwise(3)]
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
                    act="prelu",
                    residual=stride == 1 and inputs == channels,
                )
            )
            inputs = channels
    last = make_divisible(512 * width_mult)
    return ModelSpec(
        name="mobilefacenet",
        stem=stem,
        rows=tuple(rows),
        head=ClassifierHead(num_classes=1000, conv_channels=last, act="prelu"),
        resolution=(112, 112),
        width_mult=width_mult,
    )
