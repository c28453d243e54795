"""Weights of nets with other heads: what fits is kept, whatever the task is."""

import pytest
import torch

from mobilens.errors import WeightsError
from mobilens.nn.checkpoint import Checkpoint
from mobilens.nn.weights import apply_backbone, load_pretrained
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec
from mobilens.tasks import torch_task

SIDE = 64


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """The checkpoint of a detector of three classes, and its file."""
    torch.manual_seed(0)
    model = build_spec("mobilenet_v3_small", width_mult=0.35, resolution=SIDE)
    model = model.with_head("anchor_free", 3)
    net = torch_task("detect").build_net(model)
    way = Preprocessing(size=(SIDE, SIDE), resize="letterbox")
    checkpoint = Checkpoint(model, TaskSpec("detect", tuple("abc"), way), net.state_dict())
    path = tmp_path_factory.mktemp("whole") / "detector.safetensors"
    checkpoint.save(path)
    return checkpoint, path


def begun_with(path, task, head, classes):
    """Tensors of a net of a task that begins with a file."""
    torch.manual_seed(1)
    model = build_spec("mobilenet_v3_small", width_mult=0.35, resolution=SIDE)
    weights = load_pretrained(path, model)
    assert not weights.classifies
    net = torch_task(task).build_net(weights.model.with_head(head, classes))
    apply_backbone(net, weights)
    return net.state_dict()


def test_a_detector_goes_on_with_all_that_it_was(detector):
    checkpoint, path = detector
    for name, tensor in begun_with(path, "detect", "anchor_free", 3).items():
        assert torch.equal(tensor, checkpoint.tensors[name])


def test_with_other_classes_all_but_these_is_kept(detector):
    checkpoint, path = detector
    found = begun_with(path, "detect", "anchor_free", 5)
    fresh = {name for name, one in found.items() if one.shape != checkpoint.tensors[name].shape}
    assert fresh == {f"head.classes.{i}.{leaf}" for i in range(3) for leaf in ("weight", "bias")}
    assert torch.equal(
        found["head.lateral.0.conv.weight"], checkpoint.tensors["head.lateral.0.conv.weight"]
    )


def test_a_net_of_another_task_takes_the_body(detector):
    checkpoint, path = detector
    found = begun_with(path, "keypoints", "heatmap", 2)
    kept = [name for name in found if name.startswith("backbone.")]
    assert all(torch.equal(found[name], checkpoint.tensors[name]) for name in kept)


def test_another_body_is_refused(detector):
    _, path = detector
    with pytest.raises(WeightsError) as refused:
        load_pretrained(path, build_spec("mobilenet_v2", width_mult=0.35))
    assert "holds weights of mobilenet_v3_small, width 0.35 (paper rule)" in str(refused.value)
    assert "--model mobilenet_v3_small --width 0.35, which the file is of" in str(refused.value)
