"""What each call of torch is in a graph: one handler for each operator that nets make use of."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch.fx import Node

from mobilens.errors import ExportError
from mobilens.graph import ops
from mobilens.tasks.detection import select  # noqa: F401 (it makes an operator of torch)

if TYPE_CHECKING:
    from mobilens.graph.trace import Tracer

aten = torch.ops.aten
Handler: TypeAlias = Callable[["Tracer", Node], str]


def short_name(target: Any) -> str:
    """Name of a torch operator, as people know it."""
    return str(target).removeprefix("aten.").partition(".")[0].rstrip("_")


def _arguments(node: Node) -> dict[str, Any]:
    """The arguments of a call by name, those left out with what they are then."""
    assert isinstance(node.target, torch._ops.OpOverload)
    names = node.target._schema.arguments
    given = dict(zip((one.name for one in names), node.args, strict=False)) | dict(node.kwargs)
    return {one.name: given.get(one.name, one.default_value) for one in names}


def _read(node: Node, index: int = 0) -> Node:
    """A value that a call reads."""
    value = node.args[index]
    if not isinstance(value, Node):
        raise ExportError(f"{node.target} reads {value}, which is no value of the image")
    return value


def _axes(node: Node) -> int:
    return int(node.meta["val"].ndim)


def _pair(value: Any) -> tuple[int, int]:
    first, last = (value * 2)[:2] if isinstance(value, (list, tuple)) else (value, value)
    return int(first), int(last)


def _conv(tracer: Tracer, node: Node) -> str:
    args = _arguments(node)
    weight, bias = tracer.array(args["weight"]), args["bias"]
    vertical, horizontal = _pair(args["padding"])
    conv = ops.Conv(
        inputs=(tracer.value(args["input"]),),
        output=tracer.name(node, args["weight"]),
        weight=weight,
        bias=tracer.array(bias) if bias is not None else np.zeros(len(weight), np.float32),
        stride=_pair(args["stride"]),
        pads=(vertical, horizontal, vertical, horizontal),
        dilation=_pair(args["dilation"]),
        groups=args["groups"],
    )
    return tracer.add(conv, tracer.shape(node))


def _linear(tracer: Tracer, node: Node) -> str:
    args = _arguments(node)
    weight, bias = tracer.array(args["weight"]), args["bias"]
    linear = ops.Linear(
        inputs=(tracer.value(args["input"]),),
        output=tracer.name(node, args["weight"]),
        weight=weight,
        bias=tracer.array(bias) if bias is not None else np.zeros(len(weight), np.float32),
        fixed=not tracer.is_learnt(args["weight"]),
    )
    return tracer.add(linear, tracer.shape(node))


def _activation(kind: ops.ActivationKind) -> Handler:
    return lambda tracer, node: tracer.append(ops.Activation, node, _read(node), kind=kind)


def _hardtanh(tracer: Tracer, node: Node) -> str:
    args = _arguments(node)
    if (args["min_val"], args["max_val"]) != (0, 6):
        raise ExportError(
            f"hardtanh is bounded by {args['min_val']} and {args['max_val']}",
            expected="0 and 6, as ReLU6 is",
        )
    return tracer.append(ops.Activation, node, _read(node), kind="relu6")


def _prelu(tracer: Tracer, node: Node) -> str:
    shape = tracer.shape(node)
    if len(shape) != 3:
        raise ExportError(f"PReLU reads a value of shape {shape}", expected="an image")
    slope = np.full(shape[:1], tracer.array(node.args[1]))  # one may be for all channels
    return tracer.append(ops.Prelu, node, _read(node), slope=slope)


def _add(tracer: Tracer, node: Node) -> str:
    first, second = _read(node), node.args[1]
    if node.kwargs.get("alpha", 1) != 1:
        raise ExportError("a sum is weighted", expected="a plain sum")
    if isinstance(second, (int, float)):
        return tracer.append(ops.Add, node, first, constant=float(second))
    if tracer.is_tensor(second):
        shift = _numbers(tracer, node, second)
        return tracer.append(ops.Scale, node, first, scale=np.ones_like(shift), shift=shift)
    return tracer.append(ops.Add, node, first, _read(node, 1))


def _mul(tracer: Tracer, node: Node) -> str:
    first, second = node.args[:2]
    if tracer.is_tensor(first):
        first, second = second, first
    assert isinstance(first, Node)
    if isinstance(second, (int, float)):
        scale = np.array([second], np.float32)
    elif tracer.is_tensor(second):
        scale = _numbers(tracer, node, second)
    else:
        assert isinstance(second, Node)
        if prod(tracer.shape(first)) < prod(tracer.shape(second)):
            first, second = second, first
        return tracer.append(ops.Mul, node, first, second)
    return tracer.append(ops.Scale, node, first, scale=scale, shift=np.zeros_like(scale))


def _numbers(tracer: Tracer, node: Node, weight: Any) -> ops.Floats:
    """What a value is multiplied by or added to: a number a channel, or one for each value."""
    values, shape = tracer.array(weight), tracer.shape(node)
    if len(shape) == 2 and values.size > 1:
        return np.ascontiguousarray(np.broadcast_to(values, shape))
    if len(shape) == 3 and values.size not in (1, shape[0]):
        raise ExportError(f"{node.name} has {values.size} numbers for shape {shape}")
    return values.ravel()


def _resize(tracer: Tracer, node: Node) -> str:
    if _arguments(node)["align_corners"]:
        raise ExportError("an image is resized between corners", expected="align_corners=False")
    height, width = tracer.shape(node)[1:]
    return tracer.append(ops.Resize, node, _read(node), size=(height, width))


def _slice(tracer: Tracer, node: Node) -> str:
    args = _arguments(node)
    source = _read(node)
    axis, last = args["dim"] % _axes(source), _axes(source) - 1
    size = source.meta["val"].shape[axis]
    begin, end = args["start"] or 0, min(args["end"] if args["end"] is not None else size, size)
    if (begin, end) == (0, size):
        return _same(tracer, node)
    if axis != last or args["step"] != 1:
        raise ExportError(
            f"a part of axis {axis} is taken", expected="of the last one, in one piece"
        )
    return tracer.append(ops.Slice, node, source, begin=begin, end=end)


def _rsub(tracer: Tracer, node: Node) -> str:
    """A number less a value."""
    args = _arguments(node)
    if args["alpha"] != 1 or not isinstance(args["other"], (int, float)):
        raise ExportError("a difference is weighted", expected="a plain one")
    shift = np.array([args["other"]], np.float32)
    return tracer.append(ops.Scale, node, _read(node), scale=-np.ones_like(shift), shift=shift)


def _concat(tracer: Tracer, node: Node) -> str:
    args = _arguments(node)
    if args["dim"] != 1:
        raise ExportError(f"values are joined along axis {args['dim']}", expected="axis 1")
    return tracer.append(ops.Concat, node, *args["tensors"])


def _select_boxes(tracer: Tracer, node: Node) -> str:
    names = ("candidates", "most", "max_iou", "least_score", "class_agnostic")
    fields = {name: _arguments(node)[name] for name in names}
    return tracer.append(ops.SelectBoxes, node, _read(node), _read(node, 1), **fields)


def _batch_norm(tracer: Tracer, node: Node) -> str:
    args = _arguments(node)
    mean, var = tracer.array(args["running_mean"]), tracer.array(args["running_var"])
    weight, bias = tracer.array(args["weight"]), tracer.array(args["bias"])
    scale = weight.astype(np.float64) / np.sqrt(var.astype(np.float64) + args["eps"])
    return tracer.append(
        ops.Scale,
        node,
        args["input"],
        scale=scale.astype(np.float32),
        shift=(bias - mean * scale).astype(np.float32),
    )


def _mean(tracer: Tracer, node: Node) -> str:
    args = _arguments(node)
    source = _read(node)
    axes = sorted(axis % _axes(source) for axis in args["dim"])
    if axes != [2, 3]:
        raise ExportError(f"a mean is taken over axes {axes}", expected="over [2, 3], the pixels")
    name = tracer.name(node)
    channels = tracer.shape(source)[0]
    mean = ops.Mean(inputs=(tracer.value(source),), output=name)
    tracer.add(mean, (channels, 1, 1))
    if args["keepdim"]:
        return name
    return tracer.append(ops.Reshape, node, made_from=name, shape=(channels,))


def _pad(tracer: Tracer, node: Node) -> str:
    """Zeros around an image: taken in by the convolution that follows, see ``rewrite``."""
    args = _arguments(node)
    sides = [*args["pad"], 0, 0, 0, 0][:4]
    if len(args["pad"]) > 4 or args["value"] not in (None, 0):
        raise ExportError(f"padding is {args['pad']} with {args['value']}", expected="zeros")
    left, right, top, bottom = sides
    return tracer.append(ops.Pad, node, _read(node), pads=(top, left, bottom, right))


def _permute(tracer: Tracer, node: Node) -> str:
    dims = _arguments(node)["dims"]
    order = tuple(axis % len(dims) for axis in dims)
    return tracer.append(ops.Permute, node, _read(node), order=order)


def _transpose(tracer: Tracer, node: Node) -> str:
    args = _arguments(node)
    order = list(range(_axes(_read(node))))
    one, other = args["dim0"] % len(order), args["dim1"] % len(order)
    order[one], order[other] = order[other], order[one]
    return tracer.append(ops.Permute, node, _read(node), order=tuple(order))


def _reshape(tracer: Tracer, node: Node) -> str:
    return tracer.append(ops.Reshape, node, _read(node), shape=tracer.shape(node))


def _matmul(tracer: Tracer, node: Node) -> str:
    return tracer.append(ops.MatMul, node, _read(node), _read(node, 1))


def _softmax(tracer: Tracer, node: Node) -> str:
    axes = _axes(node)
    axis = _arguments(node)["dim"] % axes
    channels = axes == 4 and axis == 1
    if axis != axes - 1 and not channels:
        raise ExportError("softmax runs over an inner axis", expected="over the last one")
    return tracer.append(ops.Softmax, node, _read(node), channels=channels)


def _argmax(tracer: Tracer, node: Node) -> str:
    args = _arguments(node)
    if args["dim"] != 1 or args["keepdim"] or _axes(_read(node)) != 4:
        raise ExportError("the largest value is looked for along another axis", expected="channels")
    return tracer.append(ops.ArgMax, node, _read(node))


def _same(tracer: Tracer, node: Node) -> str:
    """What changes nothing when answering."""
    return tracer.value(_read(node))


# What torch asserts while it traces; nothing is computed.
CHECKS = frozenset((aten._assert_tensor_metadata.default,))

HANDLERS: dict[Any, Handler] = {
    aten.conv2d.default: _conv,
    aten.conv2d.padding: _conv,
    aten.linear.default: _linear,
    aten.relu.default: _activation("relu"),
    aten.relu_.default: _activation("relu"),
    aten.relu6.default: _activation("relu6"),
    aten.relu6_.default: _activation("relu6"),
    aten.hardtanh.default: _hardtanh,
    aten.hardtanh_.default: _hardtanh,
    aten.hardswish.default: _activation("hard_swish"),
    aten.hardswish_.default: _activation("hard_swish"),
    aten.hardsigmoid.default: _activation("hard_sigmoid"),
    aten.hardsigmoid_.default: _activation("hard_sigmoid"),
    aten.sigmoid.default: _activation("sigmoid"),
    aten.gelu.default: _activation("gelu"),
    aten.prelu.default: _prelu,
    aten.add.Tensor: _add,
    aten.add_.Tensor: _add,
    aten.mul.Tensor: _mul,
    aten.batch_norm.default: _batch_norm,
    aten.mean.dim: _mean,
    aten.pad.default: _pad,
    aten.constant_pad_nd.default: _pad,
    aten.permute.default: _permute,
    aten.transpose.int: _transpose,
    aten.flatten.using_ints: _reshape,
    aten.unflatten.int: _reshape,
    aten.reshape.default: _reshape,
    aten.view.default: _reshape,
    aten.matmul.default: _matmul,
    aten.softmax.int: _softmax,
    aten.argmax.default: _argmax,
    aten.upsample_bilinear2d.vec: _resize,
    aten.cat.default: _concat,
    aten.slice.Tensor: _slice,
    aten.exp.default: _activation("exp"),
    aten.rsub.Scalar: _rsub,
    torch.ops.mobilens.select_boxes.default: _select_boxes,
    aten.dropout.default: _same,
    aten.to.dtype: _same,
    aten.to.dtype_layout: _same,
    aten._to_copy.default: _same,
    aten.contiguous.default: _same,
    aten.clone.default: _same,
}
