"""torchvision's MobileNetV2 and V3."""

from __future__ import annotations

from mobilens.nn.weights.layouts.layout import Layout

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

TORCHVISION_V2 = Layout(
    name="torchvision",
    mark=r"^features\.1\.conv\.0\.0\.weight$",
    stem=(("conv", "features.0.0"), ("norm", "features.0.1")),
    row="features.{n}.conv.",
    rows={
        "inverted_residual": (
            ("expand.conv", "{row}0.0"),
            ("expand.norm", "{row}0.1"),
            ("depthwise.conv", "{row}1.0"),
            ("depthwise.norm", "{row}1.1"),
            ("project.conv", "{row}2"),
            ("project.norm", "{row}3"),
        ),
        "inverted_residual, no expansion": (
            ("depthwise.conv", "{row}0.0"),
            ("depthwise.norm", "{row}0.1"),
            ("project.conv", "{row}1"),
            ("project.norm", "{row}2"),
        ),
    },
    head=(
        ("conv.conv", "features.{last}.0"),
        ("conv.norm", "features.{last}.1"),
        ("classifier", "classifier.1"),
    ),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
)

TORCHVISION_V3 = Layout(
    name="torchvision",
    mark=r"^features\.1\.block\.0\.0\.weight$",
    stem=(("conv", "features.0.0"), ("norm", "features.0.1")),
    row="features.{n}.block.",
    rows={
        "conv": (("conv", "features.{n}.0"), ("norm", "features.{n}.1")),
        "inverted_residual": (
            ("expand.conv", "{row}0.0"),
            ("expand.norm", "{row}0.1"),
            ("depthwise.conv", "{row}1.0"),
            ("depthwise.norm", "{row}1.1"),
            ("project.conv", "{row}2.0"),
            ("project.norm", "{row}2.1"),
        ),
        "inverted_residual, squeeze-excite": (
            ("expand.conv", "{row}0.0"),
            ("expand.norm", "{row}0.1"),
            ("depthwise.conv", "{row}1.0"),
            ("depthwise.norm", "{row}1.1"),
            ("squeeze_excite.reduce", "{row}2.fc1"),
            ("squeeze_excite.expand", "{row}2.fc2"),
            ("project.conv", "{row}3.0"),
            ("project.norm", "{row}3.1"),
        ),
        "inverted_residual, no expansion": (
            ("depthwise.conv", "{row}0.0"),
            ("depthwise.norm", "{row}0.1"),
            ("project.conv", "{row}1.0"),
            ("project.norm", "{row}1.1"),
        ),
        "inverted_residual, no expansion, squeeze-excite": (
            ("depthwise.conv", "{row}0.0"),
            ("depthwise.norm", "{row}0.1"),
            ("squeeze_excite.reduce", "{row}1.fc1"),
            ("squeeze_excite.expand", "{row}1.fc2"),
            ("project.conv", "{row}2.0"),
            ("project.norm", "{row}2.1"),
        ),
    },
    head=(("hidden.0", "classifier.0"), ("classifier", "classifier.3")),
    bn_eps=1e-3,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
)
