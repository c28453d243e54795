"""Ranges become grids, and filters get scales, within what integer kernels can compute."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from mobilens.compress.placement import MOVES, Placement
from mobilens.compress.ranges import Range
from mobilens.graph.ops import Add, Conv, Floats, Graph, Linear, Mul, Normalise
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
        ranges: Of every value that is stored.
        filters: Names of the operators whose filters are 8-bit.
    """
    scales = {
        op.output: weight_scales(op, pairs=placement.pairs)
        for op in graph.ops
        if isinstance(op, (Conv, Linear)) and op.output in filters
    }
    stored = placement.stored_values(graph, filters)
    source = _sources(graph)
    cover = Grid.symmetric if placement.symmetric else Grid.covering
    grids = {name: cover(*ranges[name]) for name in stored if source[name] == name}
    for op in graph.ops:
        inputs, output = [source[name] for name in op.inputs], source[op.output]
        if isinstance(op, (Conv, Linear)) and op.output in scales:
            _make_room(op, inputs[0], grids, scales[op.output])
        elif isinstance(op, (Add, Mul)) and grids.keys() >= {*inputs, output}:
            _make_comparable(op, inputs, grids)
    for op in graph.ops:
        if isinstance(op, Normalise) and op.output in grids and not placement.symmetric:
            # Raw pixels are integers already, counted from another zero; their grid is exact.
            grids[op.output] = Grid(1.0, round(255 * op.mean[0]) - 128)
    return Quantisation({name: grids[source[name]] for name in stored}, scales)


def _sources(graph: Graph) -> dict[str, str]:
    """For each value the one that holds the same numbers before they were moved about."""
    source = {graph.input: graph.input}
    for op in graph.ops:
        source[op.output] = source[op.inputs[0]] if isinstance(op, MOVES) else op.output
    return source


def _make_room(op: Conv | Linear, source: str, grids: dict[str, Grid], scales: Floats) -> None:
    """Coarsen grids behind which a kernel's integers would overflow.

    They are those of channels and gates that were dead on all calibration images.
    """
    bias = float(np.max(np.abs(op.bias) / (scales.astype(np.float64) * 2.0**BIAS_BITS)))
    _coarsen(grids, source, bias)
    if op.output in grids:
        _coarsen(grids, op.output, grids[source].scale * float(scales.max()) / MAX_RATIO)


def _make_comparable(op: Add | Mul, inputs: Sequence[str], grids: dict[str, Grid]) -> None:
    """Bring grids of a sum or product within what XNNPACK takes: it refuses the file otherwise."""
    steps = [grids[name].scale for name in inputs]
    step = float(np.prod(steps)) if isinstance(op, Mul) else max(steps)
    _coarsen(grids, op.output, step / MAX_RATIO)
    for name in inputs if isinstance(op, Add) else ():
        _coarsen(grids, name, grids[op.output].scale / MOST_FINE)


def _coarsen(grids: dict[str, Grid], name: str, least: float) -> None:
    """Widen the steps of a grid that are below a size; its zero stays."""
    if grids[name].scale < least:
        grids[name] = Grid(float(np.float32(least)), grids[name].zero_point)
