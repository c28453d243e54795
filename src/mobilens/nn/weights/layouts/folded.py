"""Nets recovered from TensorFlow Lite files: BatchNorm is folded into convolutions with a bias."""

from __future__ import annotations

from mobilens.nn.weights.layouts.layout import Layout, Pairs


def _unit(ours: str, theirs: str) -> Pairs:
    return (f"{ours}.conv", theirs), (f"{ours}.norm", theirs)


FOLDED = Layout(
    name="folded",
    mark=r"^blocks\.0\.dw\.bias$",
    stem=(("conv", "stem"), ("norm", "stem")),
    row="blocks.{i}.",
    rows={
        "depthwise_separable": (*_unit("depthwise", "{row}dw"), *_unit("pointwise", "{row}pw")),
        "inverted_residual": (
            *_unit("expand", "{row}expand"),
            *_unit("depthwise", "{row}dw"),
            ("squeeze_excite.reduce", "{row}se.reduce"),
            ("squeeze_excite.expand", "{row}se.expand"),
            *_unit("project", "{row}project"),
        ),
        # V3's last convolution, which is a row with us.
        "conv": (("conv", "head"), ("norm", "head")),
    },
    head=(*_unit("conv", "head"), ("hidden.0", "head2"), ("classifier", "classifier")),
    norm={"bias": "bias"},
    padding="same",
    bn_eps=1e-3,
)
