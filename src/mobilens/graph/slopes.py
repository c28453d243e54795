"""PReLU as a sum of products, for runtimes whose own operator is slow."""

from __future__ import annotations

import numpy as np

from mobilens.graph.ops import Activation, Add, Graph, Op, Prelu, Scale, Shape


def prelu_by_sums(graph: Graph) -> Graph:
    """Compute each PReLU of slopes ``a`` as ``(1 - a) * relu(x) + a * x``."""
    ops: list[Op] = []
    shapes: dict[str, Shape] = {}
    for op in graph.ops:
        if isinstance(op, Prelu):
            steps = _steps(op)
            shapes |= {step.output: graph.shapes[op.output] for step in steps}
            ops += steps
        else:
            ops.append(op)
    return graph.with_ops(ops, shapes)


def _steps(op: Prelu) -> list[Op]:
    positive, above, everywhere = (
        f"{op.output}.{part}" for part in ("relu", "above", "everywhere")
    )
    zeros = np.zeros_like(op.slope)
    return [
        Activation(inputs=op.inputs, output=positive, kind="relu"),
        Scale(inputs=(positive,), output=above, scale=1 - op.slope, shift=zeros),
        Scale(inputs=op.inputs, output=everywhere, scale=op.slope, shift=zeros),
        Add(inputs=(above, everywhere), output=op.output),
    ]
