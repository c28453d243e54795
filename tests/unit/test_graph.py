"""A net as a list of operators: the same function, in fewer and fewer of them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mobilens.errors import ExportError
from mobilens.exporting.litert import build_litert
from mobilens.exporting.onnx import build_onnx
from mobilens.graph import ops
from mobilens.graph.gates import hard_swish_by_product
from mobilens.graph.pixels import fold_normalisation, whole_pixels
from mobilens.graph.quantised import HIGHEST, LOWEST, Grid, Quantisation, weight_scales
from mobilens.graph.rewrite import simplify
from mobilens.graph.run import run
from mobilens.graph.trace import trace
from mobilens.nn.backbone import build
from mobilens.nn.checkpoint import Checkpoint
from mobilens.nn.layers import LayerScale
from mobilens.runtime.engines import engine_type
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec, list_models
from mobilens.tasks import TASKS, build_trained, register_task
from mobilens.tasks.normalise import Normalise
from mobilens.tasks.predictor import TorchPredictor

NAMES = ("a", "b", "c")
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def checkpoint_of(name, preprocessing=None, **options):
    """A small net with statistics and scales of its own."""
    torch.manual_seed(0)
    options = {"width_mult": 0.25, "resolution": 64, "num_classes": 3} | options
    model = build_spec(name, **options)
    net = build(model)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, std=0.1)
            module.momentum = None  # the statistics of what it sees
        if isinstance(module, LayerScale):
            nn.init.uniform_(module.scale, 0.2, 0.5)
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.2, 0.6)
    prepared = Preprocessing(size=model.resolution, **(preprocessing or IMAGENET))
    with torch.inference_mode():  # answers that differ, and are not sure
        images = Normalise(prepared)(torch.from_numpy(photos(8, model.resolution)))
        net.train()(images)
        scores = net.eval()(images)
        factor = 1 / scores.std(0)
        net.head.classifier.weight *= factor.view(-1, 1)
        net.head.classifier.bias.copy_(factor * (net.head.classifier.bias - scores.mean(0)))
    return Checkpoint(model, TaskSpec("classify", NAMES, prepared), net.state_dict())


def photos(count, size):
    return np.random.default_rng(1).integers(0, 256, (count, *size, 3), np.uint8)


def answers(graph, pixels):
    with torch.inference_mode():
        return run(graph, torch.from_numpy(pixels))["probabilities"].numpy()


@pytest.mark.parametrize("name", list_models())
def test_traced_and_rewritten_nets_answer_as_the_net(name):
    checkpoint = checkpoint_of(name)
    pixels = photos(3, checkpoint.task.preprocessing.size)
    predictor = TorchPredictor(build_trained(checkpoint), checkpoint.task)
    expected = predictor.forward(pixels)["probabilities"]
    assert expected.std(0).max() > 1e-5
    traced = trace(checkpoint)
    simple = simplify(traced)
    for graph in (
        traced,
        simple,
        fold_normalisation(simple),
        hard_swish_by_product(simple),
    ):
        np.testing.assert_allclose(answers(graph, pixels), expected, atol=1e-4)
        assert set(graph.shapes) == {graph.input, *(op.output for op in graph.ops)}
    left = {op.kind for op in hard_swish_by_product(simple).ops if isinstance(op, ops.Activation)}
    assert left <= {"gelu"}
    assert "Pad" not in simple.count()


def test_odd_sizes_and_tensorflow_padding():
    checkpoint = checkpoint_of(
        "mobilenet_v3_large", resolution=(75, 50), output_stride=16, padding="same"
    )
    pixels = photos(2, (75, 50))
    expected = TorchPredictor(build_trained(checkpoint), checkpoint.task).forward(pixels)
    graph = simplify(trace(checkpoint))
    np.testing.assert_allclose(answers(graph, pixels), expected["probabilities"], atol=1e-5)
    assert any(op.pads[:2] != op.pads[2:] for op in graph.ops if isinstance(op, ops.Conv)), (
        "the sides of TensorFlow's padding differ"
    )


def test_an_image_that_no_filters_read_keeps_its_scale(tmp_path):
    graph = simplify(trace(checkpoint_of("mobilenet_v2")))
    first = graph.ops[0]
    mean = ops.Mean(inputs=(first.output,), output="mean")
    cut = replace(graph, outputs={"colour": "mean"}).with_ops((first, mean), {"mean": (3, 1, 1)})
    folded = fold_normalisation(cut)
    assert dict(folded.count()) == {"Normalise": 1, "Scale": 1, "Mean": 1}
    pixels = photos(1, (64, 64))
    expected = run(cut, torch.from_numpy(pixels))["colour"].numpy()
    np.testing.assert_allclose(run(folded, torch.from_numpy(pixels))["colour"], expected, atol=1e-5)
    for name, data in (("onnxruntime", build_onnx(folded)), ("litert", build_litert(folded))):
        (tmp_path / name).write_bytes(data)
        given = engine_type(name)(tmp_path / name, 1).run(pixels)["colour"]
        np.testing.assert_allclose(given.ravel(), expected.ravel(), atol=1e-4)


def test_whole_pixels_differ_at_the_border_alone():
    checkpoint = checkpoint_of("mobilenet_v2")
    simple = simplify(trace(checkpoint))
    whole = whole_pixels(simple)
    first = whole.ops[0]
    assert isinstance(first, ops.Normalise)
    assert len(set(first.mean)) == 1
    assert 255 * first.mean[0] == pytest.approx(round(255 * first.mean[0]), abs=1e-9)
    stems = {}
    pixels = torch.from_numpy(photos(2, (64, 64)))
    for name, graph in (("exact", simple), ("whole", whole)):
        cut = replace(graph, outputs={"stem": graph.ops[1].output}).with_ops(graph.ops[:2])
        stems[name] = run(cut, pixels)["stem"].numpy()
    difference = np.abs(stems["exact"] - stems["whole"])
    assert difference[:, :, 1:-1, 1:-1].max() < 1e-4
    assert difference.max() > 1e-2


def test_names_tell_the_module_and_come_back():
    checkpoint = checkpoint_of("mobilenet_v3_small")
    names = [op.output for op in simplify(trace(checkpoint)).ops]
    assert names == [op.output for op in simplify(trace(checkpoint)).ops]
    assert {"backbone.stem.conv", "backbone.blocks.0.squeeze_excite.expand", "head.classifier"} <= {
        *names
    }
    assert max(Counter(names).values()) == 1


class Odd:
    """A task whose net calls what no runtime is known to do."""

    kind = "odd"

    class Net(nn.Module):
        def __init__(self, _):
            super().__init__()
            self.number = nn.Parameter(torch.ones(1))

        def forward(self, images):
            return torch.fft.fft(images).real * self.number

    def build_net(self, model):
        return self.Net(model)

    def answers(self, raw):
        return {"odd": raw}


def test_a_call_that_no_file_can_hold_is_named(monkeypatch):
    monkeypatch.setattr("mobilens.tasks.TASKS", dict(TASKS))
    register_task("odd", Odd())
    model = build_spec("mobilenet_v2", num_classes=3, resolution=64)
    task = TaskSpec("odd", NAMES, Preprocessing(size=(64, 64)))
    checkpoint = Checkpoint(model, task, {"number": torch.ones(1)})
    with pytest.raises(ExportError, match=r"the net calls aten\.\S+, which no model file can hold"):
        trace(checkpoint)


@given(
    st.floats(-1e4, 1e4, allow_nan=False, width=32),
    st.floats(-1e4, 1e4, allow_nan=False, width=32),
)
def test_a_grid_holds_zero_and_reaches_both_ends(a, b):
    lowest, highest = min(a, b), max(a, b)
    grid = Grid.covering(lowest, highest)
    assert LOWEST <= grid.zero_point <= HIGHEST
    ends = np.array([0.0, lowest, highest], np.float32)
    back = (grid.encode(ends).astype(np.float64) - grid.zero_point) * grid.scale
    assert back[0] == 0
    assert np.abs(back - ends).max() <= grid.scale * 1.001


@given(st.integers(0, 2**32 - 1))
def test_rounded_filters_are_half_a_step_off_at_most(seed):
    stream = np.random.default_rng(seed)
    weight = stream.normal(size=(4, 3, 1, 1)).astype(np.float32)
    weight[1] *= 1e-9  # a dead channel
    conv = ops.Conv(inputs=("x",), output="y", weight=weight, bias=weight[:, 0, 0, 0])
    scales = weight_scales(conv)
    quantisation = Quantisation({"x": Grid(0.1, 0), "y": Grid(0.1, 3)}, {"y": scales})
    assert quantisation.is_integer(conv)
    back = quantisation.filters(conv) * scales.reshape(-1, 1, 1, 1)
    assert (np.abs(back - weight).reshape(4, -1).max(1) <= scales * 0.501).all()
    bias = quantisation.bias(conv) * scales * 0.1
    assert (np.abs(bias - conv.bias) <= scales * 0.051).all()
    assert not Quantisation({"x": Grid(0.1, 0)}, {"y": scales}).is_integer(conv)
