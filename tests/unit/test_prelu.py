"""PReLU: a slope a channel, counted where it stands, kept by weights, traced as one operator."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from tests.unit.test_graph import answers, checkpoint_of, photos
from torch import nn

from mobilens.errors import ExportError
from mobilens.exporting.bundle import export_checkpoint
from mobilens.exporting.onnx import build_onnx
from mobilens.graph import ops
from mobilens.graph.pixels import fold_normalisation
from mobilens.graph.rewrite import simplify
from mobilens.graph.run import run_op
from mobilens.graph.slopes import prelu_by_sums
from mobilens.graph.trace import trace
from mobilens.nn.backbone import build
from mobilens.nn.checkpoint import Checkpoint
from mobilens.nn.weights import balance_filters, recover_batchnorm
from mobilens.spec import blocks
from mobilens.spec.heads import ClassifierHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec
from mobilens.tasks import TASKS, register_task, torch_task

ROWS = [
    blocks.ConvNormAct(3, 12, act="prelu"),
    blocks.Depthwise(3),
    blocks.DepthwiseSeparable(3, 12, act="prelu"),
    blocks.InvertedResidual(3, 24, 12, act="prelu", squeeze_channels=4),
    blocks.InvertedResidual(3, 8, 12, act="prelu", expand=False),
    blocks.FusedInvertedResidual(3, 24, 12, act="prelu"),
    blocks.UniversalInvertedBottleneck(3, 5, 24, 12, act="prelu"),
    blocks.UniversalInvertedBottleneck(0, 0, 24, 12, act="prelu"),
]


def slopes(net):
    return [module for module in net.modules() if isinstance(module, nn.PReLU)]


def params(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)
def test_a_block_counts_its_slopes(row):
    head = ClassifierHead(3, conv_channels=16, hidden_channels=20, act="prelu")
    for hidden_norm in (False, True):
        spec = ModelSpec(
            "one_row",
            blocks.ConvNormAct(3, 8, stride=2, act="prelu"),
            (row,),
            replace(head, hidden_norm=hidden_norm),
            resolution=(16, 16),
        )
        net = build(spec)
        assert params(net) == spec.cost().params
        assert len(slopes(net)) >= 4  # stem, row, and two of the head
        assert spec.cost().macs == replace(spec, rows=(replace(row, act="relu"),)).cost().macs
        with torch.inference_mode():
            assert net.eval()(torch.zeros(1, 3, 16, 16)).shape == (1, 3)


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("detect", "anchor_free"),
        ("detect", "ssdlite"),
        ("segment", "lraspp"),
        ("segment", "deeplab"),
        ("keypoints", "heatmap"),
        ("embed", "arcface"),
    ],
)
def test_a_head_counts_its_slopes(task, kind):
    model = build_spec("mobilenet_v2", width_mult=0.35, resolution=64).with_head(kind, 3)
    activations = {name for name in ("act", "conv_act") if hasattr(model.head, name)}
    model = replace(model, head=replace(model.head, **dict.fromkeys(activations, "prelu")))
    net = torch_task(task).build_net(model)
    assert slopes(net)
    # What a loss alone reads is counted nowhere.
    assert params(net.backbone) + params(net.head) == model.cost().params


def test_slopes_begin_as_in_the_paper():
    found = slopes(build(build_spec("mobilefacenet", width_mult=0.25, resolution=32)))
    assert len(found) == 33  # of stem, second layer, 15 bottlenecks and the last convolution
    for module in found:
        assert (module.weight == 0.25).all()


def test_statistics_are_recovered_and_filters_balanced_with_the_same_answers():
    torch.manual_seed(0)
    net = build(build_spec("mobilefacenet", width_mult=0.25, resolution=32, num_classes=4)).eval()
    for module in slopes(net):
        nn.init.uniform_(module.weight, -0.2, 0.6)
    before = [module.weight.clone() for module in slopes(net)]
    images = torch.randn(8, 3, 32, 32)
    with torch.inference_mode():
        expected = net(images)
    recover_batchnorm(net, [images])
    balance_filters(net)
    with torch.inference_mode():
        assert torch.allclose(net(images), expected, rtol=1e-3, atol=1e-5)
    for module, slope in zip(slopes(net), before, strict=True):
        assert torch.equal(module.weight, slope)


def test_a_net_has_one_operator_for_each():
    graph = simplify(trace(checkpoint_of("mobilefacenet")))
    found = [op for op in graph.ops if isinstance(op, ops.Prelu)]
    assert len(found) == 33
    makers = graph.maker()
    for op in found:
        maker = makers[op.inputs[0]]
        assert isinstance(maker, ops.Conv)
        assert maker.clamp == ops.UNCLAMPED
        assert op.slope.shape == (len(maker.weight),)
    assert {type(op).__name__ for op in graph.ops} == {
        *("Normalise", "Conv", "Prelu", "Add", "Mean", "Reshape", "Linear", "Softmax")
    }


def test_it_bends_each_channel_by_its_own_slope():
    op = ops.Prelu(inputs=("x",), output="y", slope=np.array([0.5, -1], np.float32))
    x = torch.tensor([-2.0, 3.0]).view(1, 1, 1, 2).expand(1, 2, 1, 2)
    assert run_op(op, x).flatten().tolist() == [-1, 3, 2, 3]


def test_by_sums_it_is_the_same_function(tmp_path):
    checkpoint = checkpoint_of("mobilefacenet")
    graph = simplify(trace(checkpoint))
    sums = prelu_by_sums(graph)
    assert sums.count()["Prelu"] == 0
    assert sums.count()["Scale"] == 2 * graph.count()["Prelu"] == 66
    pixels = photos(2, (64, 64))
    np.testing.assert_allclose(answers(sums, pixels), answers(graph, pixels), atol=1e-6)
    # The way of ONNX Runtime's files, and not of OpenVINO's, which are read from ONNX too.
    export_checkpoint(checkpoint, tmp_path / "model.onnx", None)
    nodes = onnx.load(tmp_path / "model.onnx").graph.node
    assert "PRelu" not in {node.op_type for node in nodes}
    assert b"PRelu" in build_onnx(fold_normalisation(graph))


class Bent(nn.Module):
    """One slope for all channels, of an image or of a vector."""

    def __init__(self, *, vector):
        super().__init__()
        self.act = nn.PReLU(init=0.5)
        self.vector = vector

    def forward(self, images):
        return self.act(images.mean((2, 3)) if self.vector else images)


class Bending:
    """A task whose net does nothing else."""

    kind = "bend"

    def __init__(self, *, vector):
        self.vector = vector

    def build_net(self, _):
        return Bent(vector=self.vector)

    def answers(self, raw):
        return {"bent": raw}


def bent(monkeypatch, *, vector):
    monkeypatch.setattr("mobilens.tasks.TASKS", dict(TASKS))
    register_task("bend", Bending(vector=vector))
    model = build_spec("mobilenet_v2", num_classes=3, resolution=8)
    task = TaskSpec("bend", ("a", "b", "c"), Preprocessing(size=(8, 8)))
    return trace(Checkpoint(model, task, {"act.weight": torch.tensor([0.5])}))


def test_one_slope_for_all_channels_is_written_for_each(monkeypatch):
    (found,) = (op for op in bent(monkeypatch, vector=False).ops if isinstance(op, ops.Prelu))
    assert found.slope.tolist() == [0.5] * 3


def test_a_vector_is_refused(monkeypatch):
    with pytest.raises(ExportError, match=r"PReLU reads a value of shape \(3,\)") as caught:
        bent(monkeypatch, vector=True)
    assert caught.value.expected == "an image"
