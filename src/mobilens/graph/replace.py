"""Operators put in the place of others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mobilens.graph.ops import Conv, Graph, Linear, Op


def times(op: Conv | Linear, factor: float) -> Conv | Linear:
    """Multiply what the filters weigh, not what they add.

    Args:
        op: Convolution or fully connected layer.
        factor: What to multiply by.
    """
    return replace(op, weight=single(op.weight.astype(np.float64) * factor))


def replaced(graph: Graph, changed: dict[str, Op], gone: Iterable[str]) -> Graph:
    """Put operators in the place of others.

    Args:
        graph: The graph; it stays as it is.
        changed: What comes in, by the name of what it makes.
        gone: Values that are lost; who read one reads the first input of what made it.
    """
    gone = set(gone)
    stands_for: dict[str, str] = {}
    ops: list[Op] = []
    for op in graph.ops:
        if op.output in gone:
            stands_for[op.output] = stands_for.get(op.inputs[0], op.inputs[0])
            continue
        op = changed.get(op.output, op)
        ops.append(replace(op, inputs=tuple(stands_for.get(name, name) for name in op.inputs)))
    outputs = {key: stands_for.get(name, name) for key, name in graph.outputs.items()}
    return replace(graph, outputs=outputs).with_ops(ops)


def single(values: ArrayLike) -> NDArray[np.float32]:
    """Round to float32."""
    return np.asarray(values, np.float32)
