"""The same function in fewer operators: what every runtime gains from, whatever its format.

Each rewrite takes a graph and gives one that computes the same up to rounding. What is folded into
weights is computed in double precision, since a file must agree with its checkpoint on every image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from mobilens.graph.gates import gate_by_relu6
from mobilens.graph.ops import (
    UNCLAMPED,
    Activation,
    Add,
    Clamp,
    Conv,
    Graph,
    Linear,
    MatMul,
    Op,
    Pad,
    Permute,
    Reshape,
    Scale,
)
from mobilens.graph.replace import replaced, single

CLAMPS: dict[str, Clamp] = {"relu": (0.0, None), "relu6": (0.0, 6.0)}


def simplify(graph: Graph) -> Graph:
    """Apply every rewrite of this module.

    Args:
        graph: As it was traced.
    """
    for rewrite in (
        drop_unused,
        merge_pads,
        merge_transposes,
        merge_scales,
        fold_scales,
        gate_by_relu6,
        merge_clamps,
    ):
        graph = rewrite(graph)
    return graph


def drop_unused(graph: Graph) -> Graph:
    """Leave out what nothing reads, such as what a loss alone needs."""
    wanted = set(graph.outputs.values())
    kept = []
    for op in reversed(graph.ops):
        if op.output in wanted:
            wanted.update(op.inputs)
            kept.append(op)
    return graph.with_ops(reversed(kept))


def merge_pads(graph: Graph) -> Graph:
    """Let convolutions pad for themselves, by sides of any size."""
    makers, users = graph.maker(), graph.users()
    merged: dict[str, Op] = {}
    for op in graph.ops:
        pad = makers.get(op.inputs[0])
        if isinstance(op, Conv) and isinstance(pad, Pad):
            top, left, bottom, right = (a + b for a, b in zip(op.pads, pad.pads, strict=True))
            merged[op.output] = replace(op, inputs=pad.inputs, pads=(top, left, bottom, right))
    gone = {
        op.output
        for op in graph.ops
        if isinstance(op, Pad) and all(user.output in merged for user in users[op.output])
    }
    return replaced(graph, merged, gone)


def merge_transposes(graph: Graph) -> Graph:
    """Let a product turn its second matrix for itself."""
    makers, users = graph.maker(), graph.users()
    merged: dict[str, Op] = {}
    gone = set()
    for op in graph.ops:
        turn = makers.get(op.inputs[-1])
        if isinstance(op, MatMul) and isinstance(turn, Permute) and turn.order == (0, 2, 1):
            inputs = (op.inputs[0], turn.inputs[0])
            merged[op.output] = replace(op, inputs=inputs, transpose=not op.transpose)
            if len(users[turn.output]) == 1:
                gone.add(turn.output)
    return replaced(graph, merged, gone)


def merge_scales(graph: Graph) -> Graph:
    """Let one factor and shift do for two in a row."""
    for op in graph.ops:
        first = graph.maker().get(op.inputs[0])
        if (
            isinstance(op, Scale)
            and isinstance(first, Scale)
            and first.scale.shape == op.scale.shape
            and len(graph.users()[first.output]) == 1
        ):
            merged = replace(
                op,
                inputs=first.inputs,
                scale=single(first.scale.astype(np.float64) * op.scale),
                shift=single(first.shift.astype(np.float64) * op.scale + op.shift),
            )
            graph = replaced(graph, {op.output: merged}, {first.output})
    return graph


def fold_scales(graph: Graph) -> Graph:
    """Fold factors and shifts into the filters before them, or into those after them."""
    for op in graph.ops:
        if isinstance(op, Scale) and op.scale.ndim == 1:
            graph = _fold_back(graph, op) or _fold_forward(graph, op) or graph
    return graph


def _fold_back(graph: Graph, scale: Scale) -> Graph | None:
    """Fold into the filters that the values come from, through what only moves values about."""
    makers, users = graph.maker(), graph.users()
    source = makers.get(scale.inputs[0])
    moved = False
    while source is not None and len(users[source.output]) == 1:
        if isinstance(source, (Conv, Linear)) and source.clamp == UNCLAMPED:
            if moved and len(scale.scale) > 1:
                return None
            bias = source.bias * scale.scale.astype(np.float64) + scale.shift
            folded = replace(_times_rows(source, scale.scale), bias=single(bias))
            return replaced(graph, {source.output: folded}, {scale.output})
        if isinstance(source, MatMul) and not scale.shift.any():
            pass
        elif not isinstance(source, (Permute, Reshape)):
            return None
        moved = True
        source = makers.get(source.inputs[0])
    return None


def _fold_forward(graph: Graph, scale: Scale) -> Graph | None:
    """Fold into the filters that read the values, where no zeros are padded in between."""
    readers = graph.users()[scale.output]
    folded: dict[str, Op] = {}
    for op in readers:
        if not (isinstance(op, Conv) and op.pointwise and op.groups == 1):
            return None
        weight = op.weight[:, :, 0, 0].astype(np.float64)
        folded[op.output] = replace(
            op,
            weight=single((weight * scale.scale)[:, :, None, None]),
            bias=single(op.bias + weight @ np.broadcast_to(scale.shift, weight.shape[1])),
        )
    return replaced(graph, folded, {scale.output}) if folded else None


def merge_clamps(graph: Graph) -> Graph:
    """Let what computes a value clamp it, in place of a ReLU or ReLU6 behind it."""
    makers, users = graph.maker(), graph.users()
    merged: dict[str, Op] = {}
    gone = set()
    for op in graph.ops:
        if not (isinstance(op, Activation) and op.kind in CLAMPS):
            continue
        maker = makers.get(op.inputs[0])
        if (
            isinstance(maker, (Conv, Linear, Add))
            and maker.clamp == UNCLAMPED
            and len(users[maker.output]) == 1
        ):
            merged[maker.output] = replace(maker, clamp=CLAMPS[op.kind])
            gone.add(op.output)
    return replaced(graph, merged, gone)


def _times_rows(op: Conv | Linear, factors: ArrayLike) -> Conv | Linear:
    """Multiply the filters of each output channel by a number of its own."""
    rows = np.asarray(factors, np.float64).reshape(-1, *[1] * (op.weight.ndim - 1))
    return replace(op, weight=single(op.weight * rows))
