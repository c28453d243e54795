"""Heads of detection: what the papers' nets cost, where heads read, and what is refused."""

import json
from dataclasses import replace

import pytest
import torch

from mobilens.errors import SpecError, UnknownNameError
from mobilens.nn.backbone import Backbone
from mobilens.spec.heads import AnchorFreeHead, SsdLiteHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.taps import STEM, Tap
from mobilens.spec.zoo import build_spec, list_models
from mobilens.tasks import torch_task


def detector(name, kind, classes=7, resolution=64, **options):
    return build_spec(name, resolution=resolution, **options).with_head(kind, classes)


@pytest.mark.parametrize(
    ("name", "labels", "params", "macs"),
    [
        # Of the released detectors, whose labels count the background too.
        ("mobilenet_v1", 81, 5_100_661, 1_309_162_944),
        ("mobilenet_v2", 81, 4_337_013, 788_830_144),
        ("mobilenet_v2", 91, 4_500_543, 804_397_504),
        ("mobilenet_v3_large", 91, 5_006_735, 613_143_104),
        ("mobilenet_v3_small", 91, 2_518_271, 210_417_856),
    ],
)
def test_ssdlite_costs_what_the_released_detectors_do(name, labels, params, macs):
    model = detector(name, "ssdlite", labels - 1, resolution=320)
    cost = replace(model, head=replace(model.head, first_boxes=3)).cost()
    assert (cost.params, cost.macs) == (params, macs)


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("mobilenet_v3_large", 3_248_255, 506_563_904),
        ("mobilenet_v3_small", 1_785_743, 162_303_424),
    ],
)
def test_a_reduced_tail_costs_what_the_released_ones_do(name, params, macs):
    model = detector(name, "ssdlite", 90, resolution=320, reduced_tail=True)
    cost = replace(model, head=replace(model.head, first_boxes=3)).cost()
    assert (cost.params, cost.macs) == (params, macs)


@pytest.mark.parametrize(
    ("reduced_tail", "params", "macs"),
    [(False, 5_198_540, 689_751_104), (True, 3_440_060, 583_171_904)],
)
def test_ssdlite_with_six_boxes_everywhere_costs_what_torchvisions_does(reduced_tail, params, macs):
    model = detector("mobilenet_v3_large", "ssdlite", 90, resolution=320, reduced_tail=reduced_tail)
    assert (model.cost().params, model.cost().macs) == (params, macs)


def test_only_v3_has_a_reduced_tail():
    with pytest.raises(SpecError, match="mobilenet_v2 with a reduced tail"):
        build_spec("mobilenet_v2", reduced_tail=True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in list_models()
        for kind in ("anchor_free", "ssdlite")
        if (name, kind) != ("mobilefacenet", "ssdlite")  # refused: see the last test
    ],
)
def test_a_detector_costs_what_its_spec_says(name, kind):
    model = detector(name, kind, width_mult=0.35)
    net = torch_task("detect").build_net(model)
    assert sum(p.numel() for p in net.parameters()) == model.cost().params
    with torch.inference_mode():
        raw = net.eval()(torch.zeros(2, 3, 64, 64))
        answers = torch_task("detect").answers(raw)
    cells = answers["boxes"].shape[1]
    assert answers["boxes"].shape == (2, cells, 4)
    assert answers["scores"].shape == (2, cells, 7)


@pytest.mark.parametrize("kind", ["anchor_free", "ssdlite"])
def test_json_round_trip_keeps_the_head(kind):
    model = detector("mobilenet_v2", kind)
    assert ModelSpec.from_json(json.dumps(model.to_json())) == model


def test_an_expansion_can_be_read_without_being_computed_twice():
    model = build_spec("mobilenet_v2", width_mult=0.35, resolution=64)
    taps = (Tap(13, expanded=True), Tap(13), Tap(STEM))
    backbone = Backbone(model, taps).eval()
    plain = Backbone(model).eval()
    plain.load_state_dict(backbone.state_dict())
    calls = []
    backbone.blocks[13].expand.register_forward_hook(lambda *_: calls.append(1))
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        inner, outer, stem = backbone(images)
        features, plain_stem = plain(images), plain.stem(images)
    assert len(calls) == 1
    assert inner.shape[1] == model.rows[13].expanded_channels == backbone.channels[0]
    assert backbone.strides == (16, 32, 2)
    assert torch.equal(stem, plain_stem)
    assert outer.shape[2:] == features[-1].shape[2:]


def test_heads_that_cannot_be_built_are_refused():
    model = build_spec("mobilenet_v2", resolution=64)
    with pytest.raises(UnknownNameError, match="no head is named 'anchorfree'"):
        model.with_head("anchorfree", 3)
    for head, words in {
        AnchorFreeHead(3, strides=(8, 32)): r"head \(anchor_free\): strides are \(8, 32\)",
        AnchorFreeHead(3, strides=(64, 128)): "the backbone has none of the head's strides",
        AnchorFreeHead(3, bins=1): "bins is 1",
        AnchorFreeHead(0): "num_classes is 0",
        SsdLiteHead(3, first_boxes=4): "first_boxes is 4",
        SsdLiteHead(3, extras=(1,)): r"extras are \(1,\)",
    }.items():
        with pytest.raises(SpecError, match=words):
            replace(model, head=head)
    for shallow in (build_spec("mobilefacenet"), build_spec("mobilenet_v2", output_stride=16)):
        with pytest.raises(SpecError, match=r"\(ssdlite\): the model has no feature of stride 32"):
            shallow.with_head("ssdlite", 3)
    with pytest.raises(
        SpecError, match=r"resolution is \(72, 64\).*multiples of 32.*\(64, 64\)|64"
    ):
        torch_task("detect").build_net(detector("mobilenet_v2", "anchor_free", resolution=(72, 64)))
    with pytest.raises(SpecError, match="the model's head is of the kind 'classifier'"):
        torch_task("detect").build_net(model)
