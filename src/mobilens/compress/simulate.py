"""A graph computed by torch as its integers would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from mobilens.graph import ops
from mobilens.graph.quantised import HIGHEST, LOWEST, Quantisation
from mobilens.graph.replace import single
from mobilens.graph.run import run


def rounded(quantisation: Quantisation, name: str, value: Tensor) -> Tensor:
    """Round a value to its grid, where it has one."""
    grid = quantisation.grids.get(name)
    if grid is None:
        return value
    return torch.fake_quantize_per_tensor_affine(
        value, grid.scale, grid.zero_point, LOWEST, HIGHEST
    )


def with_rounded_filters(graph: ops.Graph, quantisation: Quantisation) -> ops.Graph:
    """Give the graph with its filters as the integers have them."""
    changed = []
    for op in graph.ops:
        if isinstance(op, (ops.Conv, ops.Linear)) and quantisation.has_integer_filters(op):
            scales = quantisation.scales[op.output].reshape(-1, *[1] * (op.weight.ndim - 1))
            op = replace(op, weight=single(quantisation.filters(op) * scales))
        changed.append(op)
    return graph.with_ops(changed)


@torch.no_grad()
def simulate(graph: ops.Graph, quantisation: Quantisation, pixels: Tensor) -> Mapping[str, Tensor]:
    """Compute the named outputs of a graph whose filters are rounded already.

    Args:
        graph: As ``with_rounded_filters`` or ``fit`` gives it.
        quantisation: Its grids.
        pixels: (N, height, width, 3), RGB, uint8.
    """
    return run(graph, pixels, lambda op, value: rounded(quantisation, op.output, value))
