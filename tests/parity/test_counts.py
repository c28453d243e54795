"""Params and MACs from the spec alone are those of timm's nets, also at widths without a name."""

import pytest
import torch
from timm.models import efficientnet, mobilenetv3
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import mobilenetv3 as torchvision_v3

from mobilens.spec.zoo import build_spec

V2 = (efficientnet._gen_mobilenet_v2, "mobilenetv2_100", "mobilenet_v2")
V3_LARGE = (mobilenetv3._gen_mobilenet_v3, "mobilenetv3_large_100", "mobilenet_v3_large")
V3_SMALL = (mobilenetv3._gen_mobilenet_v3, "mobilenetv3_small_100", "mobilenet_v3_small")
V4_SMALL = (mobilenetv3._gen_mobilenet_v4, "mobilenetv4_conv_small", "mobilenet_v4_conv_small")
V4_MEDIUM = (mobilenetv3._gen_mobilenet_v4, "mobilenetv4_conv_medium", "mobilenet_v4_conv_medium")
V4_HYBRID = (
    mobilenetv3._gen_mobilenet_v4,
    "mobilenetv4_hybrid_medium",
    "mobilenet_v4_hybrid_medium",
)

CASES = [
    (V2, 0.35, 160),
    (V2, 0.6, 161),
    (V2, 1.3, 96),
    (V3_LARGE, 0.35, 160),
    (V3_LARGE, 0.75, 161),
    (V3_SMALL, 0.35, 96),
    (V3_SMALL, 0.6, 224),
    (V3_SMALL, 0.75, 161),
    (V4_SMALL, 0.35, 160),
    (V4_SMALL, 1.5, 161),
    (V4_MEDIUM, 0.5, 128),
    (V4_HYBRID, 0.75, 161),
]


def macs(net, resolution):
    for module in net.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # the counter does not see inside the fused one
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net.eval()(torch.zeros(1, 3, resolution, resolution))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(("net", "width", "resolution"), CASES)
def test_same_counts(net, width, resolution):
    make, variant, name = net
    theirs = make(variant, channel_multiplier=width)
    cost = build_spec(name, width_mult=width, resolution=resolution).cost()
    assert cost.params == sum(p.numel() for p in theirs.parameters())
    assert cost.macs == macs(theirs, resolution)


@pytest.mark.parametrize("net", [V3_LARGE, V3_SMALL])
def test_above_width_one_only_the_penultimate_layer_differs(net):
    """The released code and Keras widen it; timm does not, so its head is given our width."""
    make, variant, name = net
    spec = build_spec(name, width_mult=1.25, resolution=160)
    theirs = make(variant, channel_multiplier=1.25)
    hidden = spec.head.hidden_channels
    theirs.conv_head = torch.nn.Conv2d(spec.feature_channels, hidden, 1)
    theirs.classifier = torch.nn.Linear(hidden, 1000)
    cost = spec.cost()
    assert cost.params == sum(p.numel() for p in theirs.parameters())
    assert cost.macs == macs(theirs, 160)


@pytest.mark.parametrize("name", ["mobilenet_v3_large", "mobilenet_v3_small"])
@pytest.mark.parametrize("width", [0.03, 0.1, 0.35, 0.6, 1.25])
def test_torchvisions_rule(name, width):
    """At small widths an expansion comes to nothing, and torchvision leaves it out."""
    rows, last = torchvision_v3._mobilenet_v3_conf(name, width_mult=width)
    theirs = torchvision_v3.MobileNetV3(rows, last)
    cost = build_spec(name, width_mult=width, width_rule="torchvision", resolution=96).cost()
    assert cost.params == sum(p.numel() for p in theirs.parameters())
    assert cost.macs == macs(theirs, 96)
