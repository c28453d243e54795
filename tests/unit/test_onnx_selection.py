"""Choosing boxes in a graph: what NumPy chooses, for every image of any batch."""

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from mobilens.exporting.onnx_selection import write_selection
from mobilens.graph import ops
from mobilens.graph.run import run_op
from mobilens.vision.boxes import best_boxes

CLASSES = 3


def file_of(op, cells):
    """An ONNX file of nothing but the choice."""
    nodes, constants = [], {}

    def node(kind, inputs, output, more=(), **attributes):
        nodes.append(helper.make_node(kind, inputs, [output, *more], **attributes))
        return output

    def constant(name, values):
        constants[name] = numpy_helper.from_array(values, name)
        return name

    shapes = {"boxes": (cells, 4), "scores": (cells, CLASSES)}
    out = write_selection(op, ["boxes", "scores"], shapes, node, constant)

    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])

    graph = helper.make_graph(
        nodes,
        "selection",
        [info(name, shape) for name, shape in shapes.items()],
        [info(out, (op.most, 6))],
        list(constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return model.SerializeToString()


def by_onnxruntime(op, cells):
    session = onnxruntime.InferenceSession(file_of(op, cells))
    return lambda boxes, scores: session.run(None, {"boxes": boxes, "scores": scores})[0]


def by_openvino(op, cells):
    core = openvino.Core()
    float32 = {"INFERENCE_PRECISION_HINT": "f32"}
    model = core.compile_model(core.read_model(file_of(op, cells)), "CPU", float32)
    return lambda boxes, scores: model({"boxes": boxes, "scores": scores})[0]


def by_torch(op, cells):  # noqa: ARG001
    return lambda boxes, scores: run_op(op, *map(torch.from_numpy, (boxes, scores))).numpy()


def crowded(images, places, each):
    """Boxes that share a place nearly whole or hardly at all, never by about the limit."""
    stream = np.random.default_rng(0)
    boxes = []
    for place in range(places):
        corner = np.array([40.0 * (place % 8), 40.0 * (place // 8)])
        for number in range(each):
            side = 30.0 if number % 2 else 12.0  # an overlap of 0.16
            corners = corner + stream.uniform(0, 0.6, (images, 2))
            boxes.append(np.concatenate([corners, corners + side], 1))
    scores = stream.permutation(images * places * each * CLASSES).astype(np.float32)
    scores = scores.reshape(images, places * each, CLASSES) / scores.size
    return np.stack(boxes, 1).astype(np.float32), scores


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("runs", [by_onnxruntime, by_openvino, by_torch])
@pytest.mark.parametrize(
    ("candidates", "most", "least"), [(1000, 20, 0.01), (30, 20, 0.01), (1000, 400, 0.7), (5, 9, 0)]
)
def test_the_graph_chooses_what_numpy_does(runs, class_agnostic, candidates, most, least):
    op = ops.SelectBoxes(
        inputs=("boxes", "scores"),
        output="chosen",
        candidates=candidates,
        most=most,
        max_iou=0.6,
        least_score=least,
        class_agnostic=class_agnostic,
    )
    chosen = runs(op, 12 * 4)
    for images in (4, 1):
        boxes, scores = crowded(images, places=12, each=4)
        given = chosen(boxes, scores)
        assert given.shape == (images, most, 6)
        for rows, image, values in zip(given, boxes, scores, strict=True):
            wanted = best_boxes(image, values, candidates, most, 0.6, least, class_agnostic)
            count = len(wanted[0])
            assert 0 < count < len(image) * (1 if class_agnostic else CLASSES)
            assert rows[:count, :4] == pytest.approx(wanted[0], abs=1e-3)
            assert rows[:count, 4] == pytest.approx(wanted[1])
            assert rows[:count, 5].tolist() == wanted[2].tolist()
            assert not rows[count:].any()


@pytest.mark.parametrize("runs", [by_onnxruntime, by_openvino, by_torch])
def test_of_classes_that_are_equal_the_first_is_given(runs):
    op = ops.SelectBoxes(
        inputs=("boxes", "scores"),
        output="chosen",
        candidates=9,
        most=3,
        max_iou=0.6,
        least_score=0.1,
        class_agnostic=True,
    )
    boxes = np.array([[[0, 0, 9, 9], [0, 1, 9, 10], [30, 30, 40, 40]]], np.float32)
    scores = np.array([[[0.2, 0.5, 0.5], [0.4, 0.3, 0.4], [0.3, 0.3, 0.3]]], np.float32)
    (rows,) = runs(op, 3)(boxes, scores)
    assert rows[:, 5].tolist() == [1, 0, 0]
    assert rows[:, 4] == pytest.approx([0.5, 0.3, 0])
