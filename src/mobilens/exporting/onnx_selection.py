"""Choosing boxes as ONNX operators, for every image of a batch of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from mobilens.graph import ops

# Boxes of two classes are moved this far apart: further than any image reaches, and near enough
# that a float32 still tells a tenth of a pixel at eighty classes.
APART = 4096.0


class WriteNode(Protocol):
    """How an operator is added."""

    def __call__(
        self, kind: str, inputs: list[str], output: str, more: Sequence[str] = (), **attributes: Any
    ) -> str:
        """Add one; gives the name of what it makes, the first of several."""
        ...


class WriteConstant(Protocol):
    """How numbers are added."""

    def __call__(self, name: str, values: NDArray[Any]) -> str:
        """Add some; gives their name."""
        ...


def write_selection(
    op: ops.SelectBoxes,
    inputs: list[str],
    shapes: Mapping[str, ops.Shape],
    node: WriteNode,
    constant: WriteConstant,
) -> str:
    """Write one operator as many.

    The best pairs of box and class are taken of each image, their boxes moved apart by class, so
    that one pass of NonMaxSuppression does for all classes; those that it keeps take their scores
    with them, and the best of these are the answer.

    Args:
        op: The operator.
        inputs: Names of boxes, (N, A, 4), and scores, (N, A, C).
        shapes: Of the graph's values.
        node: Adds an operator.
        constant: Adds numbers.
    """
    out = op.output
    cells, classes = shapes[op.inputs[1]]
    boxes, scores = inputs
    count = min(op.candidates, cells * classes)

    def whole(name: str, *values: int) -> str:
        return constant(f"{out}.{name}", np.array(values, np.int64))

    def number(name: str, value: float) -> str:
        return constant(f"{out}.{name}", np.array([value], np.float32))

    flat = node("Reshape", [scores, whole("flat_shape", 0, cells * classes)], f"{out}.flat")
    node_outputs = [f"{out}.best", f"{out}.place"]
    best, place = _several(node, "TopK", [flat, whole("count", count)], node_outputs, axis=1)
    per = whole("classes", classes)
    cell = node("Div", [place, per], f"{out}.cell")
    label = node(
        "Cast", [node("Mod", [place, per], f"{out}.class")], f"{out}.label", to=TensorProto.FLOAT
    )
    near = node("Unsqueeze", [cell, whole("last", 2)], f"{out}.cell_column")
    spread = node("Expand", [near, whole("four", 1, 1, 4)], f"{out}.cells")
    chosen = node("GatherElements", [boxes, spread], f"{out}.boxes", axis=1)
    column = node("Unsqueeze", [label, whole("last", 2)], f"{out}.label_column")
    away = node("Mul", [column, number("apart", APART)], f"{out}.away")
    apart = node("Add", [chosen, away], f"{out}.apart_boxes")
    row = node("Unsqueeze", [best, whole("middle", 1)], f"{out}.score_row")
    kept = node(
        "NonMaxSuppression",
        [
            apart,
            row,
            whole("most_kept", op.most),
            number("max_iou", op.max_iou),
            # Exactly the least score counts too.
            number("least", float(np.nextafter(np.float32(op.least_score), np.float32(0)))),
        ],
        f"{out}.kept",
    )
    where = node("Gather", [kept, whole("pair", 0, 2)], f"{out}.where", axis=1)
    values = node("GatherND", [best, where], f"{out}.kept_scores")
    zeros = node("Mul", [best, number("zero", 0.0)], f"{out}.zeros")
    scored = node("ScatterND", [zeros, where, values], f"{out}.scored")
    final_outputs = [f"{out}.scores", f"{out}.order"]
    given = min(op.most, count)
    final, order = _several(node, "TopK", [scored, whole("given", given)], final_outputs, axis=1)
    order_column = node("Unsqueeze", [order, whole("last", 2)], f"{out}.order_column")
    order_cells = node("Expand", [order_column, whole("four", 1, 1, 4)], f"{out}.order_cells")
    final_boxes = node("GatherElements", [chosen, order_cells], f"{out}.final_boxes", axis=1)
    final_label = node("GatherElements", [column, order_column], f"{out}.final_label", axis=1)
    final_score = node("Unsqueeze", [final, whole("last", 2)], f"{out}.final_score")
    rows = node("Concat", [final_boxes, final_score, final_label], f"{out}.rows", axis=2)
    # Rows that fill up are zeros.
    real = node(
        "Cast", [node("Sign", [final_score], f"{out}.sign")], f"{out}.real", to=TensorProto.FLOAT
    )
    if given == op.most:
        return node("Mul", [rows, real], out)
    masked = node("Mul", [rows, real], f"{out}.masked")
    pads = whole("pads", 0, 0, 0, 0, op.most - given, 0)
    return node("Pad", [masked, pads], out)


def _several(
    node: WriteNode, kind: str, inputs: list[str], outputs: list[str], **attributes: Any
) -> list[str]:
    node(kind, inputs, outputs[0], more=outputs[1:], **attributes)
    return outputs
