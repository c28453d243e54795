"""What holds for every architecture in the zoo."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mobilens.nn.backbone import build
from mobilens.spec.model import ModelSpec
from mobilens.spec.zoo import build_spec, list_models


@pytest.fixture(params=list_models())
def name(request):
    return request.param


def measured_macs(net, spec):
    images = torch.zeros(1, spec.in_channels, *spec.resolution)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net.eval()(images)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(("width", "resolution"), [(1.0, 64), (0.35, 96), (1.3, 65)])
def test_module_costs_what_the_spec_says(name, width, resolution):
    spec = build_spec(name, width_mult=width, resolution=resolution, num_classes=7)
    net, cost = build(spec), spec.cost()
    assert sum(p.numel() for p in net.parameters()) == cost.params
    assert measured_macs(net, spec) == cost.macs


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("output_stride", [32, 16, 8])
def test_pyramid_has_the_promised_strides_and_channels(name, padding, output_stride):
    spec = build_spec(
        name, width_mult=0.35, resolution=64, output_stride=output_stride, padding=padding
    )
    backbone = build(spec).backbone.eval()
    with torch.inference_mode():
        features = backbone(torch.zeros(1, 3, 64, 64))
    # MobileFaceNet does not go beyond 16.
    assert backbone.strides[-1] == min(output_stride, build_spec(name).output_stride)
    assert [f.shape[1] for f in features] == list(backbone.channels)
    assert [64 // f.shape[2] for f in features] == list(backbone.strides)


def test_json_round_trip_is_exact(name):
    spec = build_spec(name, width_mult=0.7, resolution=(96, 160), num_classes=3, padding="same")
    assert ModelSpec.from_json(json.dumps(spec.to_json())) == spec


def test_channels_last_by_default(name):
    net = build(build_spec(name, width_mult=0.35, resolution=64))
    with torch.inference_mode():
        last = net.eval().backbone(torch.zeros(2, 3, 64, 64))[-1]
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_other_input_channels_and_classes(name):
    spec = build_spec(name, width_mult=0.35, resolution=64, in_channels=1, num_classes=5)
    with torch.inference_mode():
        assert build(spec).eval()(torch.zeros(2, 1, 64, 64)).shape == (2, 5)
