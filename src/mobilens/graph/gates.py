"""Hard sigmoid and hard swish by sums that clamp, and products; filters take the factor out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from mobilens.graph.ops import (
    UNCLAMPED,
    Activation,
    Add,
    Conv,
    Graph,
    Linear,
    Mean,
    Mul,
    Op,
    Permute,
    Reshape,
)
from mobilens.graph.replace import replaced, single, times


def gate_by_relu6(graph: Graph) -> Graph:
    """Let the convolution before a hard sigmoid be the gate: it clamps, and later filters divide.

    ``x * hard_sigmoid(conv(y))`` is ``x * clamp(conv(y) + 3, 0, 6) / 6``. Six is taken out of the
    filters behind the product where that is possible, and else out of the gate's own.
    """
    for op in graph.ops:
        if isinstance(op, Activation) and op.kind == "hard_sigmoid":
            graph = _gate(graph, op) or graph
    return graph


def _gate(graph: Graph, sigmoid: Activation) -> Graph | None:
    makers, users = graph.maker(), graph.users()
    conv = makers.get(sigmoid.inputs[0])
    if (
        not isinstance(conv, (Conv, Linear))
        or conv.clamp != UNCLAMPED
        or len(users[conv.output]) > 1
    ):
        return None
    divided = enlarged(graph, sigmoid.output, 6.0)
    if divided is None:
        own = replace(times(conv, 1 / 6), bias=single(conv.bias / 6.0 + 0.5), clamp=(0.0, 1.0))
        return replaced(graph, {conv.output: own}, {sigmoid.output})
    gate = replace(conv, bias=single(conv.bias + 3.0), clamp=(0.0, 6.0))
    return replaced(graph, {**divided, conv.output: gate}, {sigmoid.output})


def hard_swish_by_product(graph: Graph, behind: Collection[str] | None = None) -> Graph:
    """Compute hard swish by a sum that clamps and a product, which runtimes have in int8.

    ``hard_swish(x)`` is ``x * clamp(x + 3, 0, 6) / 6``; filters further on divide by six. Where
    they cannot, the operator stays as it is.

    Args:
        graph: The graph.
        behind: Only where these values are read; everywhere by default.
    """
    for op in graph.ops:
        if behind is not None and op.inputs[0] not in behind:
            continue
        if isinstance(op, Activation) and op.kind == "hard_swish":
            divided = enlarged(graph, op.output, 6.0)
            if divided is not None:
                graph = _by_product(replaced(graph, divided, ()), op)
    return graph


def swish_gates(graph: Graph) -> list[Add]:
    """Find the sums that clamp for a hard swish by product."""
    users = graph.users()
    return [
        op
        for op in graph.ops
        if isinstance(op, Add)
        and (op.constant, op.clamp) == (3.0, (0.0, 6.0))
        and all(isinstance(user, Mul) and op.inputs[0] in user.inputs for user in users[op.output])
    ]


def _by_product(graph: Graph, swish: Activation) -> Graph:
    gate = f"{swish.output}.gate"
    ops: list[Op] = []
    for op in graph.ops:
        if op.output == swish.output:
            ops.append(Add(inputs=op.inputs, output=gate, constant=3.0, clamp=(0.0, 6.0)))
            ops.append(Mul(inputs=(*op.inputs, gate), output=op.output))
        else:
            ops.append(op)
    return graph.with_ops(ops, {gate: graph.shapes[swish.output]})


def enlarged(graph: Graph, value: str, factor: float) -> dict[str, Op] | None:
    """Find what must change for all to stay the same if one value were larger.

    Args:
        graph: The graph.
        value: The value.
        factor: How many times larger it is.

    Returns:
        Operators to put in the place of those with the same outputs; None where there is no way.
    """
    changed: dict[str, Op] = {}
    return changed if _absorb(graph, value, factor, changed) else None


def _absorb(graph: Graph, value: str, factor: float, changed: dict[str, Op]) -> bool:
    """Divide the filters behind a value, and enlarge what it is added to."""
    makers, users = graph.maker(), graph.users()
    if value in graph.outputs.values():
        return False
    for reader in users[value]:
        op = changed.get(reader.output, reader)
        match op:
            case Conv() | Linear():
                changed[op.output] = times(op, 1 / factor)
            case Mul() | Mean() | Permute() | Reshape():
                if len(set(op.inputs)) < len(op.inputs) or not _absorb(
                    graph, op.output, factor, changed
                ):
                    return False
            case Add(constant=None, clamp=bounds) if bounds == UNCLAMPED:
                other = makers.get(op.inputs[0] if op.inputs[1] == value else op.inputs[1])
                if (
                    not isinstance(other, Conv)
                    or other.clamp != UNCLAMPED
                    or len(users[other.output]) > 1
                    or not _absorb(graph, op.output, factor, changed)
                ):
                    return False
                other = changed.get(other.output, other)
                assert isinstance(other, Conv)
                grown = times(other, factor)
                changed[other.output] = replace(grown, bias=single(grown.bias * np.float64(factor)))
            case _:
                return False
    return True
