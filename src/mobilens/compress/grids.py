"""Ranges become grids, and filters get scales, within what integer kernels can compute."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from mobilens.compress.placement import MOVES, Placement
from mobilens.compress.ranges import Range
from mobilens.graph.ops import Add, Conv, Graph, Linear, Mul, Normalise
from mobilens.graph.quantised import Grid, Quantisation, weight_scales

# A product of grids may be this many times coarser than the result's: XNNPACK ends at 256.
MAX_RATIO = 127.0
# What is added may have a grid this many times finer than the sum's: XNNPACK ends at 1024.
MOST_FINE = 512.0
# Bits that a bias may take, so that a sum of products fits beside it.
BIAS_BITS = 28


def quantisation(
    graph: Graph, placement: Placement, ranges: Mapping[str, Range], filters: Collection[str]
) -> Quantisation:
    """Lay grids over a graph.

    Args:
        graph: A graph that the placement rewrote.
        placement: Where integers go.
        ranges: Of every value that is stored; others are left alone.
        filters: Names of the operators whose filters are 8-bit.
    """
    scales = {
        op.output: weight_scales(op, pairs=placement.pairs)
        for op in graph.ops
        if isinstance(op, (Conv, Linear)) and op.output in filters
    }
    grids: dict[str, Grid] = {}
    for name in placement.stored_values(graph, filters):
        grids[name] = Grid.covering(*ranges[name]) if name in ranges else Grid(1.0, 0)
    for op in graph.ops:
        if isinstance(op, Normalise) and op.output in grids:
            # Raw pixels are integers already, counted from another zero.
            grids[op.output] = Grid(1.0, round(255 * op.mean[0]) - 128)
        elif isinstance(op, (Conv, Linear)) and op.output in scales:
            _make_room(op, grids, scales[op.output])
        elif isinstance(op, (Add, Mul)) and grids.keys() >= {*op.inputs, op.output}:
            _make_comparable(op, grids)
    for op in graph.ops:
        if isinstance(op, MOVES) and op.inputs[0] in grids:
            grids[op.output] = grids[op.inputs[0]]
    return Quantisation(grids, scales)


def _make_room(op: Conv | Linear, grids: dict[str, Grid], scales: np.ndarray) -> None:
    """Coarsen grids behind which a kernel's integers would overflow.

    They are those of channels and gates that were dead on all calibration images.
    """
    source = op.inputs[0]
    # The pixels' grid is never coarsened: it is exact.
    bias = float(np.max(np.abs(op.bias) / (scales.astype(np.float64) * 2.0**BIAS_BITS)))
    if grids[source].scale < bias:
        grids[source] = _coarser(grids[source], bias)
    if op.output in grids:
        product = grids[source].scale * float(scales.max()) / MAX_RATIO
        if grids[op.output].scale < product:
            grids[op.output] = _coarser(grids[op.output], product)


def _make_comparable(op: Add | Mul, grids: dict[str, Grid]) -> None:
    """Bring grids of a sum or product within what XNNPACK takes: it refuses the file otherwise."""
    steps = [grids[name].scale for name in op.inputs]
    step = float(np.prod(steps)) if isinstance(op, Mul) else max(steps)
    if grids[op.output].scale < step / MAX_RATIO:
        grids[op.output] = _coarser(grids[op.output], step / MAX_RATIO)
    for name in op.inputs if isinstance(op, Add) else ():
        if grids[name].scale < grids[op.output].scale / MOST_FINE:
            grids[name] = _coarser(grids[name], grids[op.output].scale / MOST_FINE)


def _coarser(grid: Grid, scale: float) -> Grid:
    """The same zero, wider steps."""
    return Grid(float(np.float32(scale)), grid.zero_point)
