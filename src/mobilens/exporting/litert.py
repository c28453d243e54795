"""A graph as a LiteRT (TensorFlow Lite) flatbuffer: raw uint8 pixels in, answers out.

Layout and operators are those of the format's schema
(https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs). Images lie
in memory as (N, H, W, C) there. Values with a grid are int8, biases int32, filters int8 a channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from mobilens.errors import ExportError
from mobilens.exporting.float16 import float16
from mobilens.exporting.layout import channels_last
from mobilens.exporting.litert_metadata import LABELS, build_metadata
from mobilens.exporting.litert_metadata import NAME as METADATA_NAME
from mobilens.graph import ops
from mobilens.graph.quantised import Grid, Quantisation
from mobilens.runtime.formats.litert import add_file
from mobilens.runtime.manifest import Manifest

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
SIGNATURE = "serving_default"

B = schema.BuiltinOperator
TENSOR_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}
FUSED: dict[ops.Clamp, int] = {
    (None, None): schema.ActivationFunctionType.NONE,
    (0.0, None): schema.ActivationFunctionType.RELU,
    (0.0, 6.0): schema.ActivationFunctionType.RELU6,
}
ACTIVATIONS: dict[str, int] = {
    "relu": B.RELU,
    "relu6": B.RELU6,
    "hard_swish": B.HARD_SWISH,
    "sigmoid": B.LOGISTIC,
    "gelu": B.GELU,
    "exp": B.EXP,
}
# The version of an operator that knows int8; 1 for the others.
INTEGER_VERSIONS = {
    B.CONV_2D: 3,
    B.DEPTHWISE_CONV_2D: 3,
    B.FULLY_CONNECTED: 4,
    B.ADD: 2,
    B.MUL: 2,
    B.MEAN: 2,
    B.PAD: 2,
    B.QUANTIZE: 2,
    B.DEQUANTIZE: 2,
    B.SUB: 2,
    B.CONCATENATION: 2,
    B.RESIZE_BILINEAR: 3,
}
# The version of DEQUANTIZE that widens float16.
HALF_VERSION = 3


def build_litert(
    graph: ops.Graph,
    quantisation: Quantisation | None = None,
    metadata: bytes = b"",
    *,
    half: bool = False,
) -> bytes:
    """Write a graph down.

    Args:
        graph: What to write.
        quantisation: What of it is 8-bit; nothing by default.
        metadata: What phone libraries read, see ``litert_metadata``.
        half: Whether filters are stored in float16; XNNPACK widens them once, or computes so.

    Returns:
        The bytes of the file, still without a manifest.
    """
    return _Writer(graph, quantisation or Quantisation({}, {}), half).write(metadata)


def build(
    graph: ops.Graph, manifest: Manifest, path: Path, quantisation: Quantisation | None = None
) -> None:
    """Write a graph as one file, the labels packed behind it."""
    labels = "\n".join(manifest.task.class_names) + "\n"
    metadata = build_metadata(
        str(manifest.model["name"]),
        manifest.licence.weights,
        graph.input,
        next(iter(graph.outputs)),
    )
    classifies = manifest.task.kind == "classify"
    half = manifest.precision == "float16"
    model = build_litert(graph, quantisation, metadata if classifies else b"", half=half)
    data = add_file(model, LABELS, labels.encode("utf-8", "surrogateescape"))
    path.write_bytes(data)


class _Writer:
    """The parts of the file as they come together.

    A value may exist twice, as float and as integers; what reads it asks for the one it needs.
    """

    def __init__(self, graph: ops.Graph, quantisation: Quantisation, half: bool) -> None:
        self._graph, self._quantisation, self._half = graph, quantisation, half
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]  # the first is empty, by the schema
        self._operators: list[Any] = []
        self._codes: dict[tuple[int, int], int] = {}
        self._float: dict[str, int] = {}
        self._integer: dict[str, int] = {}
        self._images = channels_last(graph)

    def write(self, metadata: bytes) -> bytes:
        """Give the bytes of the file."""
        height, width, channels = self._graph.shapes[self._graph.input]
        pixels = self._tensor(self._graph.input, (1, height, width, channels), np.uint8)
        self._float[self._graph.input] = pixels
        for op in self._graph.ops:
            self._write_op(op)
        outputs = [self._as_float(name) for name in self._graph.outputs.values()]
        for key, tensor in zip(self._graph.outputs, outputs, strict=True):
            self._tensors[tensor].name = key
        return self._pack(pixels, outputs, metadata)

    def _write_op(self, op: ops.Op) -> None:
        match op:
            case ops.Normalise():
                self._normalise(op)
            case ops.Conv():
                self._conv(op)
            case ops.Linear():
                self._linear(op)
            case ops.Add():
                self._elementwise(op, B.ADD, schema.AddOptionsT(), op.constant)
            case ops.Mul():
                self._elementwise(op, B.MUL, schema.MulOptionsT(), None)
            case ops.Activation() if op.kind in ACTIVATIONS:
                self._activation(op)
            case ops.Prelu():
                slope = self._constant(f"{op.output}.slope", op.slope.reshape(1, 1, -1))
                self._emit(op, B.PRELU, None, slope)
            case ops.Scale():
                self._scale(op)
            case ops.Mean():
                self._mean(op)
            case ops.Permute():
                self._permute(op)
            case ops.Reshape():
                self._reshape(op)
            case ops.MatMul():
                self._matmul(op)
            case ops.Softmax():
                if op.channels and not self._images[op.output]:
                    raise ExportError(f"{op.output} has its channels first in memory")
                options = schema.SoftmaxOptionsT()
                options.beta = 1.0
                self._emit(op, B.SOFTMAX, options)
            case ops.Resize():
                self._resize(op)
            case ops.Slice():
                self._slice(op)
            case ops.Concat():
                joined = schema.ConcatenationOptionsT()
                joined.axis = 3 if self._images[op.output] else 1
                self._emit(op, B.CONCATENATION, joined)
            case _:
                raise ExportError(f"LiteRT has no operator for {type(op).__name__} ({op.output})")

    def _normalise(self, op: ops.Normalise) -> None:
        """Pixels less whole means stay integers; other means are subtracted in floats."""
        pixels = self._float[self._graph.input]
        centre = 255 * op.mean[0]
        shape = (1, *self._graph.shapes[self._graph.input])
        if op.output in self._quantisation.grids:
            grid = self._quantisation.grids[op.output]
            self._quantise_tensor(pixels, Grid(grid.scale, grid.zero_point + 128))
            values = self._tensor(f"{op.output}.values", shape, np.float32)
            self._operator(B.DEQUANTIZE, [pixels], [values], schema.DequantizeOptionsT())
            self._operator(B.QUANTIZE, [values], [self._own(op, True)], schema.QuantizeOptionsT())
            return
        self._quantise_tensor(pixels, Grid(1.0, 0))
        values = self._tensor(f"{op.output}.values", shape, np.float32)
        self._operator(B.DEQUANTIZE, [pixels], [values], schema.DequantizeOptionsT())
        if op.std != (1 / 255,) * 3:
            raise ExportError("normalisation is not folded", expected="pixels.fold_normalisation")
        same = len(set(op.mean)) == 1
        means = np.array([centre] if same else 255 * np.tile(op.mean, shape[2]), np.float32)
        # One long row: runtimes are slow at subtracting three numbers at a time.
        means = means.reshape((1,) if same else (1, 1, shape[2], 3))
        self._operator(
            B.SUB,
            [values, self._constant(f"{op.output}.mean", means)],
            [self._own(op, False)],
            schema.SubOptionsT(),
        )

    def _conv(self, op: ops.Conv) -> None:
        integer = self._quantisation.is_integer(op)
        source = self._padded(op, integer)
        weight = self._quantisation.filters(op) if integer else op.weight
        # (out, in, h, w) to (out, h, w, in), and for depthwise to (1, h, w, out).
        weight = weight.transpose(1, 2, 3, 0) if op.depthwise else weight.transpose(0, 2, 3, 1)
        options = schema.DepthwiseConv2DOptionsT() if op.depthwise else schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME if self._is_same(op) else schema.Padding.VALID
        options.strideH, options.strideW = op.stride
        options.dilationHFactor, options.dilationWFactor = op.dilation
        code = B.CONV_2D
        if op.depthwise:
            code, options.depthMultiplier = B.DEPTHWISE_CONV_2D, len(op.weight) // op.groups
        elif (
            op.groups > 1 and op.weight.shape[1] * op.groups != self._graph.shapes[op.inputs[0]][0]
        ):
            raise ExportError(f"{op.output} has {op.groups} groups", expected="1, or depthwise")
        self._filtered(op, code, options, source, weight, 3 if op.depthwise else 0, integer)

    def _linear(self, op: ops.Linear) -> None:
        integer = self._quantisation.is_integer(op)
        source = self._as_integer(op.inputs[0]) if integer else self._as_float(op.inputs[0])
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = len(self._graph.shapes[op.output]) > 1
        weight = self._quantisation.filters(op) if integer else op.weight
        self._filtered(op, B.FULLY_CONNECTED, options, source, weight, 0, integer)

    def _filtered(
        self,
        op: ops.Conv | ops.Linear,
        code: int,
        options: Any,
        source: int,
        weight: NDArray[Any],
        axis: int,
        integer: bool,
    ) -> None:
        """Write what has filters and a bias."""
        filters = self._filters(f"{op.output}.weight", np.ascontiguousarray(weight))
        bias = self._quantisation.bias(op) if integer else op.bias
        added = self._constant(f"{op.output}.bias", bias)
        clamp = op.clamp
        if integer:
            scales = self._quantisation.scales[op.output]
            step = np.float64(self._quantisation.grids[op.inputs[0]].scale) * scales
            self._scale_tensor(filters, scales, axis)
            self._scale_tensor(added, step.astype(np.float32), 0)
            clamp = ops.UNCLAMPED  # the ends of the grid clamp
        if clamp in FUSED:
            options.fusedActivationFunction = FUSED[clamp]
            self._operator(code, [source, filters, added], [self._own(op, integer)], options)
            return
        raw = self._tensor(f"{op.output}.raw", self._physical(op.output), np.float32)
        self._operator(code, [source, filters, added], [raw], options)
        self._clamped(op, raw, clamp)

    def _filters(self, name: str, weight: NDArray[Any]) -> int:
        if not self._half or weight.dtype != np.float32:
            return self._constant(name, weight)
        stored = self._constant(f"{name}.half", float16(weight, name))
        widened = self._tensor(name, weight.shape, np.float32)
        self._operator(B.DEQUANTIZE, [stored], [widened], schema.DequantizeOptionsT())
        return widened

    def _clamped(self, op: ops.Op, raw: int, clamp: ops.Clamp) -> None:
        lowest, highest = clamp
        if (lowest, highest) == (0.0, 1.0):
            self._operator(B.RELU_0_TO_1, [raw], [self._own(op, False)], None)
            return
        raise ExportError(f"{op.output} is clamped to {clamp}", expected=str(list(FUSED)))

    def _elementwise(
        self, op: ops.Add | ops.Mul, code: int, options: Any, constant: float | None
    ) -> None:
        integer = self._quantisation.is_integer(op)
        read = self._as_integer if integer else self._as_float
        inputs = [read(name) for name in op.inputs]
        if constant is not None:
            inputs.append(self._number(f"{op.output}.constant", constant, integer))
        clamp = ops.UNCLAMPED if integer or isinstance(op, ops.Mul) else op.clamp
        if clamp not in FUSED:
            raise ExportError(f"{op.output} is clamped to {clamp}", expected=str(list(FUSED)))
        options.fusedActivationFunction = FUSED[clamp]
        self._operator(code, inputs, [self._own(op, integer)], options)

    def _number(self, name: str, value: float, integer: bool) -> int:
        if not integer:
            return self._constant(name, np.array([value], np.float32))
        grid = Grid.covering(min(value, 0.0), max(value, 0.0))
        tensor = self._constant(name, grid.encode(np.array([value], np.float32)))
        self._quantise_tensor(tensor, grid)
        return tensor

    def _activation(self, op: ops.Activation) -> None:
        options = None
        if op.kind == "hard_swish":
            options = schema.HardSwishOptionsT()
        elif op.kind == "gelu":
            options = schema.GeluOptionsT()
        elif op.kind == "exp":
            options = schema.ExpOptionsT()
        self._emit(op, ACTIVATIONS[op.kind], options)

    def _scale(self, op: ops.Scale) -> None:
        """A product and a sum with a row of numbers, one a channel."""
        image = self._images[op.inputs[0]]
        if op.scale.ndim == 1 and len(op.scale) > 1 and not image:
            raise ExportError(f"{op.output} scales channels of what is no image")
        source = self._as_float(op.inputs[0])
        scale = self._constant(f"{op.output}.scale", op.scale)
        shifted = bool(op.shift.any())
        own = self._own(op, False)
        product = (
            own
            if not shifted
            else self._tensor(f"{op.output}.product", self._physical(op.output), np.float32)
        )
        self._operator(B.MUL, [source, scale], [product], schema.MulOptionsT())
        if shifted:
            shift = self._constant(f"{op.output}.shift", op.shift)
            self._operator(B.ADD, [product, shift], [own], schema.AddOptionsT())

    def _mean(self, op: ops.Mean) -> None:
        options = schema.ReducerOptionsT()
        options.keepDims = True
        axes = self._constant(f"{op.output}.axes", np.array([1, 2], np.int32))
        self._emit(op, B.MEAN, options, axes)

    def _slice(self, op: ops.Slice) -> None:
        shape = self._graph.shapes[op.output]
        begin = np.array([0] * len(shape) + [op.begin], np.int32)
        bounds = [
            self._constant(f"{op.output}.begin", begin),
            self._constant(f"{op.output}.size", np.array([1, *shape], np.int32)),
        ]
        self._emit(op, B.SLICE, schema.SliceOptionsT(), *bounds)

    def _resize(self, op: ops.Resize) -> None:
        options = schema.ResizeBilinearOptionsT()
        options.halfPixelCenters = True
        size = self._constant(f"{op.output}.size", np.array(op.size, np.int32))
        self._emit(op, B.RESIZE_BILINEAR, options, size)

    def _permute(self, op: ops.Permute) -> None:
        source = op.inputs[0]
        if self._images[source] != self._images[op.output]:
            # Channels first in name, last in memory: the same bytes under another name.
            self._alias(op)
            return
        if self._images[source]:
            raise ExportError(f"{op.output} turns an image by {op.order}")
        order = self._constant(f"{op.output}.order", np.array(op.order, np.int32))
        self._emit(op, B.TRANSPOSE, schema.TransposeOptionsT(), order)

    def _reshape(self, op: ops.Reshape) -> None:
        source = op.inputs[0]
        shape = self._graph.shapes[source]
        options = schema.ReshapeOptionsT()
        options.newShape = [-1, *op.shape]
        new = self._constant(f"{op.output}.shape", np.array(options.newShape, np.int32))
        if self._images[source] and shape[1:] != (1, 1):
            raise ExportError(f"{op.output} reshapes an image of {shape}")
        self._emit(op, B.RESHAPE, options, new)

    def _matmul(self, op: ops.MatMul) -> None:
        options = schema.BatchMatMulOptionsT()
        options.adjY = op.transpose
        self._emit(op, B.BATCH_MATMUL, options)

    def _emit(self, op: ops.Op, code: int, options: Any, *constants: int) -> None:
        """Write an operator that has nothing of its own but its options."""
        integer = self._quantisation.is_integer(op)
        read = self._as_integer if integer else self._as_float
        inputs = [read(name) for name in op.inputs]
        self._operator(code, [*inputs, *constants], [self._own(op, integer)], options)

    def _alias(self, op: ops.Op) -> None:
        for known in (self._float, self._integer):
            if op.inputs[0] in known:
                known[op.output] = known[op.inputs[0]]

    def _is_same(self, op: ops.Conv) -> bool:
        """Whether the padding is TensorFlow's SAME, which the convolution does for itself."""
        sizes = self._graph.shapes[op.inputs[0]][1:]
        return op.pads == _same_pads(op, sizes)

    def _padded(self, op: ops.Conv, integer: bool) -> int:
        """The input of a convolution, with zeros around it where SAME would put others."""
        name = op.inputs[0]
        source = self._as_integer(name) if integer else self._as_float(name)
        if self._is_same(op) or not any(op.pads):
            return source
        top, left, bottom, right = op.pads
        height, width = self._graph.shapes[name][1:]
        shape = (1, height + top + bottom, width + left + right, self._graph.shapes[name][0])
        sides = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        dtype = np.int8 if integer else np.float32
        padded = self._tensor(f"{op.output}.padded", shape, dtype)
        if integer:
            self._quantise_tensor(padded, self._quantisation.grids[name])
        pads = self._constant(f"{op.output}.pads", sides)
        self._operator(B.PAD, [source, pads], [padded], schema.PadOptionsT())
        return padded

    def _as_float(self, name: str) -> int:
        if name not in self._float:
            tensor = self._tensor(f"{name}.float", self._physical(name), np.float32)
            self._operator(
                B.DEQUANTIZE, [self._integer[name]], [tensor], schema.DequantizeOptionsT()
            )
            self._float[name] = tensor
        return self._float[name]

    def _as_integer(self, name: str) -> int:
        if name not in self._integer:
            tensor = self._tensor(f"{name}.int8", self._physical(name), np.int8)
            self._quantise_tensor(tensor, self._quantisation.grids[name])
            self._operator(B.QUANTIZE, [self._float[name]], [tensor], schema.QuantizeOptionsT())
            self._integer[name] = tensor
        return self._integer[name]

    def _own(self, op: ops.Op, integer: bool) -> int:
        """The tensor that an operator makes."""
        dtype = np.int8 if integer else np.float32
        tensor = self._tensor(op.output, self._physical(op.output), dtype)
        if integer:
            self._quantise_tensor(tensor, self._quantisation.grids[op.output])
        (self._integer if integer else self._float)[op.output] = tensor
        return tensor

    def _physical(self, name: str) -> tuple[int, ...]:
        shape = self._graph.shapes[name]
        return (1, *shape[1:], shape[0]) if self._images[name] else (1, *shape)

    def _tensor(self, name: str, shape: Sequence[int], dtype: Any, buffer: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
        tensor.type = TENSOR_TYPES[np.dtype(dtype)]
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _constant(self, name: str, values: NDArray[Any]) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._buffers.append(buffer)
        return self._tensor(name, values.shape, values.dtype, len(self._buffers) - 1)

    def _quantise_tensor(self, tensor: int, grid: Grid) -> None:
        self._scale_tensor(tensor, np.array([grid.scale], np.float32), 0, grid.zero_point)

    def _scale_tensor(
        self, tensor: int, scales: NDArray[np.float32], axis: int, zero_point: int = 0
    ) -> None:
        parameters = schema.QuantizationParametersT()
        parameters.scale = scales.astype(np.float32)
        parameters.zeroPoint = np.full(len(scales), zero_point, np.int64)
        parameters.quantizedDimension = axis
        self._tensors[tensor].quantization = parameters

    def _operator(self, code: int, inputs: list[int], outputs: list[int], options: Any) -> None:
        operator = schema.OperatorT()
        integer = self._tensors[outputs[0]].type == schema.TensorType.INT8
        integer |= code == B.DEQUANTIZE
        version = INTEGER_VERSIONS.get(code, 1) if integer else 1
        if self._tensors[inputs[0]].type == schema.TensorType.FLOAT16:
            version = HALF_VERSION
        operator.opcodeIndex = self._codes.setdefault((code, version), len(self._codes))
        operator.inputs, operator.outputs = inputs, outputs
        if options is not None:
            operator.builtinOptions = options
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        self._operators.append(operator)

    def _pack(self, pixels: int, outputs: list[int], metadata: bytes) -> bytes:
        subgraph = schema.SubGraphT()
        subgraph.name = "main"
        subgraph.tensors, subgraph.operators = self._tensors, self._operators
        subgraph.inputs, subgraph.outputs = [pixels], outputs
        model = schema.ModelT()
        model.version, model.description = SCHEMA_VERSION, "mobilens"
        model.operatorCodes = [_code(*key) for key in self._codes]
        model.subgraphs, model.buffers = [subgraph], self._buffers
        model.signatureDefs = [
            self._signature(pixels, dict(zip(self._graph.outputs, outputs, strict=True)))
        ]
        if metadata:
            model.metadata = [self._metadata(metadata)]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _metadata(self, content: bytes) -> Any:
        entry = schema.MetadataT()
        entry.name, entry.buffer = METADATA_NAME, len(self._buffers)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8)
        self._buffers.append(buffer)
        return entry

    def _signature(self, pixels: int, outputs: Mapping[str, int]) -> Any:
        """Names of input and outputs, for those who call by name."""
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
        signature.inputs = [_named(self._graph.input, pixels)]
        signature.outputs = [_named(name, tensor) for name, tensor in outputs.items()]
        return signature


def _same_pads(op: ops.Conv, sizes: Sequence[int]) -> tuple[int, int, int, int]:
    totals = []
    for size, stride, kernel, dilation in zip(
        sizes, op.stride, op.weight.shape[2:], op.dilation, strict=True
    ):
        reach = dilation * (kernel - 1) + 1
        totals.append(max((-(-size // stride) - 1) * stride + reach - size, 0))
    (vertical, horizontal) = totals
    return vertical // 2, horizontal // 2, vertical - vertical // 2, horizontal - horizontal // 2


def _code(code: int, version: int) -> Any:
    entry = schema.OperatorCodeT()
    entry.builtinCode, entry.version = code, version
    # Readers of before 2020 know the first 127 by this field alone.
    entry.deprecatedBuiltinCode = min(code, B.PLACEHOLDER_FOR_GREATER_OP_CODES)
    return entry


def _named(name: str, tensor: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, tensor
    return entry
