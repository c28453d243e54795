"""SSDLite against torchvision's: the same weights give the same boxes and scores."""

from dataclasses import replace

import pytest
import torch

from mobilens.nn.weights import load_pretrained
from mobilens.nn.weights.torchvision_ssdlite import from_torchvision, is_torchvision
from mobilens.spec.heads import ClassifierHead
from mobilens.spec.zoo import build_spec
from mobilens.tasks import torch_task

detection = pytest.importorskip("torchvision.models.detection")


@torch.no_grad()
def test_torchvisions_weights_give_torchvisions_answers(tmp_path):
    torch.manual_seed(0)
    # Without a classifier's weights their tail is reduced, as in those that they publish.
    theirs = detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=21
    )
    stream = torch.Generator().manual_seed(1)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=stream)
            module.running_var.uniform_(0.5, 1.5, generator=stream)
            module.weight.uniform_(0.8, 1.2, generator=stream)
            module.bias.normal_(0, 0.1, generator=stream)
    theirs.eval()
    model = build_spec(
        "mobilenet_v3_large",
        resolution=320,
        width_rule="torchvision",
        reduced_tail=True,
        bn_eps=1e-3,
    ).with_head("ssdlite", 20)
    assert model.cost().params == sum(p.numel() for p in theirs.parameters())
    assert is_torchvision(theirs.state_dict())
    ours = torch_task("detect").build_net(model).eval()
    found = from_torchvision(theirs.state_dict(), model)
    torch.save(theirs.state_dict(), tmp_path / "ssdlite.pth")
    weights = load_pretrained(tmp_path / "ssdlite.pth", replace(model, head=ClassifierHead(1000)))
    assert not weights.classifies
    assert weights.tensors.keys() == found.keys()
    missing, unexpected = ours.load_state_dict(found, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)

    images = torch.rand(2, 3, 320, 320, generator=stream) * 2 - 1
    features = list(theirs.backbone(images).values())
    head = theirs.head(features)
    raw = ours(images)
    for name, key in (("logits", "cls_logits"), ("offsets", "bbox_regression")):
        assert torch.allclose(raw[name], head[key], atol=1e-4, rtol=1e-4), name
    lists = detection.image_list.ImageList(images, [(320, 320)] * 2)
    anchors = theirs.anchor_generator(lists, features)[0]
    assert torch.allclose(raw["anchors"], anchors, atol=1e-3)
    boxes = theirs.box_coder.decode_single(head["bbox_regression"][0], anchors)
    assert torch.allclose(raw["boxes"][0], boxes, atol=1e-2)
    scores = torch.softmax(head["cls_logits"], -1)[..., 1:]
    assert torch.allclose(torch_task("detect").answers(raw)["scores"], scores, atol=1e-5)
