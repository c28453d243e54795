"""Choosing boxes in an ONNX graph: what NumPy chooses, for every image of any batch."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobilens.exporting.onnx_selection import write_selection
from mobilens.graph import ops
from mobilens.vision.boxes import best_boxes

CLASSES = 3


def session(op, cells):
    """A graph of nothing but the choice."""
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
    return onnxruntime.InferenceSession(model.SerializeToString())


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


@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize(
    ("candidates", "most", "least"), [(1000, 20, 0.01), (30, 20, 0.01), (1000, 400, 0.7), (5, 9, 0)]
)
def test_the_graph_chooses_what_numpy_does(images, candidates, most, least):
    boxes, scores = crowded(images, places=12, each=4)
    op = ops.SelectBoxes(
        inputs=("boxes", "scores"),
        output="chosen",
        candidates=candidates,
        most=most,
        max_iou=0.6,
        least_score=least,
    )
    (given,) = session(op, boxes.shape[1]).run(None, {"boxes": boxes, "scores": scores})
    assert given.shape == (images, most, 6)
    for rows, image, values in zip(given, boxes, scores, strict=True):
        wanted = best_boxes(image, values, candidates, most, 0.6, least)
        count = len(wanted[0])
        assert 0 < count < len(image) * CLASSES
        assert rows[:count, :4] == pytest.approx(wanted[0], abs=1e-3)
        assert rows[:count, 4] == pytest.approx(wanted[1])
        assert rows[:count, 5].tolist() == wanted[2].tolist()
        assert not rows[count:].any()
