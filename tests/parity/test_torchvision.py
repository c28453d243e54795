"""torchvision's nets, their weights mapped over, give the same answers here."""

import pytest
import torchvision

from mobilens.spec.zoo import build_spec

from .reference import difference, fill, randomise

V2 = [("mobilenet_v2", width, 1e-5) for width in (0.35, 0.5, 1.0, 1.4)]
V3 = [
    (f"mobilenet_v3_{size}", width, 1e-3)
    for size in ("large", "small")
    for width in (0.5, 0.75, 1.0, 1.25)
]


def reference(name, width):
    if name == "mobilenet_v2":
        return torchvision.models.mobilenet_v2(width_mult=width)
    module = torchvision.models.mobilenetv3
    setting, last = module._mobilenet_v3_conf(name, width_mult=width)
    return module.MobileNetV3(setting, last)


@pytest.mark.parametrize(("name", "width", "bn_eps"), V2 + V3)
def test_same_answers(name, width, bn_eps):
    theirs = randomise(reference(name, width))
    spec = build_spec(name, width_mult=width, width_rule="torchvision", bn_eps=bn_eps)
    ours = fill(spec, theirs.state_dict())
    assert spec.cost().params == sum(p.numel() for p in theirs.parameters())
    for resolution in (96, 97):
        assert difference(ours, theirs, resolution) < 1e-5
