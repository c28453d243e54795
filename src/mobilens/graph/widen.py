"""Channels that nobody reads, added to values whose number of them a kernel handles badly.

What makes such a value gets rows of zeros in its filters, and what reads it columns of zeros, so
every answer stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mobilens.graph.ops import (
    Activation,
    Add,
    Conv,
    Graph,
    Linear,
    Mean,
    Mul,
    Op,
    Pad,
    Prelu,
    Reshape,
    Scale,
)
from mobilens.graph.quantised import Quantisation


def widened(graph: Graph, quantisation: Quantisation, multiple: int) -> tuple[Graph, Quantisation]:
    """Bring what integer filters of single channels read to a multiple of channels.

    Args:
        graph: What computes.
        quantisation: What of it is 8-bit.
        multiple: What the number of channels shall be divisible by.

    Returns:
        A graph of the same answers, and its quantisation.
    """
    together, fixed = _together(graph)
    more = dict.fromkeys(graph.shapes, 0)
    for op in graph.ops:
        if isinstance(op, Conv) and op.depthwise and quantisation.is_integer(op):
            alike = together[op.output]
            if alike.isdisjoint(fixed):
                more |= dict.fromkeys(alike, -op.groups % multiple)
    shapes = {
        name: (shape[0] + more[name], *shape[1:]) if more[name] else shape
        for name, shape in graph.shapes.items()
    }
    scales = {
        name: np.pad(values, (0, more.get(name, 0)), mode="edge")
        for name, values in quantisation.scales.items()
    }
    ops = (_wider(op, more[op.inputs[0]], more[op.output]) for op in graph.ops)
    return graph.with_ops(ops, shapes), replace(quantisation, scales=scales)


def _together(graph: Graph) -> tuple[dict[str, set[str]], set[str]]:
    """Give the values that have the channels of each, and those whose channels are fixed."""
    together = {name: {name} for name in graph.shapes}
    fixed = {graph.input, *graph.outputs.values()}
    for op in graph.ops:
        names = (*op.inputs, op.output)
        if _keeps_channels(op, graph):
            merged = set[str]().union(*(together[name] for name in names))
            together |= dict.fromkeys(merged, merged)
        elif not _mixes_channels(op, graph):
            fixed.update(names)
    return together, fixed


def _keeps_channels(op: Op, graph: Graph) -> bool:
    """Whether each channel that comes out is made of the same one of every input."""
    shapes = [graph.shapes[name] for name in (*op.inputs, op.output)]
    match op:
        case Conv():
            return op.depthwise and len(op.weight) == op.groups
        case Reshape():
            return len(shapes[0]) == 3 and shapes[1] == shapes[0][:1]
        case Activation() | Prelu() | Add() | Mul() | Mean() | Pad() | Scale():
            return all(len(shape) == 3 for shape in shapes) or all(
                len(shape) == 1 for shape in shapes
            )
    return False


def _mixes_channels(op: Op, graph: Graph) -> bool:
    """Whether every channel that comes out is made of all that go in."""
    match op:
        case Conv():
            return op.groups == 1
        case Linear():
            return len(graph.shapes[op.inputs[0]]) == 1
    return False


def _wider(op: Op, read: int, made: int) -> Op:
    """Add channels to what an operator reads and makes."""
    match op:
        case Conv() if op.depthwise:
            weight = np.pad(op.weight, ((0, made), (0, 0), (0, 0), (0, 0)))
            return replace(
                op, weight=weight, bias=np.pad(op.bias, (0, made)), groups=op.groups + made
            )
        case Conv() | Linear():
            pixels = [(0, 0)] * (op.weight.ndim - 2)
            weight = np.pad(op.weight, [(0, made), (0, read), *pixels])
            return replace(op, weight=weight, bias=np.pad(op.bias, (0, made)))
        case Scale() if len(op.scale) > 1:
            scale, shift = (np.pad(values, (0, made)) for values in (op.scale, op.shift))
            return replace(op, scale=scale, shift=shift)
        case Prelu():
            return replace(op, slope=np.pad(op.slope, (0, made)))
        case Reshape() if made:
            return replace(op, shape=(op.shape[0] + made,))
    return op
