"""timm's nets, their weights mapped over, give the same answers here."""

import pytest
import timm
import torch

from mobilens.nn.backbone import build
from mobilens.nn.weights import apply_pretrained, fit_state_dict
from mobilens.spec.zoo import build_spec

from .reference import difference, fill, images, randomise, relative_difference

CASES = [
    ("mobilenetv1_100", "mobilenet_v1", 1.0),
    ("mobilenetv1_125", "mobilenet_v1", 1.25),
    ("mobilenetv2_035", "mobilenet_v2", 0.35),
    ("mobilenetv2_050", "mobilenet_v2", 0.5),
    ("mobilenetv2_075", "mobilenet_v2", 0.75),
    ("mobilenetv2_100", "mobilenet_v2", 1.0),
    ("mobilenetv2_140", "mobilenet_v2", 1.4),
    ("mobilenetv3_large_075", "mobilenet_v3_large", 0.75),
    ("mobilenetv3_large_100", "mobilenet_v3_large", 1.0),
    ("mobilenetv3_small_050", "mobilenet_v3_small", 0.5),
    ("mobilenetv3_small_075", "mobilenet_v3_small", 0.75),
    ("mobilenetv3_small_100", "mobilenet_v3_small", 1.0),
    ("tf_mobilenetv3_large_075", "mobilenet_v3_large", 0.75),
    ("tf_mobilenetv3_large_100", "mobilenet_v3_large", 1.0),
    ("tf_mobilenetv3_large_minimal_100", "mobilenet_v3_large_minimalistic", 1.0),
    ("tf_mobilenetv3_small_075", "mobilenet_v3_small", 0.75),
    ("tf_mobilenetv3_small_100", "mobilenet_v3_small", 1.0),
    ("tf_mobilenetv3_small_minimal_100", "mobilenet_v3_small_minimalistic", 1.0),
    ("mobilenetv4_conv_small_035", "mobilenet_v4_conv_small", 0.35),
    ("mobilenetv4_conv_small_050", "mobilenet_v4_conv_small", 0.5),
    ("mobilenetv4_conv_small", "mobilenet_v4_conv_small", 1.0),
    ("mobilenetv4_conv_medium", "mobilenet_v4_conv_medium", 1.0),
    ("mobilenetv4_conv_large", "mobilenet_v4_conv_large", 1.0),
    ("mobilenetv4_hybrid_medium", "mobilenet_v4_hybrid_medium", 1.0),
    ("mobilenetv4_hybrid_medium_075", "mobilenet_v4_hybrid_medium", 0.75),
    ("mobilenetv4_hybrid_large", "mobilenet_v4_hybrid_large", 1.0),
    ("mobilenetv4_hybrid_large_075", "mobilenet_v4_hybrid_large", 0.75),
]


@pytest.mark.parametrize(("reference", "name", "width"), CASES)
def test_same_answers(reference, name, width):
    theirs = randomise(timm.create_model(reference))
    port = reference.startswith("tf_")
    spec = build_spec(
        name,
        width_mult=width,
        padding="same" if port else "symmetric",
        bn_eps=1e-3 if port else 1e-5,
    )
    ours = fill(spec, theirs.state_dict())
    assert spec.cost().params == sum(p.numel() for p in theirs.parameters())
    for resolution in (96, 97):
        assert difference(ours, theirs, resolution) < 1e-5


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("mobilenetv2_050", "mobilenet_v2"),
        ("mobilenetv3_small_100", "mobilenet_v3_small"),
        ("mobilenetv4_conv_small", "mobilenet_v4_conv_small"),
        ("mobilenetv4_hybrid_medium", "mobilenet_v4_hybrid_medium"),
    ],
)
@pytest.mark.parametrize("output_stride", [8, 16])
def test_same_features_at_other_output_strides(reference, name, output_stride):
    theirs = randomise(timm.create_model(reference))
    dense = timm.create_model(reference, features_only=True, output_stride=output_stride).eval()
    dense.load_state_dict(theirs.state_dict(), strict=False)
    width = 0.5 if reference.endswith("_050") else 1.0
    asked = build_spec(name, width_mult=width, output_stride=output_stride)
    weights = fit_state_dict(theirs.state_dict(), asked)
    ours = build(weights.model).eval()
    apply_pretrained(ours, weights)
    x = images(97).double()
    with torch.inference_mode():
        features = ours.double().backbone(x)[-1]
        assert relative_difference(features, dense.double()(x)[-1]) < 1e-5
