"""Channels of one value brought to one size, so that a grid for all of them suits each.

Convolutions give values whose channels differ a hundredfold, and a runtime has one grid for all of
them. What makes a value may divide each channel by a number of its own if what reads it multiplies:
Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, there
for ReLU. Here for hard swish too, whose gate reads the divided channels through filters of one
pixel. Not for ReLU6: its clamp would then stand where a channel ended on the calibration images.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilens.compress.statistics import batches
from mobilens.graph.gates import swish_gates
from mobilens.graph.ops import Add, Conv, Graph, Linear, Mean, Mul, Op, Reshape
from mobilens.graph.replace import replaced, single
from mobilens.graph.run import run
from mobilens.vision.predictor import Pixels

Factors = NDArray[np.float64]

RELU = (0.0, None)
# Channels are never enlarged more than this: what is so small hardly matters.
MAX_FACTOR = 64.0
# How many times farther above 0 than below it a grid before a hard swish may reach.
RATIOS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)


def equalise(graph: Graph, pixels: Pixels) -> Graph:
    """Bring the channels of values to one size, where all stays the same.

    Args:
        graph: A rewritten graph, hard swishes by product.
        pixels: (N, height, width, 3), RGB, uint8: calibration images.
    """
    gates = {gate.inputs[0]: gate for gate in swish_gates(graph)}
    wanted = {
        op.output
        for op in graph.ops
        if isinstance(op, (Conv, Linear)) and (op.output in gates or op.clamp == RELU)
    }
    for name, reach in largest(graph, pixels, wanted).items():
        if name in gates:
            graph = _equalise_swish(graph, gates[name], reach)
        else:
            graph = _equalise_relu(graph, name, reach)
    return graph


@torch.no_grad()
def largest(graph: Graph, pixels: Pixels, names: Collection[str]) -> Mapping[str, Factors]:
    """Find the largest number of each channel, (C,), of some values on images."""
    found: dict[str, Tensor] = {}

    def each(op: Op, value: Tensor) -> Tensor:
        if op.output in names:
            now = value.amax((0, 2, 3)) if value.ndim == 4 else value.flatten(0, -2).amax(0)
            found[op.output] = torch.maximum(found[op.output], now) if op.output in found else now
        return value

    for images in batches(pixels):
        run(graph, images, each)
    return {name: value.double().numpy() for name, value in found.items()}


def _equalise_relu(graph: Graph, name: str, reach: Factors) -> Graph:
    maker = graph.maker()[name]
    assert isinstance(maker, (Conv, Linear))
    # Half-way: what hardly stirred on calibration images may stir on others, and would be cut off.
    factors = np.sqrt(np.maximum(reach / max(float(reach.max()), 1e-6), 1 / MAX_FACTOR))
    changed = multiplied(graph, name, factors)
    if changed is None:
        return graph
    return replaced(graph, {**changed, name: _divided(maker, factors)}, ())


def _equalise_swish(graph: Graph, gate: Add, reach: Factors) -> Graph:
    """Divide what a hard swish reads, and so what it gives, by the same numbers."""
    source = gate.inputs[0]
    maker = graph.maker()[source]
    swish = next(op for op in graph.users()[gate.output] if isinstance(op, Mul))
    factors = _shared(graph, swish.output, _swish_factors(reach))
    changed = multiplied(graph, swish.output, factors)
    # Vectors are left alone: filters of one pixel want an image.
    if changed is None or len(graph.shapes[source]) != 3 or graph.shapes[source][1:] == (1, 1):
        return graph
    assert isinstance(maker, (Conv, Linear))
    pixelwise = Conv(
        inputs=gate.inputs,
        output=gate.output,
        weight=single(factors.reshape(-1, 1, 1, 1)),
        bias=np.full(len(factors), gate.constant, np.float32),
        groups=len(factors),
        clamp=gate.clamp,
    )
    changed |= {source: _divided(maker, factors), gate.output: pixelwise}
    return replaced(graph, changed, ())


def _swish_factors(reach: Factors) -> Factors:
    """Numbers by which channels before a hard swish are divided.

    Below -3 all gives 0, so that a channel needs from -3 to its largest number; the grid that all
    share reaches from -1 / ratio to 1, and its ratio is the one whose steps are smallest.
    """
    needed = {ratio: np.maximum(3 * ratio, reach) for ratio in RATIOS}
    ratio = min(RATIOS, key=lambda each: float(np.mean((needed[each] * (1 + 1 / each)) ** 2)))
    factors: Factors = np.maximum(needed[ratio] / needed[ratio].max(), 1 / MAX_FACTOR)
    return factors


def _shared(graph: Graph, value: str, factors: Factors) -> Factors:
    """Give half of the work to filters that mix channels: each of their rows has one scale."""
    alone = all(isinstance(op, Conv) and op.depthwise for op in graph.users()[value])
    return factors if alone else np.sqrt(factors)


def _divided(op: Conv | Linear, factors: Factors) -> Conv | Linear:
    """Divide what comes out of filters, channel by channel."""
    rows = factors.reshape(-1, *[1] * (op.weight.ndim - 1))
    return replace(op, weight=single(op.weight / rows), bias=single(op.bias / factors))


def multiplied(graph: Graph, value: str, factors: Factors) -> dict[str, Op] | None:
    """Find what must change for all to stay the same if channels of one value were divided.

    Args:
        graph: The graph.
        value: The value.
        factors: (C,), what its channels are divided by.

    Returns:
        Operators to put in the place of those with the same outputs; None where there is no way.
    """
    if value in graph.outputs.values():
        return None
    changed: dict[str, Op] = {}
    for op in graph.users()[value]:
        match op:
            case Conv() if op.depthwise:
                weight = op.weight * factors.reshape(-1, 1, 1, 1)
                changed[op.output] = replace(op, weight=single(weight))
            case Conv() if op.groups == 1:
                weight = op.weight * factors.reshape(1, -1, 1, 1)
                changed[op.output] = replace(op, weight=single(weight))
            case Linear() if op.weight.shape[1] == len(factors):
                changed[op.output] = replace(op, weight=single(op.weight * factors))
            case Mean() | Mul() | Reshape() if _keeps_channels(graph, op, len(factors)):
                further = multiplied(graph, op.output, factors)
                if further is None or op.inputs.count(value) > 1 or changed.keys() & further.keys():
                    return None  # the last: reached twice, it would have to be multiplied twice
                changed |= further
            case _:
                return None
    return changed


def _keeps_channels(graph: Graph, op: Op, channels: int) -> bool:
    """Whether the first axis of what comes out is still the channels."""
    return not isinstance(op, Reshape) or graph.shapes[op.output] == (channels,)
