"""Every task's nets answer alike in every format, alone and in a batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mobilens.cli import main
from mobilens.exporting.bundle import export_checkpoint
from mobilens.exporting.targets import TARGETS
from mobilens.nn.checkpoint import Checkpoint
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.predictor import BundlePredictor
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec
from mobilens.tasks import build_trained, torch_task
from mobilens.tasks.normalise import Normalise
from mobilens.tasks.predictor import TorchPredictor
from mobilens.vision.tasks import TASKS, task_vision

pytestmark = pytest.mark.slow

# Task, head, backbone, classes: each head of each task but the classifiers, whose tests are many.
NETS = [
    ("detect", "anchor_free", "mobilenet_v3_small", 3),
    ("detect", "anchor_free", "mobilenet_v4_hybrid_medium", 3),
    ("detect", "ssdlite", "mobilenet_v2", 3),
    ("segment", "lraspp", "mobilenet_v3_small", 4),
    ("segment", "deeplab", "mobilenet_v2", 2),
    ("keypoints", "heatmap", "mobilenet_v3_small", 4),
    ("embed", "arcface", "mobilenet_v3_large", 4),
    ("embed", "cosface", "mobilenet_v2", 4),
]
RUN = [name for name in TARGETS if not TARGETS[name].unproven]
SIZE = (64, 96)


def test_every_head_of_these_tasks_is_here():
    heads = {(task, head) for task, head, *_ in NETS}
    for task in TASKS:
        if task != "classify":
            assert {(task, head) for head in task_vision(task).HEADS} <= heads


def photos(count):
    """Noise of another tint and brightness in each image."""
    stream = np.random.default_rng(0)
    tints = stream.uniform(0.1, 1, (count, 1, 1, 3))
    return (tints * stream.integers(0, 256, (count, *SIZE, 3))).astype(np.uint8)


@pytest.fixture(scope="module", params=NETS, ids=lambda net: f"{net[1]} on {net[2]}")
def checkpoint(request):
    """A small net whose answers differ from image to image."""
    task, head, name, classes = request.param
    torch.manual_seed(0)
    spec = TaskSpec(task, tuple("abcd"[:classes]), Preprocessing(size=SIZE, resize="letterbox"))
    model = build_spec(name, width_mult=0.35, resolution=SIZE)
    stride = task_vision(task).OUTPUT_STRIDE
    model = (model.with_output_stride(stride) if stride else model).with_head(head, classes)
    net = torch_task(task).build_net(model)
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        # Statistics near those of what passes: what hardly varies would blow rounding up.
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        net.train()(Normalise(spec.preprocessing)(torch.from_numpy(photos(32))))
        for module in net.head.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_var.clamp_(min=0.5)
        if head == "anchor_free":  # sure of some things, and not that there is nothing
            for layer in net.head.classes:
                layer.weight.normal_(0, 0.3, generator=stream)
                layer.bias.fill_(-2)
            # Boxes far smaller than cells: of those that overlap by any amount, the last digit
            # would decide which is suppressed (tests/unit/test_onnx_selection.py has these).
            for layer in net.head.sides:
                bins = model.head.bins
                layer.bias.copy_(-3.0 * torch.arange(bins).repeat(4))
        if head == "heatmap":  # sure of some places
            net.head.maps.weight.normal_(0, 2, generator=stream)
    return Checkpoint(model, spec, net.state_dict())


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_answers_as_its_checkpoint(checkpoint, target, tmp_path):
    path = tmp_path / f"model{FORMATS[target].suffix}"
    export_checkpoint(checkpoint, path, None, target=target)
    if target not in RUN:
        return
    spec, pixels = checkpoint.task, photos(5)
    vision = task_vision(spec.kind)
    trained = TorchPredictor(build_trained(checkpoint), spec)
    expected = vision.decode(trained.forward(pixels), spec)
    predictor = BundlePredictor(path)
    together = vision.decode(predictor.forward(pixels), spec)
    alone = [vision.decode(predictor.forward(pixels[i : i + 1]), spec)[0] for i in range(5)]
    assert vision.difference(expected[0], expected[1]) > 1e-3
    for given in (together, alone):
        for answer, wanted in zip(given, expected, strict=True):
            assert vision.agree(answer, wanted)
            assert vision.difference(answer, wanted) < 1e-3


@pytest.mark.parametrize("target", ["onnx", "openvino", "litert"])
@pytest.mark.parametrize("checkpoint", [NETS[0], NETS[2]], indirect=True)
def test_boxes_of_a_file_may_be_chosen_whatever_their_class(checkpoint, target, tmp_path, capsys):
    checkpoint.save(tmp_path / "best.safetensors")
    path = tmp_path / f"model{FORMATS[target].suffix}"
    options = ["--class-agnostic", "--no-data", "--to", target, "--out", str(path)]
    assert main(["export", str(tmp_path / "best.safetensors"), *options]) == 0
    assert "verified on patterns" in capsys.readouterr().out
    spec = replace(checkpoint.task, class_agnostic=True)
    predictor = BundlePredictor(path)
    assert predictor.task == spec
    vision, pixels = task_vision("detect"), photos(5)
    raw = TorchPredictor(build_trained(checkpoint), spec).forward(pixels)
    wanted = vision.decode(raw, spec)
    assert max(map(len, wanted)) > 0
    assert any(map(vision.difference, wanted, vision.decode(raw, checkpoint.task)))
    together = vision.decode(predictor.forward(pixels), spec)
    alone = vision.decode(predictor.forward(pixels[2:3]), spec)
    for answer, one in zip([*together, *alone], [*wanted, wanted[2]], strict=True):
        assert vision.agree(answer, one)
        assert vision.difference(answer, one) < 1e-3


@pytest.mark.parametrize("options", [["--no-data"], ["--no-data", "--to", "all"], ["--fastest"]])
def test_only_boxes_can_be_chosen_whatever_their_class(options, tmp_path, capsys):
    spec = TaskSpec("classify", ("a", "b"), Preprocessing(size=(32, 32)))
    model = build_spec("mobilenet_v3_small", width_mult=0.35, num_classes=2, resolution=32)
    net = torch_task("classify").build_net(model)
    Checkpoint(model, spec, net.state_dict()).save(tmp_path / "best.safetensors")
    command = ["export", str(tmp_path / "best.safetensors"), "--class-agnostic"]
    assert main([*command, *options]) == 2
    assert capsys.readouterr().err == (
        "mobilens export: class-agnostic means nothing to the task 'classify', which answers no "
        "boxes\n"
        "  expected: --task detect, whose boxes are chosen among all\n"
        "  try: leave --class-agnostic out\n"
    )
