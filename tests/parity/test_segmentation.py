"""LR-ASPP and DeepLabv3 against torchvision's: the same weights give the same scores."""

from dataclasses import replace

import pytest
import torch

from mobilens.nn.weights import load_pretrained
from mobilens.nn.weights.torchvision_segmenters import from_torchvision, is_torchvision
from mobilens.spec.heads import ClassifierHead, DeepLabHead, LrAsppHead
from mobilens.spec.zoo import build_spec
from mobilens.tasks import torch_task

theirs_of = pytest.importorskip("torchvision.models.segmentation")


@pytest.mark.parametrize("name", ["lraspp", "deeplabv3"])
@torch.no_grad()
def test_torchvisions_weights_give_torchvisions_scores(name, tmp_path):
    torch.manual_seed(0)
    build = getattr(theirs_of, f"{name}_mobilenet_v3_large")
    theirs = build(weights=None, weights_backbone=None, num_classes=5)
    stream = torch.Generator().manual_seed(1)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=stream)
            module.running_var.uniform_(0.5, 1.5, generator=stream)
            module.weight.uniform_(0.8, 1.2, generator=stream)
            module.bias.normal_(0, 0.1, generator=stream)
    theirs.eval()
    model = build_spec("mobilenet_v3_large", resolution=(96, 128), width_rule="torchvision")
    model = model.with_output_stride(16, dilate_first=True)
    head = LrAsppHead(5, low_first=True)
    if name == "deeplabv3":
        head = DeepLabHead(5, rates=(12, 24, 36), separable=False, low_channels=0)
    model = replace(model, head=head)
    assert is_torchvision(theirs.state_dict())
    ours = torch_task("segment").build_net(model).eval()
    found = from_torchvision(theirs.state_dict(), model)
    torch.save(theirs.state_dict(), tmp_path / "segmenter.pth")
    weights = load_pretrained(tmp_path / "segmenter.pth", replace(model, head=ClassifierHead(1000)))
    assert not weights.classifies
    assert weights.tensors.keys() == found.keys()
    missing, unexpected = ours.load_state_dict(found, strict=False)
    assert not unexpected
    assert all(key.endswith("num_batches_tracked") for key in missing)
    images = torch.rand(2, 3, 96, 128, generator=stream) * 2 - 1
    given, expected = ours(images), theirs(images)["out"]
    assert expected.std() > 1e-3
    assert torch.allclose(given, expected, atol=1e-4, rtol=1e-4)
