"""Filters rounded so that errors cancel, and biases that make up for what remains.

Both look at what comes in, layer after layer, with everything before already in integers. Rounding
each filter value to its nearest neighbour ignores that inputs go together: a filter of nine values
that sum to nothing, over inputs far from 0, gives something. Frantar et al., "GPTQ", 2022, after
Hassibi and Stork, "Optimal Brain Surgeon", 1993: round one value and let those that are still free
make up for it. What is left of the mean is taken out of the bias: Nagel et al., 2019.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mobilens.compress.simulate import rounded
from mobilens.graph import ops
from mobilens.graph.quantised import WEIGHT_LIMIT, Quantisation
from mobilens.graph.replace import single
from mobilens.graph.run import convolve, run_op
from mobilens.vision.predictor import Pixels

Moments = NDArray[np.float64]

IMAGES = 64
# Places of all images that are looked at to learn which inputs go together.
SAMPLES = 16_384
# Samples for each filter value without which rounding to the nearest is safer.
SAMPLES_EACH = 4
# Added to every input's own power, as a share of the mean: what few images did not show.
DAMPING = 0.01


@torch.no_grad()
def fit(
    graph: ops.Graph,
    quantisation: Quantisation,
    pixels: Pixels,
    *,
    rounding: bool = True,
    bias: bool = True,
) -> ops.Graph:
    """Choose filters, already on their grid, and biases.

    Args:
        graph: A rewritten graph.
        quantisation: Its grids and scales; they hold for what is returned too.
        pixels: (N, height, width, 3), RGB, uint8: calibration images.
        rounding: Whether to choose the filters' rounding.
        bias: Whether to correct the bias.
    """
    images = torch.from_numpy(np.ascontiguousarray(pixels[:IMAGES]))
    exact, given = {graph.input: images}, {graph.input: images}
    left = {name: len(readers) for name, readers in graph.users().items()}
    fitted: list[ops.Op] = []
    for op in graph.ops:
        wanted = [exact[name] for name in op.inputs]
        inputs = [given[name] for name in op.inputs]
        exact[op.output] = run_op(op, *wanted)
        if isinstance(op, (ops.Conv, ops.Linear)) and quantisation.has_integer_filters(op):
            op = _fitted(op, quantisation, wanted[0], inputs[0], rounding=rounding, bias=bias)
        given[op.output] = rounded(quantisation, op.output, run_op(op, *inputs))
        fitted.append(op)
        for name in op.inputs:
            left[name] -= 1
            if not left[name]:
                exact.pop(name, None)
                given.pop(name, None)
    return graph.with_ops(fitted)


def _fitted(
    op: ops.Conv | ops.Linear,
    quantisation: Quantisation,
    wanted: Tensor,
    given: Tensor,
    *,
    rounding: bool,
    bias: bool,
) -> ops.Conv | ops.Linear:
    scales = quantisation.scales[op.output].astype(np.float64)
    steps = quantisation.filters(op).astype(np.float64)
    if rounding:
        steps = _rounded_together(op, given, scales, steps)
    weight = steps * scales.reshape(-1, *[1] * (op.weight.ndim - 1))
    chosen = replace(op, weight=single(weight))
    if bias:
        missing = _means(op, wanted) - _means(chosen, given)
        chosen = replace(chosen, bias=single(op.bias + missing))
    return chosen


def _means(op: ops.Conv | ops.Linear, values: Tensor) -> Moments:
    """Mean of each output channel, (out,), before anything is clamped."""
    if isinstance(op, ops.Linear):
        out = F.linear(values, torch.from_numpy(op.weight), torch.from_numpy(op.bias))
        return out.double().flatten(0, -2).mean(0).numpy()
    out = convolve(op, values, torch.from_numpy(op.weight), torch.from_numpy(op.bias))
    return out.double().mean((0, 2, 3)).numpy()


def _rounded_together(
    op: ops.Conv | ops.Linear, given: Tensor, scales: Moments, nearest: Moments
) -> Moments:
    """Filters in whole steps, (out, ...), so chosen that their errors cancel."""
    samples = _samples(op, given)
    groups, inputs, count = samples.shape
    if count < SAMPLES_EACH * inputs:
        return nearest
    moments = (samples @ samples.transpose(1, 2) / count).numpy()
    rows = op.weight.astype(np.float64).reshape(groups, -1, inputs) / scales.reshape(groups, -1, 1)
    return np.stack(
        [_round_rows(each, moment) for each, moment in zip(rows, moments, strict=True)]
    ).reshape(op.weight.shape)


def _round_rows(rows: Moments, moments: Moments) -> Moments:
    """Round values one after the other; those still free make up for the error."""
    damping = DAMPING * np.trace(moments) / len(moments) + 1e-12
    inverse = np.linalg.inv(moments + damping * np.eye(len(moments)))
    factor = np.linalg.cholesky(inverse).T
    rows = rows.copy()
    for index in range(rows.shape[1]):
        steps = np.clip(np.rint(rows[:, index]), -WEIGHT_LIMIT, WEIGHT_LIMIT)
        error = (rows[:, index] - steps) / factor[index, index]
        rows[:, index] = steps
        rows[:, index + 1 :] -= np.outer(error, factor[index, index + 1 :])
    return rows


def _samples(op: ops.Conv | ops.Linear, values: Tensor) -> Tensor:
    """What filters see at some places of all images: (groups, inputs, places)."""
    seen = _patches(op, values) if isinstance(op, ops.Conv) else values.flatten(0, -2).T[None]
    stride = max(1, seen.shape[2] // SAMPLES)
    return seen[:, :, ::stride].double()


def _patches(op: ops.Conv, values: Tensor) -> Tensor:
    channels = values.shape[1]
    top, left, bottom, right = op.pads
    kernel = op.weight.shape[2:]
    # A few images suffice, and the patches of all would take gigabytes.
    places = values.shape[2] * values.shape[3] // (op.stride[0] * op.stride[1])
    some = values[:: max(1, len(values) * places // (4 * SAMPLES))]
    patches = F.unfold(F.pad(some, (left, right, top, bottom)), kernel, op.dilation, 0, op.stride)
    columns = patches.transpose(0, 1).flatten(1)  # (channels x kernel, images x places)
    return columns.reshape(op.groups, channels // op.groups * kernel[0] * kernel[1], -1)
