"""A graph computed by torch, operator by operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mobilens.graph import ops
from mobilens.tasks.detection.select import select_boxes

ACTIVATIONS: dict[ops.ActivationKind, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "hard_swish": F.hardswish,
    "hard_sigmoid": F.hardsigmoid,
    "gelu": F.gelu,
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
}


def run_op(op: ops.Op, *inputs: Tensor) -> Tensor:
    """Compute one operator.

    Args:
        op: What to compute.
        inputs: Its inputs, the batch in front; images are (N, C, H, W).
    """
    x = inputs[0]
    match op:
        case ops.Normalise():
            mean, std = torch.tensor(op.mean).view(3, 1, 1), torch.tensor(op.std).view(3, 1, 1)
            return (x.permute(0, 3, 1, 2).float() / 255 - mean) / std
        case ops.Border():
            top, left, bottom, right = op.pads
            return F.pad(x, (0, 0, left, right, top, bottom), value=op.value)
        case ops.Conv():
            return clamp(
                convolve(op, x, torch.from_numpy(op.weight), torch.from_numpy(op.bias)), op.clamp
            )
        case ops.Linear():
            weight, bias = torch.from_numpy(op.weight), torch.from_numpy(op.bias)
            return clamp(F.linear(x, weight, bias), op.clamp)
        case ops.Activation():
            return ACTIVATIONS[op.kind](x)
        case ops.Prelu():
            return F.prelu(x, torch.from_numpy(op.slope))
        case ops.Add():
            return clamp(x + (inputs[1] if op.constant is None else op.constant), op.clamp)
        case ops.Mul():
            return x * inputs[1]
        case ops.Scale():
            scale, shift = torch.from_numpy(op.scale), torch.from_numpy(op.shift)
            if scale.ndim > 1:
                return x * scale + shift
            shape = (-1, 1, 1) if x.ndim == 4 and len(op.scale) > 1 else (-1,)
            return x * scale.view(shape) + shift.view(shape)
        case ops.Mean():
            return x.mean((2, 3), keepdim=True)
        case ops.Pad():
            top, left, bottom, right = op.pads
            return F.pad(x, (left, right, top, bottom))
        case ops.Resize():
            return F.interpolate(x, op.size, mode="bilinear")
        case ops.Slice():
            return x[..., op.begin : op.end]
        case ops.Concat():
            return torch.cat(inputs, 1)
        case ops.SelectBoxes():
            limits = (op.candidates, op.most, op.max_iou, op.least_score)
            chosen: Tensor = select_boxes(x, inputs[1], *limits, op.class_agnostic)
            return chosen
        case ops.Permute():
            return x.permute(op.order)
        case ops.Reshape():
            return x.reshape(len(x), *op.shape)
        case ops.MatMul():
            return x @ (inputs[1].transpose(1, 2) if op.transpose else inputs[1])
        case ops.Softmax():
            return torch.softmax(x, 1 if op.channels else -1)
        case ops.ArgMax():
            return x.argmax(1).float()
    raise TypeError(f"a {type(op).__name__} cannot be computed")


def convolve(op: ops.Conv, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve as an operator says, with filters that may differ from its own."""
    top, left, bottom, right = op.pads
    if (top, left) == (bottom, right):
        return F.conv2d(x, weight, bias, op.stride, (top, left), op.dilation, op.groups)
    padded = F.pad(x, (left, right, top, bottom))
    return F.conv2d(padded, weight, bias, op.stride, 0, op.dilation, op.groups)


def clamp(x: Tensor, bounds: ops.Clamp) -> Tensor:
    """Bound values from below and above, where there is a bound."""
    return x if bounds == ops.UNCLAMPED else x.clamp(*bounds)


def run(
    graph: ops.Graph,
    pixels: Tensor,
    each: Callable[[ops.Op, Tensor], Tensor] = lambda _, value: value,
) -> Mapping[str, Tensor]:
    """Compute the named outputs.

    Args:
        graph: What to compute.
        pixels: (N, height, width, 3), RGB, uint8.
        each: Sees every value as it is made, and gives what the readers get in its place.
    """
    values = {graph.input: pixels}
    left = {name: len(readers) for name, readers in graph.users().items()}
    kept = set(graph.outputs.values())
    for op in graph.ops:
        values[op.output] = each(op, run_op(op, *(values[name] for name in op.inputs)))
        for name in op.inputs:
            left[name] -= 1
            if not left[name] and name not in kept:
                values.pop(name, None)  # the largest nets hold gigabytes otherwise
    return {key: values[name] for key, name in graph.outputs.items()}
