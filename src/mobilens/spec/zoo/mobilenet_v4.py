"""MobileNetV4, convolutional and hybrid.

Source: arXiv 2404.10518, Tables 11 to 15, with the hybrids as the released code has them (the
printed Hybrid-Medium differs from it). The paper has no width rule: channels follow make_divisible,
and below width 1 the stem keeps its channels; the 1280 of the hidden layer never scale (timm's
narrower Conv-Small).
"""

from __future__ import annotations

from collections.abc import Sequence

from mobilens.spec.blocks import (
    Activation,
    Block,
    ConvNormAct,
    FusedInvertedResidual,
    MobileAttention,
    UniversalInvertedBottleneck,
    out_channels,
)
from mobilens.spec.heads.classifier import ClassifierHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.zoo.widths import make_divisible

# Rows read as the paper's:
#   ("conv", kernel, channels, stride)
#   ("fused", kernel, expansion, channels, stride)
#   ("uib", start kernel, middle kernel, expansion, channels, stride)
#   ("mqa", heads, key channels, key-value stride)
_Row = tuple[str | int, ...]

CONV_SMALL: list[_Row] = [
    ("conv", 3, 32, 2),
    ("conv", 1, 32, 1),
    ("conv", 3, 96, 2),
    ("conv", 1, 64, 1),
    ("uib", 5, 5, 3, 96, 2),
    ("uib", 0, 3, 2, 96, 1),
    ("uib", 0, 3, 2, 96, 1),
    ("uib", 0, 3, 2, 96, 1),
    ("uib", 0, 3, 2, 96, 1),
    ("uib", 3, 0, 4, 96, 1),
    ("uib", 3, 3, 6, 128, 2),
    ("uib", 5, 5, 4, 128, 1),
    ("uib", 0, 5, 4, 128, 1),
    ("uib", 0, 5, 3, 128, 1),
    ("uib", 0, 3, 4, 128, 1),
    ("uib", 0, 3, 4, 128, 1),
    ("conv", 1, 960, 1),
]

CONV_MEDIUM: list[_Row] = [
    ("fused", 3, 4, 48, 2),
    ("uib", 3, 5, 4, 80, 2),
    ("uib", 3, 3, 2, 80, 1),
    ("uib", 3, 5, 6, 160, 2),
    ("uib", 3, 3, 4, 160, 1),
    ("uib", 3, 3, 4, 160, 1),
    ("uib", 3, 5, 4, 160, 1),
    ("uib", 3, 3, 4, 160, 1),
    ("uib", 3, 0, 4, 160, 1),
    ("uib", 0, 0, 2, 160, 1),
    ("uib", 3, 0, 4, 160, 1),
    ("uib", 5, 5, 6, 256, 2),
    ("uib", 5, 5, 4, 256, 1),
    ("uib", 3, 5, 4, 256, 1),
    ("uib", 3, 5, 4, 256, 1),
    ("uib", 0, 0, 4, 256, 1),
    ("uib", 3, 0, 4, 256, 1),
    ("uib", 3, 5, 2, 256, 1),
    ("uib", 5, 5, 4, 256, 1),
    ("uib", 0, 0, 4, 256, 1),
    ("uib", 0, 0, 4, 256, 1),
    ("uib", 5, 0, 2, 256, 1),
    ("conv", 1, 960, 1),
]

CONV_LARGE: list[_Row] = [
    ("fused", 3, 4, 48, 2),
    ("uib", 3, 5, 4, 96, 2),
    ("uib", 3, 3, 4, 96, 1),
    ("uib", 3, 5, 4, 192, 2),
    ("uib", 3, 3, 4, 192, 1),
    ("uib", 3, 3, 4, 192, 1),
    ("uib", 3, 3, 4, 192, 1),
    ("uib", 3, 5, 4, 192, 1),
    ("uib", 5, 3, 4, 192, 1),
    ("uib", 5, 3, 4, 192, 1),
    ("uib", 5, 3, 4, 192, 1),
    ("uib", 5, 3, 4, 192, 1),
    ("uib", 5, 3, 4, 192, 1),
    ("uib", 3, 0, 4, 192, 1),
    ("uib", 5, 5, 4, 512, 2),
    ("uib", 5, 5, 4, 512, 1),
    ("uib", 5, 5, 4, 512, 1),
    ("uib", 5, 5, 4, 512, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("uib", 5, 3, 4, 512, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("uib", 5, 3, 4, 512, 1),
    ("uib", 5, 5, 4, 512, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("conv", 1, 960, 1),
]

HYBRID_MEDIUM: list[_Row] = [
    ("fused", 3, 4, 48, 2),
    ("uib", 3, 5, 4, 80, 2),
    ("uib", 3, 3, 2, 80, 1),
    ("uib", 3, 5, 6, 160, 2),
    ("uib", 0, 0, 2, 160, 1),
    ("uib", 3, 3, 4, 160, 1),
    ("uib", 3, 5, 4, 160, 1),
    ("mqa", 4, 64, 2),
    ("uib", 3, 3, 4, 160, 1),
    ("mqa", 4, 64, 2),
    ("uib", 3, 0, 4, 160, 1),
    ("mqa", 4, 64, 2),
    ("uib", 3, 3, 4, 160, 1),
    ("mqa", 4, 64, 2),
    ("uib", 3, 0, 4, 160, 1),
    ("uib", 5, 5, 6, 256, 2),
    ("uib", 5, 5, 4, 256, 1),
    ("uib", 3, 5, 4, 256, 1),
    ("uib", 3, 5, 4, 256, 1),
    ("uib", 0, 0, 2, 256, 1),
    ("uib", 3, 5, 2, 256, 1),
    ("uib", 0, 0, 2, 256, 1),
    ("uib", 0, 0, 4, 256, 1),
    ("mqa", 4, 64, 1),
    ("uib", 3, 0, 4, 256, 1),
    ("mqa", 4, 64, 1),
    ("uib", 5, 5, 4, 256, 1),
    ("mqa", 4, 64, 1),
    ("uib", 5, 0, 4, 256, 1),
    ("mqa", 4, 64, 1),
    ("uib", 5, 0, 4, 256, 1),
    ("conv", 1, 960, 1),
]

HYBRID_LARGE: list[_Row] = [
    ("fused", 3, 4, 48, 2),
    ("uib", 3, 5, 4, 96, 2),
    ("uib", 3, 3, 4, 96, 1),
    ("uib", 3, 5, 4, 192, 2),
    ("uib", 3, 3, 4, 192, 1),
    ("uib", 3, 3, 4, 192, 1),
    ("uib", 3, 3, 4, 192, 1),
    ("uib", 3, 5, 4, 192, 1),
    ("uib", 5, 3, 4, 192, 1),
    ("uib", 5, 3, 4, 192, 1),
    ("mqa", 8, 48, 2),
    ("uib", 5, 3, 4, 192, 1),
    ("mqa", 8, 48, 2),
    ("uib", 5, 3, 4, 192, 1),
    ("mqa", 8, 48, 2),
    ("uib", 5, 3, 4, 192, 1),
    ("mqa", 8, 48, 2),
    ("uib", 3, 0, 4, 192, 1),
    ("uib", 5, 5, 4, 512, 2),
    ("uib", 5, 5, 4, 512, 1),
    ("uib", 5, 5, 4, 512, 1),
    ("uib", 5, 5, 4, 512, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("uib", 5, 3, 4, 512, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("uib", 5, 3, 4, 512, 1),
    ("uib", 5, 5, 4, 512, 1),
    ("mqa", 8, 64, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("mqa", 8, 64, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("mqa", 8, 64, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("mqa", 8, 64, 1),
    ("uib", 5, 0, 4, 512, 1),
    ("conv", 1, 960, 1),
]


def mobilenet_v4_conv_small(width_mult: float) -> ModelSpec:
    """MobileNetV4-Conv-Small (Table 11)."""
    return _build("mobilenet_v4_conv_small", CONV_SMALL, 32, width_mult, dropout=0.3)


def mobilenet_v4_conv_medium(width_mult: float) -> ModelSpec:
    """MobileNetV4-Conv-Medium (Table 12)."""
    return _build(
        "mobilenet_v4_conv_medium", CONV_MEDIUM, 32, width_mult, resolution=256, dropout=0.2
    )


def mobilenet_v4_conv_large(width_mult: float) -> ModelSpec:
    """MobileNetV4-Conv-Large (Table 14)."""
    return _build(
        "mobilenet_v4_conv_large", CONV_LARGE, 24, width_mult, resolution=384, dropout=0.2
    )


def mobilenet_v4_hybrid_medium(width_mult: float) -> ModelSpec:
    """MobileNetV4-Hybrid-Medium (released code)."""
    return _build(
        "mobilenet_v4_hybrid_medium",
        HYBRID_MEDIUM,
        32,
        width_mult,
        resolution=256,
        dropout=0.2,
        layer_scale=True,
    )


def mobilenet_v4_hybrid_large(width_mult: float) -> ModelSpec:
    """MobileNetV4-Hybrid-Large (released code), with GELU."""
    return _build(
        "mobilenet_v4_hybrid_large",
        HYBRID_LARGE,
        24,
        width_mult,
        resolution=384,
        act="gelu",
        dropout=0.2,
        layer_scale=True,
    )


def _build(
    name: str,
    table: Sequence[_Row],
    stem_channels: int,
    width_mult: float,
    *,
    resolution: int = 224,
    act: Activation = "relu",
    dropout: float,
    layer_scale: bool = False,
) -> ModelSpec:
    inputs = stem_channels if width_mult < 1 else make_divisible(stem_channels * width_mult)
    stem = ConvNormAct(3, inputs, stride=2, act=act)
    rows: list[Block] = []
    for row in table:
        block = _row(row, inputs, width_mult, act, layer_scale)
        rows.append(block)
        inputs = out_channels(block, inputs)
    return ModelSpec(
        name=name,
        stem=stem,
        rows=tuple(rows),
        head=ClassifierHead(
            num_classes=1000, hidden_channels=1280, hidden_norm=True, act=act, dropout=dropout
        ),
        resolution=(resolution, resolution),
        width_mult=width_mult,
    )


def _row(row: _Row, inputs: int, width_mult: float, act: Activation, layer_scale: bool) -> Block:
    kind, *columns = row
    numbers = [int(column) for column in columns]
    if kind == "mqa":
        heads, key_channels, kv_stride = numbers
        return MobileAttention(heads, key_channels, kv_stride, layer_scale=layer_scale)
    *_, at_one, stride = numbers
    channels = make_divisible(at_one * width_mult)
    residual = stride == 1 and inputs == channels
    if kind == "conv":
        return ConvNormAct(numbers[0], channels, stride, act)
    if kind == "fused":
        kernel_size, expansion, *_ = numbers
        expanded = make_divisible(inputs * expansion)
        return FusedInvertedResidual(kernel_size, expanded, channels, stride, act, residual)
    start, middle, expansion, *_ = numbers
    return UniversalInvertedBottleneck(
        start,
        middle,
        make_divisible(inputs * expansion),
        channels,
        stride,
        act,
        residual,
        layer_scale,
    )
