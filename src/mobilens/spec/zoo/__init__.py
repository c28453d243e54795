"""Every architecture by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mobilens.errors import SpecError, UnknownNameError
from mobilens.spec import codec
from mobilens.spec.heads import ClassifierHead
from mobilens.spec.model import MAX_WIDTH_MULT, WIDTH_RULES, ModelSpec, Padding, WidthRule
from mobilens.spec.zoo.mobilefacenet import mobilefacenet
from mobilens.spec.zoo.mobilenet_v1 import mobilenet_v1
from mobilens.spec.zoo.mobilenet_v2 import mobilenet_v2
from mobilens.spec.zoo.mobilenet_v3 import (
    mobilenet_v3_large,
    mobilenet_v3_large_minimalistic,
    mobilenet_v3_small,
    mobilenet_v3_small_minimalistic,
)
from mobilens.spec.zoo.mobilenet_v4 import (
    mobilenet_v4_conv_large,
    mobilenet_v4_conv_medium,
    mobilenet_v4_conv_small,
    mobilenet_v4_hybrid_large,
    mobilenet_v4_hybrid_medium,
)

ZOO: dict[str, Callable[..., ModelSpec]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "mobilenet_v3_small": mobilenet_v3_small,
    "mobilenet_v3_large_minimalistic": mobilenet_v3_large_minimalistic,
    "mobilenet_v3_small_minimalistic": mobilenet_v3_small_minimalistic,
    "mobilenet_v4_conv_small": mobilenet_v4_conv_small,
    "mobilenet_v4_conv_medium": mobilenet_v4_conv_medium,
    "mobilenet_v4_conv_large": mobilenet_v4_conv_large,
    "mobilenet_v4_hybrid_medium": mobilenet_v4_hybrid_medium,
    "mobilenet_v4_hybrid_large": mobilenet_v4_hybrid_large,
    "mobilefacenet": mobilefacenet,
}


def list_models() -> list[str]:
    """Names of every architecture."""
    return list(ZOO)


def build_spec(
    name: str,
    *,
    width_mult: float = 1.0,
    resolution: int | tuple[int, int] | None = None,
    width_rule: WidthRule = "paper",
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float | None = None,
    output_stride: int = 32,
    padding: Padding = "symmetric",
    bn_eps: float = 1e-3,
    reduced_tail: bool = False,
) -> ModelSpec:
    """Build the description of an architecture at a width and a resolution.

    Args:
        name: One of ``list_models()``.
        width_mult: Width multiplier, any positive number up to a million.
        resolution: Input side, or (height, width), pixels; the paper's by default.
        width_rule: ``"paper"`` or ``"torchvision"``; they differ for V3 only. The first is slim's;
            up to width 1 Keras and timm agree with it, above, timm keeps the penultimate layer
            and Keras the stem.
        num_classes: Scores given.
        in_channels: Channels of the input image.
        dropout: Before the classifier, 0 to below 1; the paper's by default.
        output_stride: 32, 16 or 8; strides beyond it become dilation. MobileFaceNet has 16 itself.
        padding: ``"symmetric"``, or ``"same"`` as TensorFlow pads.
        bn_eps: Epsilon of every BatchNorm.
        reduced_tail: For V3: half as many channels after the last stride, as the paper has it for
            detection and segmentation.

    Raises:
        UnknownNameError: No such architecture.
        SpecError: A value is of another type or out of range.
    """
    if name not in ZOO:
        raise UnknownNameError.among("model", name, ZOO)
    width_mult = codec.from_json(float, width_mult, "width multiplier")
    if width_rule not in WIDTH_RULES:
        raise SpecError(f"width rule is {width_rule!r}", expected=" or ".join(WIDTH_RULES))
    if not 0 < width_mult <= MAX_WIDTH_MULT:
        raise SpecError(
            f"width multiplier is {width_mult}",
            expected=f"a number above 0, at most {MAX_WIDTH_MULT:,.0f}",
        )
    makes_v3 = name.startswith("mobilenet_v3")
    if reduced_tail and not makes_v3:
        raise SpecError(f"{name} with a reduced tail", expected="a MobileNetV3")
    spec = (
        ZOO[name](width_mult, width_rule, reduced_tail=reduced_tail)
        if makes_v3
        else ZOO[name](width_mult)
    )
    size = spec.resolution if resolution is None else resolution
    assert isinstance(spec.head, ClassifierHead)
    head = replace(
        spec.head,
        num_classes=num_classes,
        dropout=spec.head.dropout if dropout is None else dropout,
    )
    spec = replace(
        spec,
        head=head,
        resolution=size if isinstance(size, (tuple, list)) else (size, size),
        in_channels=in_channels,
        padding=padding,
        bn_eps=bn_eps,
    )
    # No architecture goes beyond 32, and MobileFaceNet not so far.
    return spec if output_stride == 32 else spec.with_output_stride(output_stride)
