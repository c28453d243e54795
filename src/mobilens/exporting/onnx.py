"""A graph as an ONNX file: raw uint8 pixels in, answers out, a batch of any size.

Values with a grid stand between a QuantizeLinear and a DequantizeLinear, the form that every
runtime which reads ONNX turns into integer kernels of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mobilens.errors import ExportError
from mobilens.exporting.float16 import float16
from mobilens.exporting.onnx_selection import write_selection
from mobilens.graph import ops
from mobilens.graph.quantised import Grid, Quantisation
from mobilens.graph.slopes import prelu_by_sums
from mobilens.graph.widen import widened
from mobilens.runtime.manifest import Manifest

OPSET = 20
IR_VERSION = 9
BATCH = "batch"
# ONNX Runtime's integer kernel for filters of single channels takes 16 at once, and one by one what
# is left: three times as long for 72 channels as for 80.
CHANNELS_AT_ONCE = 16
ACTIVATIONS: dict[str, str] = {
    "relu": "Relu",
    "hard_swish": "HardSwish",
    "hard_sigmoid": "HardSigmoid",
    "gelu": "Gelu",
    "sigmoid": "Sigmoid",
    "exp": "Exp",
}


def build_onnx(
    graph: ops.Graph,
    quantisation: Quantisation | None = None,
    *,
    half: bool = False,
    turn_last: bool = False,
) -> bytes:
    """Write a graph down.

    Args:
        graph: What to write.
        quantisation: What of it is 8-bit; nothing by default.
        half: Whether filters are stored in float16, each with a cast to float32 that runtimes do
            once.
        turn_last: Whether pixels become float before they become (C, H, W), for runtimes that
            keep (H, W, C) in memory; four bytes are turned in place of one elsewhere.

    Returns:
        The bytes of the file, still without a manifest.
    """
    return _Writer(graph, quantisation or Quantisation({}, {}), half, turn_last).write()


def build(
    graph: ops.Graph,
    manifest: Manifest,
    path: Path,
    quantisation: Quantisation | None = None,
) -> None:
    """Write a graph as one file."""
    # ONNX Runtime's PRelu goes one number at a time: MobileFaceNet takes three times as long by it.
    graph = prelu_by_sums(graph)
    if quantisation:
        graph, quantisation = widened(graph, quantisation, CHANNELS_AT_ONCE)
    path.write_bytes(build_onnx(graph, quantisation, half=manifest.precision == "float16"))


class _Writer:
    """The parts of the file as they come together."""

    def __init__(
        self, graph: ops.Graph, quantisation: Quantisation, half: bool, turn_last: bool
    ) -> None:
        self._graph, self._quantisation = graph, quantisation
        self._half, self._turn_last = half, turn_last
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        # The name under which a value is read as float; integers are read through their pair.
        self._names = {graph.input: graph.input}

    def write(self) -> bytes:
        """Give the bytes of the file."""
        for op in self._graph.ops:
            self._write_op(op)
        for key, name in self._graph.outputs.items():
            self._node("Identity", [self._names[name]], key)
        model = helper.make_model(
            helper.make_graph(
                self._nodes,
                "mobilens",
                [
                    self._info(
                        self._graph.input, TensorProto.UINT8, self._graph.shapes[self._graph.input]
                    )
                ],
                [
                    self._info(key, TensorProto.FLOAT, self._graph.shapes[name])
                    for key, name in self._graph.outputs.items()
                ],
                list(self._constants.values()),
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="mobilens",
        )
        data: bytes = model.SerializeToString(deterministic=True)
        return data

    def _info(self, name: str, kind: int, shape: ops.Shape) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [BATCH, *shape])

    def _write_op(self, op: ops.Op) -> None:
        inputs = [self._names[name] for name in op.inputs]
        made = self._float(op, inputs)
        self._names[op.output] = self._through_grid(op.output, made)

    def _float(self, op: ops.Op, inputs: list[str]) -> str:
        """Write what computes a value; gives the name of the result."""
        match op:
            case ops.Normalise():
                return self._normalise(op, inputs)
            case ops.Border():
                top, left, bottom, right = op.pads
                pads = np.array([0, top, left, 0, 0, bottom, right, 0], np.int64)
                values = [
                    self._constant(f"{op.output}.pads", pads),
                    self._constant(f"{op.output}.value", np.array(op.value, np.uint8)),
                ]
                return self._node("Pad", [*inputs, *values], op.output)
            case ops.Conv():
                return self._conv(op, inputs)
            case ops.Linear():
                return self._clamped(op, self._linear(op, inputs), op.clamp)
            case ops.Activation() if op.kind in ACTIVATIONS:
                extra: dict[str, Any] = (
                    {"alpha": 1 / 6, "beta": 0.5} if op.kind == "hard_sigmoid" else {}
                )
                return self._node(ACTIVATIONS[op.kind], inputs, op.output, **extra)
            case ops.Prelu():
                slope = self._constant(f"{op.output}.slope", op.slope.reshape(-1, 1, 1))
                return self._node("PRelu", [*inputs, slope], op.output)
            case ops.Add():
                if op.constant is not None:
                    inputs = [*inputs, self._number(op)]
                return self._clamped(op, self._node("Add", inputs, op.output), op.clamp)
            case ops.Mul():
                return self._node("Mul", inputs, op.output)
            case ops.Scale():
                return self._scale(op, inputs)
            case ops.Mean():
                return self._node("GlobalAveragePool", inputs, op.output)
            case ops.Permute():
                return self._node("Transpose", inputs, op.output, perm=list(op.order))
            case ops.Reshape():
                shape = np.array([0, *op.shape], np.int64)  # 0 keeps the batch
                return self._node(
                    "Reshape", [*inputs, self._constant(f"{op.output}.shape", shape)], op.output
                )
            case ops.MatMul():
                if op.transpose:
                    turned = self._node(
                        "Transpose", inputs[1:], f"{op.output}.turned", perm=[0, 2, 1]
                    )
                    inputs = [inputs[0], turned]
                return self._node("MatMul", inputs, op.output)
            case ops.Softmax():
                return self._node("Softmax", inputs, op.output, axis=1 if op.channels else -1)
            case ops.ArgMax():
                found = self._node("ArgMax", inputs, f"{op.output}.found", axis=1, keepdims=0)
                return self._node("Cast", [found], op.output, to=TensorProto.FLOAT)
            case ops.Resize():
                return self._resize(op, inputs)
            case ops.Concat():
                return self._node("Concat", inputs, op.output, axis=1)
            case ops.Slice():
                bounds = [
                    self._constant(f"{op.output}.{name}", np.array([value], np.int64))
                    for name, value in (("begin", op.begin), ("end", op.end), ("axis", -1))
                ]
                return self._node("Slice", [*inputs, *bounds], op.output)
            case ops.SelectBoxes():
                return self._selection(op, inputs)
        raise ExportError(f"ONNX has no operator for {type(op).__name__} ({op.output})")

    def _normalise(self, op: ops.Normalise, inputs: list[str]) -> str:
        if op.output in self._quantisation.grids:
            # Whole numbers as they are: only the pair's second half follows.
            return self._turned(inputs[0], f"{op.output}.pixels")
        if op.std != (1 / 255,) * 3:
            raise ExportError("normalisation is not folded", expected="pixels.fold_normalisation")
        means = (255 * np.array(op.mean)).astype(np.float32)
        pixels = inputs[0] if self._turn_last else self._turned(inputs[0], f"{op.output}.pixels")
        values = self._node("Cast", [pixels], f"{op.output}.values", to=TensorProto.FLOAT)
        mean = self._constant(
            f"{op.output}.mean", means if self._turn_last else means.reshape(3, 1, 1)
        )
        if not self._turn_last:
            return self._node("Sub", [values, mean], op.output)
        return self._turned(self._node("Sub", [values, mean], f"{op.output}.centred"), op.output)

    def _turned(self, image: str, output: str) -> str:
        return self._node("Transpose", [image], output, perm=[0, 3, 1, 2])

    def _conv(self, op: ops.Conv, inputs: list[str]) -> str:
        filters, bias = self._filters(op)
        made = self._node(
            "Conv",
            [*inputs, filters, bias],
            op.output,
            kernel_shape=list(op.weight.shape[2:]),
            strides=list(op.stride),
            pads=list(op.pads),
            dilations=list(op.dilation),
            group=op.groups,
        )
        return self._clamped(op, made, op.clamp)

    def _linear(self, op: ops.Linear, inputs: list[str]) -> str:
        filters, bias = self._filters(op)
        if len(self._graph.shapes[op.output]) == 1:
            return self._node("Gemm", [*inputs, filters, bias], op.output, transB=1)
        turned = self._node("Transpose", [filters], f"{op.output}.turned", perm=[1, 0])
        product = self._node("MatMul", [*inputs, turned], f"{op.output}.product")
        return self._node("Add", [product, bias], op.output)

    def _filters(self, op: ops.Conv | ops.Linear) -> tuple[str, str]:
        """Filters and bias: as they are, or as integers with what turns them back."""
        weight, bias = f"{op.output}.weight", f"{op.output}.bias"
        if not self._quantisation.has_integer_filters(op):
            return self._filter(weight, op.weight), self._constant(bias, op.bias)
        scales = self._quantisation.scales[op.output]
        step = np.float64(self._quantisation.grids[op.inputs[0]].scale) * scales
        return (
            self._dequantised(weight, self._quantisation.filters(op), scales),
            self._dequantised(bias, self._quantisation.bias(op), step.astype(np.float32)),
        )

    def _filter(self, name: str, values: ops.Floats) -> str:
        if not self._half:
            return self._constant(name, values)
        stored = self._constant(f"{name}.half", float16(values, name))
        return self._node("Cast", [stored], name, to=TensorProto.FLOAT)

    def _dequantised(self, name: str, values: NDArray[Any], scales: NDArray[np.float32]) -> str:
        inputs = [
            self._constant(f"{name}.integers", values),
            self._constant(f"{name}.scales", scales),
            self._constant(f"{name}.zeros", np.zeros(len(scales), values.dtype)),
        ]
        return self._node("DequantizeLinear", inputs, name, axis=0)

    def _clamped(self, op: ops.Op, made: str, clamp: ops.Clamp) -> str:
        # Integers are clamped by the ends of their grid.
        if clamp == ops.UNCLAMPED or self._quantisation.is_integer(op):
            return made
        lowest, highest = clamp
        if clamp == (0.0, None):
            return self._node("Relu", [made], f"{made}.relu")
        bounds = [
            "" if bound is None else self._constant(f"clamp.{bound}", np.array(bound, np.float32))
            for bound in (lowest, highest)
        ]
        return self._node("Clip", [made, *bounds], f"{made}.clip")

    def _scale(self, op: ops.Scale, inputs: list[str]) -> str:
        shape: tuple[int, ...] = (-1, 1, 1) if len(op.scale) > 1 else (1,)
        if op.scale.ndim > 1:
            shape = op.scale.shape
        scale = self._constant(f"{op.output}.factor", op.scale.reshape(shape))
        made = self._node("Mul", [*inputs, scale], op.output)
        if not op.shift.any():
            return made
        shift = self._constant(f"{op.output}.shift", op.shift.reshape(shape))
        return self._node("Add", [made, shift], f"{op.output}.shifted")

    def _resize(self, op: ops.Resize, inputs: list[str]) -> str:
        height, width = self._graph.shapes[op.inputs[0]][1:]
        factors = np.array([1, 1, op.size[0] / height, op.size[1] / width], np.float32)
        scales = self._constant(f"{op.output}.scales", factors)
        return self._node(
            "Resize",
            [*inputs, "", scales],
            op.output,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def _selection(self, op: ops.SelectBoxes, inputs: list[str]) -> str:
        """Choose boxes of each image, which takes many operators."""
        return write_selection(op, inputs, self._graph.shapes, self._node, self._constant)

    def _number(self, op: ops.Add) -> str:
        """The constant of a sum."""
        value = np.array([op.constant], np.float32)
        name = f"{op.output}.constant"
        if not self._quantisation.is_integer(op):
            return self._constant(name, value)
        grid = Grid.covering(float(value[0]), float(value[0]))
        # Of as many axes as the image: ONNX Runtime else sums one by one what has a single pixel.
        steps = _unsigned(grid.encode(value)).reshape(
            [1] * (1 + len(self._graph.shapes[op.output]))
        )
        stored = self._constant(f"{name}.integers", steps)
        return self._node("DequantizeLinear", [stored, *self._grid(name, grid)], name)

    def _through_grid(self, name: str, made: str) -> str:
        """Round a value to its grid, where it has one."""
        grid = self._quantisation.grids.get(name)
        if grid is None:
            return made
        pair = self._grid(name, grid)
        if not isinstance(self._graph.maker()[name], ops.Normalise):
            made = self._node("QuantizeLinear", [made, *pair], f"{name}.integers")
        return self._node("DequantizeLinear", [made, *pair], f"{name}.rounded")

    def _grid(self, name: str, grid: Grid) -> list[str]:
        return [
            self._constant(f"{name}.scale", np.array(grid.scale, np.float32)),
            self._constant(f"{name}.zero_point", np.array(grid.zero_point + 128, np.uint8)),
        ]

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        # Another constant of this name would be read in its place.
        known = self._constants.get(name)
        assert known is None or np.array_equal(numpy_helper.to_array(known), values), name
        self._constants[name] = numpy_helper.from_array(
            np.ascontiguousarray(values).reshape(values.shape), name
        )
        return name

    def _node(
        self, kind: str, inputs: list[str], output: str, more: Sequence[str] = (), **attributes: Any
    ) -> str:
        outputs = [output, *more]
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=output, **attributes))
        return output


def _unsigned(values: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Shift int8 to uint8, which runtimes on x86 multiply faster."""
    return (values.astype(np.int16) + 128).astype(np.uint8)
