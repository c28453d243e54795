"""Choosing boxes as ONNX operators, for every image of a batch of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

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
    with them, and the best of these are the answer. Where classes do not matter, each box comes
    with its best class, and none is moved.

    Args:
        op: The operator.
        inputs: Names of boxes, (N, A, 4), and scores, (N, A, C).
        shapes: Of the graph's values.
        node: Adds an operator.
        constant: Adds numbers.
    """
    cells, classes = shapes[op.inputs[1]]
    writer = _Writer(op, node, constant, cells, classes)
    found = writer.candidates(*inputs)
    return writer.answer(found, writer.kept_scores(found))


class _Candidates(NamedTuple):
    """Names of the best pairs of each image: boxes (N, n, 4), classes (N, n, 1), scores (N, n)."""

    boxes: str
    classes: str
    scores: str


class _Writer:
    """The three steps, which share their numbers."""

    def __init__(
        self,
        op: ops.SelectBoxes,
        node: WriteNode,
        constant: WriteConstant,
        cells: int,
        classes: int,
    ) -> None:
        self._op, self._node, self._constant = op, node, constant
        self._pairs, self._classes = cells * classes, classes
        self._count = min(op.candidates, cells if op.class_agnostic else self._pairs)

    def candidates(self, boxes: str, scores: str) -> _Candidates:
        """Take the best pairs of box and class."""
        if self._op.class_agnostic:
            return self._best_cells(boxes, scores)
        flat = self._made("Reshape", "flat", scores, self._whole("flat_shape", 0, self._pairs))
        best, place = self._top("best", flat, self._count)
        per = self._whole("classes", self._classes)
        number = self._made("Mod", "class", place, per)
        chosen = self._rows("boxes", boxes, self._made("Div", "cell", place, per))
        return _Candidates(chosen, self._label(number), best)

    def _best_cells(self, boxes: str, scores: str) -> _Candidates:
        """Take the best boxes, each with its best class."""
        largest = self._made("ReduceMax", "largest", scores, self._whole("across", 2), keepdims=0)
        best, place = self._top("best", largest, self._count)
        classes = self._made("ArgMax", "classes", scores, axis=2, keepdims=0)
        number = self._made("GatherElements", "class", classes, place, axis=1)
        return _Candidates(self._rows("boxes", boxes, place), self._label(number), best)

    def kept_scores(self, found: _Candidates) -> str:
        """Give the scores, (N, n), 0 where a better box that is a rival covers this one."""
        apart = found.boxes if self._op.class_agnostic else self._apart(found)
        row = self._made("Unsqueeze", "score_row", found.scores, self._whole("middle", 1))
        # Exactly the least score counts too.
        least = float(np.nextafter(np.float32(self._op.least_score), np.float32(0)))
        kept = self._made(
            "NonMaxSuppression",
            "kept",
            apart,
            row,
            self._whole("most_kept", self._op.most),
            self._number("max_iou", self._op.max_iou),
            self._number("least", least),
        )
        where = self._made("Gather", "where", kept, self._whole("pair", 0, 2), axis=1)
        values = self._made("GatherND", "kept_scores", found.scores, where)
        zeros = self._made("Mul", "zeros", found.scores, self._number("zero", 0.0))
        return self._made("ScatterND", "scored", zeros, where, values)

    def _apart(self, found: _Candidates) -> str:
        """Move boxes of different classes to where they do not meet."""
        away = self._made("Mul", "away", found.classes, self._number("apart", APART))
        return self._made("Add", "apart_boxes", found.boxes, away)

    def answer(self, found: _Candidates, scores: str) -> str:
        """Give the best of what is left, (N, most, 6); rows that fill up are zeros."""
        given = min(self._op.most, self._count)
        final, order = self._top("final", scores, given)
        boxes = self._rows("final_boxes", found.boxes, order)
        place = self._column("order", order)
        label = self._made("GatherElements", "final_label", found.classes, place, axis=1)
        score = self._column("final_score", final)
        rows = self._made("Concat", "rows", boxes, score, label, axis=2)
        sign = self._made("Sign", "sign", score)
        real = self._made("Cast", "real", sign, to=TensorProto.FLOAT)
        if given == self._op.most:
            return self._node("Mul", [rows, real], self._op.output)
        masked = self._made("Mul", "masked", rows, real)
        pads = self._whole("pads", 0, 0, 0, 0, self._op.most - given, 0)
        return self._node("Pad", [masked, pads], self._op.output)

    def _rows(self, name: str, boxes: str, places: str) -> str:
        """Take boxes, (N, n, 4), from (N, m, 4) by places (N, n)."""
        column = self._column(f"{name}_column", places)
        spread = self._made("Expand", f"{name}_places", column, self._whole("four", 1, 1, 4))
        return self._made("GatherElements", name, boxes, spread, axis=1)

    def _label(self, number: str) -> str:
        """Class numbers (N, n) as a column of floats."""
        label = self._made("Cast", "label", number, to=TensorProto.FLOAT)
        return self._column("label_column", label)

    def _column(self, name: str, values: str) -> str:
        return self._made("Unsqueeze", name, values, self._whole("last", 2))

    def _top(self, name: str, values: str, count: int) -> tuple[str, str]:
        """The largest of each row, and where they stand."""
        place = f"{self._op.output}.{name}_place"
        limit = self._whole(f"{name}_count", count)
        largest = f"{self._op.output}.{name}"
        return self._node("TopK", [values, limit], largest, more=[place], axis=1), place

    def _made(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        return self._node(kind, list(inputs), f"{self._op.output}.{name}", **attributes)

    def _whole(self, name: str, *values: int) -> str:
        return self._constant(f"{self._op.output}.{name}_number", np.array(values, np.int64))

    def _number(self, name: str, value: float) -> str:
        return self._constant(f"{self._op.output}.{name}_number", np.array([value], np.float32))
