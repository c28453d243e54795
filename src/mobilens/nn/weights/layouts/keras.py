"""Keras applications: MobileNet, MobileNetV2, MobileNetV3 and its minimalistic variants.

Keys are ``layer/variable``, with layer names as ``layer_name`` writes them.
"""

from __future__ import annotations

from dataclasses import replace

from mobilens.nn.weights.layouts.layout import Layout

KERAS_V1 = Layout(
    name="Keras",
    mark=r"^conv_dw_1/",
    stem=(("conv", "conv1"), ("norm", "conv1_bn")),
    rows={
        "depthwise_separable": (
            ("depthwise.conv", "conv_dw_{n}"),
            ("depthwise.norm", "conv_dw_{n}_bn"),
            ("pointwise.conv", "conv_pw_{n}"),
            ("pointwise.norm", "conv_pw_{n}_bn"),
        ),
    },
    head=(("classifier", "conv_preds"),),
    conv={"weight": "kernel", "bias": "bias"},
    norm={
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    },
    separator="/",
    kernels="HWIO",
    padding="same",
    bn_eps=1e-3,
    caveat=(
        "Keras pads MobileNetV1 in a way of its own at sizes that are no multiples of 32, where "
        "answers differ a little from its own"
    ),
    exact_at=32,
)

KERAS_V2 = replace(
    KERAS_V1,
    caveat="",
    mark=r"^bn_conv1/",
    stem=(("conv", "conv1"), ("norm", "bn_conv1")),
    row="block_{i}_",
    first_row="expanded_conv_",
    rows={
        "inverted_residual": (
            ("expand.conv", "{row}expand"),
            ("expand.norm", "{row}expand_bn"),
            ("depthwise.conv", "{row}depthwise"),
            ("depthwise.norm", "{row}depthwise_bn"),
            ("project.conv", "{row}project"),
            ("project.norm", "{row}project_bn"),
        ),
    },
    head=(("conv.conv", "conv_1"), ("conv.norm", "conv_1_bn"), ("classifier", "predictions")),
)

KERAS_V3 = replace(
    KERAS_V1,
    caveat="",
    mark=r"^expanded_conv_1_expand/",
    stem=(("conv", "conv"), ("norm", "conv_bn")),
    row="expanded_conv_{i}_",
    first_row="expanded_conv_",
    rows={
        "conv": (("conv", "conv_1"), ("norm", "conv_1_bn")),
        "inverted_residual": (
            ("expand.conv", "{row}expand"),
            ("expand.norm", "{row}expand_bn"),
            ("depthwise.conv", "{row}depthwise"),
            ("depthwise.norm", "{row}depthwise_bn"),
            ("squeeze_excite.reduce", "{row}squeeze_excite_conv"),
            ("squeeze_excite.expand", "{row}squeeze_excite_conv_1"),
            ("project.conv", "{row}project"),
            ("project.norm", "{row}project_bn"),
        ),
    },
    head=(("hidden.0", "conv_2"), ("classifier", "logits")),
)


def layer_name(name: str) -> str:
    """Write a layer's name as this table does; Keras 2 wrote V3's with slashes and capitals."""
    return name.lower().replace("/batchnorm", "_bn").replace("/", "_")
