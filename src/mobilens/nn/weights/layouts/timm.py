"""timm's MobileNets, V1 to V4, hybrids included, and its ports of TensorFlow's (``tf_``)."""

from __future__ import annotations

from dataclasses import replace

from mobilens.nn.weights.layouts.layout import Layout, Pairs


def _uib_unit(ours: str, theirs: str) -> Pairs:
    return (f"{ours}.conv", f"{theirs}.conv"), (f"{ours}.norm", f"{theirs}.bn")


TIMM = Layout(
    name="timm",
    mark=r"^conv_stem\.weight$",
    stem=(("conv", "conv_stem"), ("norm", "bn1")),
    row="blocks.{ordinal}.",
    row_ordinal=r"blocks\.(\d+\.\d+)\.",
    rows={
        "conv": (("conv", "{row}conv"), ("norm", "{row}bn1")),
        "depthwise_separable": (
            ("depthwise.conv", "{row}conv_dw"),
            ("depthwise.norm", "{row}bn1"),
            ("pointwise.conv", "{row}conv_pw"),
            ("pointwise.norm", "{row}bn2"),
        ),
        "inverted_residual": (
            ("expand.conv", "{row}conv_pw"),
            ("expand.norm", "{row}bn1"),
            ("depthwise.conv", "{row}conv_dw"),
            ("depthwise.norm", "{row}bn2"),
            ("squeeze_excite.reduce", "{row}se.conv_reduce"),
            ("squeeze_excite.expand", "{row}se.conv_expand"),
            ("project.conv", "{row}conv_pwl"),
            ("project.norm", "{row}bn3"),
        ),
        "inverted_residual, no expansion": (
            ("depthwise.conv", "{row}conv_dw"),
            ("depthwise.norm", "{row}bn1"),
            ("squeeze_excite.reduce", "{row}se.conv_reduce"),
            ("squeeze_excite.expand", "{row}se.conv_expand"),
            ("project.conv", "{row}conv_pw"),
            ("project.norm", "{row}bn2"),
        ),
        "fused_inverted_residual": (
            ("expand.conv", "{row}conv_exp"),
            ("expand.norm", "{row}bn1"),
            ("project.conv", "{row}conv_pwl"),
            ("project.norm", "{row}bn2"),
        ),
        "universal_inverted_bottleneck": (
            *_uib_unit("start_depthwise", "{row}dw_start"),
            *_uib_unit("expand", "{row}pw_exp"),
            *_uib_unit("middle_depthwise", "{row}dw_mid"),
            *_uib_unit("project", "{row}pw_proj"),
            ("layer_scale", "{row}layer_scale"),
        ),
        "mobile_attention": (
            ("norm", "{row}norm"),
            ("query", "{row}attn.query.proj"),
            ("key_down.conv", "{row}attn.key.down_conv"),
            ("key_down.norm", "{row}attn.key.norm"),
            ("key", "{row}attn.key.proj"),
            ("value_down.conv", "{row}attn.value.down_conv"),
            ("value_down.norm", "{row}attn.value.norm"),
            ("value", "{row}attn.value.proj"),
            ("output", "{row}attn.output.proj"),
            ("layer_scale", "{row}layer_scale"),
        ),
    },
    head=(
        ("conv.conv", "conv_head"),  # V2
        ("conv.norm", "bn2"),
        ("hidden.0", "conv_head"),  # V3
        ("hidden.conv", "conv_head"),  # V4
        ("hidden.norm", "norm_head"),
        ("classifier", "classifier"),
    ),
    conv={"weight": "weight", "bias": "bias", "scale": "gamma"},
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    caveat=(
        "the file does not tell its padding, and is read as timm's own: symmetric padding, "
        "BatchNorm epsilon 1e-5, ImageNet's mean and deviation; the name of a file of timm's tf_ "
        "models must begin with tf_"
    ),
)

TIMM_TF = replace(
    TIMM, padding="same", bn_eps=1e-3, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), caveat=""
)
