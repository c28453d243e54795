"""A graph as an ExecuTorch program: one call of XNNPACK from raw uint8 pixels to answers.

XNNPACK's own operators are written down directly, not by way of torch operators and a partitioner:
nothing is left outside the delegate, padding may differ from side to side, and it takes a hundredth
of the time. Images lie in memory as (N, H, W, C).
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from executorch.backends.xnnpack.serialization import xnnpack_graph_schema as xnn
from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import (
    serialize_xnnpack_binary,
)
from executorch.exir import schema
from executorch.exir._serialize._named_data_store import NamedDataStore
from executorch.exir._serialize._program import PTEFile, serialize_pte_binary
from executorch.exir.scalar_type import ScalarType
from numpy.typing import NDArray

from mobilens.errors import ExportError
from mobilens.exporting.layout import channels_last
from mobilens.graph import ops
from mobilens.graph.quantised import Grid, Quantisation
from mobilens.quiet import quiet
from mobilens.runtime.formats.executorch import KEY as MANIFEST_KEY
from mobilens.runtime.formats.executorch import room_for
from mobilens.runtime.manifest import Manifest

T = xnn.XNNDatatype
# Flags of XNNPACK's values, and of its matrix product.
EXTERNAL_INPUT, EXTERNAL_OUTPUT, TRANSPOSE_B = 1, 2, 1
NO_BUFFER, NO_EXTERNAL = 0, 2**32 - 1
ALIGNMENT = 16
# In place of an offset: the constant is found by its key.
BY_NAME = 2**64 - 1
ACTIVATIONS = {
    "hard_swish": xnn.XNNHardswish,
    "sigmoid": xnn.XNNSigmoid,
    "gelu": xnn.XNNGelu,
    "exp": xnn.XNNExp,
}
# Joining two values, three, and so on; in place of those that there are not stands a number.
CONCATENATIONS = (
    xnn.XNNConcatenate2,
    xnn.XNNConcatenate3,
    xnn.XNNConcatenate4,
    xnn.XNNConcatenate5,
)
NO_INPUT = 2**32 - 1


def build_executorch(
    graph: ops.Graph, quantisation: Quantisation | None = None, room: int = 0
) -> bytes:
    """Write a graph down.

    Args:
        graph: What to write.
        quantisation: What of it is 8-bit; nothing by default.
        room: Bytes to keep for a manifest.

    Returns:
        The bytes of the file, still without a manifest.
    """
    with quiet():  # what its modules say about each other
        return _Writer(graph, quantisation or Quantisation({}, {})).write(room)


def build(
    graph: ops.Graph, manifest: Manifest, path: Path, quantisation: Quantisation | None = None
) -> None:
    """Write a graph as one file, with room for the manifest."""
    path.write_bytes(build_executorch(graph, quantisation, room_for(manifest.to_text())))


class _Writer:
    """XNNPACK's graph as it comes together.

    A value may exist twice, as float and as integers; what reads it asks for the one it needs.
    """

    def __init__(self, graph: ops.Graph, quantisation: Quantisation) -> None:
        self._graph, self._quantisation = graph, quantisation
        self._nodes: list[xnn.XNode] = []
        self._values: list[xnn.XValue] = []
        self._constants: list[xnn.ConstantDataOffset] = [xnn.ConstantDataOffset(0, 0)]
        self._named = NamedDataStore()
        self._float: dict[str, int] = {}
        self._integer: dict[str, int] = {}
        self._images = channels_last(graph)
        self._shared_ids: list[int] = []
        self._shared: list[NDArray[Any]] = []

    def write(self, room: int) -> bytes:
        """Give the bytes of the file, with room for a manifest."""
        shape = (1, *self._graph.shapes[self._graph.input])
        pixels = self._value(shape, T.xnn_datatype_quint8, quant=Grid(1.0, 0), external=0)
        self._float[self._graph.input] = pixels
        for op in self._graph.ops:
            self._write_op(op)
        outputs = [self._as_float(name) for name in self._graph.outputs.values()]
        for number, value in enumerate(outputs):
            tensor = self._values[value].xvalue_union
            tensor.external_id, tensor.flags = 1 + len(self._shared) + number, EXTERNAL_OUTPUT
        xnn_graph = xnn.XNNGraph(
            version="0",
            xnodes=self._nodes,
            xvalues=self._values,
            num_externs=1 + len(self._shared) + len(outputs),
            input_ids=[pixels, *self._shared_ids],
            output_ids=outputs,
            constant_data=self._constants,
        )
        delegate = serialize_xnnpack_binary(xnn_graph, bytearray())
        answers = [(1, *self._graph.shapes[name]) for name in self._graph.outputs.values()]
        program = _program(delegate, shape, self._shared, answers)
        if room:
            self._named.add_named_data(MANIFEST_KEY, bytes(room))
        named = self._named.get_named_data_store_output()
        return bytes(
            serialize_pte_binary(
                PTEFile(program=program, named_data=named), extract_delegate_segments=True
            )
        )

    def _write_op(self, op: ops.Op) -> None:
        match op:
            case ops.Normalise():
                self._normalise(op)
            case ops.Conv():
                self._conv(op)
            case ops.Linear():
                weight = self._filters(op, lambda values: values, 0)
                self._call(
                    op, xnn.XNNFullyConnected, op.clamp, filter_id=weight[0], bias_id=weight[1]
                )
            case ops.Add():
                self._binary(op, xnn.XNNAdd, op.clamp, op.constant)
            case ops.Mul():
                self._binary(op, xnn.XNNMultiply, ops.UNCLAMPED, None)
            case ops.Activation(kind="relu"):
                source, own = self._as_float(op.inputs[0]), self._own(op, False)
                self._node(xnn.XNNClamp(input_id=source, output_id=own, flags=0), (0.0, None))
            case ops.Activation() if op.kind in ACTIVATIONS:
                self._unary(op, ACTIVATIONS[op.kind])
            case ops.Mean():
                self._unary(op, xnn.XNNGlobalAvgPooling2d)
            case ops.Softmax():
                self._unary(op, xnn.XNNSoftmax)
            case ops.Resize():
                height, width = op.size
                self._unary(
                    op, partial(xnn.XNNStaticResizeBilinear2D, new_height=height, new_width=width)
                )
            case ops.Slice():
                self._slice(op)
            case ops.Concat():
                self._concat(op)
            case ops.Prelu():
                source, own = self._as_float(op.inputs[0]), self._own(op, False)
                self._node(xnn.XNNPReLU(source, self._operand(op.slope), own, 0))
            case ops.Scale():
                self._scale(op)
            case ops.Permute():
                self._permute(op)
            case ops.Reshape():
                self._reshape(op)
            case ops.MatMul():
                flags = TRANSPOSE_B if op.transpose else 0
                self._binary(op, xnn.XNNBatchMatrixMultiply, ops.UNCLAMPED, None, flags)
            case _:
                raise ExportError(f"XNNPACK has no operator for {type(op).__name__} ({op.output})")

    def _normalise(self, op: ops.Normalise) -> None:
        pixels = self._float[self._graph.input]
        shape = self._physical(op.output)
        values = self._value(shape, T.xnn_datatype_fp32)
        self._node(xnn.XNNConvert(input_id=pixels, output_id=values, flags=0))
        grid = self._quantisation.grids.get(op.output)
        if grid is not None:
            # Raw pixels are integers already, counted from another zero.
            own = self._values[pixels].xvalue_union.quant_params
            own.scale, own.zero_point = grid.scale, grid.zero_point + 128
            self._float[op.output] = values
            return
        if op.std != (1 / 255,) * 3:
            raise ExportError("normalisation is not folded", expected="pixels.fold_normalisation")
        same = len(set(op.mean)) == 1
        means = np.array(
            [255 * op.mean[0]] if same else 255 * np.tile(op.mean, shape[2]), np.float32
        )
        means = means.reshape((1,) if same else (1, 1, shape[2], 3))
        self._node(
            xnn.XNNSubtract(
                input1_id=values,
                input2_id=self._operand(means),
                output_id=self._own(op, False),
                flags=0,
            )
        )

    def _conv(self, op: ops.Conv) -> None:
        if op.depthwise:
            filters, bias = self._filters(op, lambda w: w.transpose(1, 2, 3, 0), 3)
        else:
            filters, bias = self._filters(op, lambda w: w.transpose(0, 2, 3, 1), 0)
        top, left, bottom, right = op.pads
        self._call(
            op,
            xnn.XNNDepthwiseConv2d if op.depthwise else xnn.XNNConv2d,
            op.clamp,
            padding_top=top,
            padding_right=right,
            padding_bottom=bottom,
            padding_left=left,
            kernel_height=op.weight.shape[2],
            kernel_width=op.weight.shape[3],
            subsampling_height=op.stride[0],
            subsampling_width=op.stride[1],
            dilation_height=op.dilation[0],
            dilation_width=op.dilation[1],
            group_input_channels=op.weight.shape[1],
            group_output_channels=op.weight.shape[0] // op.groups,
            groups=op.groups,
            adjustment_height=0,
            adjustment_width=0,
            filter_id=filters,
            bias_id=bias,
        )

    def _filters(self, op: ops.Conv | ops.Linear, arrange: Any, axis: int) -> tuple[int, int]:
        if not self._quantisation.is_integer(op):
            return self._constant(arrange(op.weight)), self._constant(op.bias)
        scales = self._quantisation.scales[op.output]
        step = np.float64(self._quantisation.grids[op.inputs[0]].scale) * scales
        filters = self._constant(
            arrange(self._quantisation.filters(op)), T.xnn_datatype_qcint8, (scales, axis)
        )
        bias = self._constant(self._quantisation.bias(op), T.xnn_datatype_qcint32, (step, 0))
        return filters, bias

    def _call(self, op: ops.Op, kind: Any, clamp: ops.Clamp, **fields: Any) -> None:
        integer = self._quantisation.is_integer(op)
        source = self._as_integer(op.inputs[0]) if integer else self._as_float(op.inputs[0])
        own = self._own(op, integer)
        self._node(
            kind(input1_id=source, output_id=own, flags=0, **fields),
            clamp if not integer else ops.UNCLAMPED,
        )

    def _binary(
        self, op: ops.Op, kind: Any, clamp: ops.Clamp, constant: float | None, flags: int = 0
    ) -> None:
        integer = self._quantisation.is_integer(op)
        read = self._as_integer if integer else self._as_float
        inputs = [read(name) for name in op.inputs]
        if constant is not None:
            inputs.append(self._number(constant, integer))
        node = kind(
            input1_id=inputs[0], input2_id=inputs[1], output_id=self._own(op, integer), flags=flags
        )
        self._node(node, ops.UNCLAMPED if integer else clamp)

    def _number(self, value: float, integer: bool) -> int:
        values = np.array([value], np.float32)
        if not integer:
            return self._operand(values)
        grid = Grid.covering(value, value)
        return self._constant(grid.encode(values), T.xnn_datatype_qint8, grid)

    def _unary(self, op: ops.Op, kind: Any) -> None:
        integer = self._quantisation.is_integer(op)
        source = self._as_integer(op.inputs[0]) if integer else self._as_float(op.inputs[0])
        self._node(kind(input_id=source, output_id=self._own(op, integer), flags=0))

    def _scale(self, op: ops.Scale) -> None:
        source = self._as_float(op.inputs[0])
        own = self._own(op, False)
        shifted = bool(op.shift.any())
        product = self._value(self._physical(op.output), T.xnn_datatype_fp32) if shifted else own
        self._node(xnn.XNNMultiply(source, self._operand(op.scale), product, 0))
        if shifted:
            self._node(xnn.XNNAdd(product, self._operand(op.shift), own, 0))

    def _slice(self, op: ops.Slice) -> None:
        shape = self._physical(op.output)
        self._node(
            xnn.XNNStaticSlice(
                num_dims=len(shape),
                offsets=[0] * (len(shape) - 1) + [op.begin],
                sizes=list(shape),
                input_id=self._as_float(op.inputs[0]),
                output_id=self._own(op, False),
                flags=0,
            )
        )

    def _concat(self, op: ops.Concat) -> None:
        """Join values a few at a time: XNNPACK takes two to five."""
        parts = [self._as_float(name) for name in op.inputs]
        sizes = [self._graph.shapes[name][0] for name in op.inputs]
        whole_shape = self._physical(op.output)
        axis = 3 if self._images[op.output] else 1
        while len(parts) > 1:
            some, size = parts[: len(CONCATENATIONS) + 1], sum(sizes[: len(CONCATENATIONS) + 1])
            whole = len(some) == len(parts)
            shape = list(whole_shape)
            shape[axis] = size
            made = self._own(op, False) if whole else self._value(tuple(shape), T.xnn_datatype_fp32)
            inputs = {f"input{number}_id": one for number, one in enumerate(some, start=1)}
            missing = {f"input{n}_id": NO_INPUT for n in range(len(some) + 1, 6)}
            self._node(
                CONCATENATIONS[len(some) - 2](
                    axis=axis, **inputs, **missing, output_id=made, flags=0
                )
            )
            parts, sizes = [made, *parts[len(some) :]], [size, *sizes[len(some) :]]

    def _permute(self, op: ops.Permute) -> None:
        source = op.inputs[0]
        if self._images[source] != self._images[op.output]:
            for known in (self._float, self._integer):
                if source in known:
                    known[op.output] = known[source]
            return
        if self._images[source]:
            raise ExportError(f"{op.output} turns an image by {op.order}")
        node = xnn.XNNStaticTranspose(
            num_dims=len(op.order),
            perm=list(op.order),
            input_id=self._as_float(source),
            output_id=self._own(op, False),
            flags=0,
        )
        self._node(node)

    def _reshape(self, op: ops.Reshape) -> None:
        source = op.inputs[0]
        if self._images[source] and self._graph.shapes[source][1:] != (1, 1):
            raise ExportError(f"{op.output} reshapes an image of {self._graph.shapes[source]}")
        integer = self._quantisation.is_integer(op)
        read = self._as_integer(source) if integer else self._as_float(source)
        shape = [1, *op.shape]
        self._node(
            xnn.XNNStaticReshape(
                num_dims=len(shape),
                new_shape=shape,
                input_id=read,
                output_id=self._own(op, integer),
                flags=0,
            )
        )

    def _as_float(self, name: str) -> int:
        if name not in self._float:
            value = self._value(self._physical(name), T.xnn_datatype_fp32)
            self._node(xnn.XNNConvert(input_id=self._integer[name], output_id=value, flags=0))
            self._float[name] = value
        return self._float[name]

    def _as_integer(self, name: str) -> int:
        if name not in self._integer:
            grid = self._quantisation.grids[name]
            value = self._value(self._physical(name), T.xnn_datatype_qint8, quant=grid)
            self._node(xnn.XNNConvert(input_id=self._float[name], output_id=value, flags=0))
            self._integer[name] = value
        return self._integer[name]

    def _own(self, op: ops.Op, integer: bool) -> int:
        shape = self._physical(op.output)
        if integer:
            grid = self._quantisation.grids[op.output]
            value = self._value(shape, T.xnn_datatype_qint8, quant=grid)
            self._integer[op.output] = value
        else:
            value = self._value(shape, T.xnn_datatype_fp32)
            self._float[op.output] = value
        return value

    def _physical(self, name: str) -> tuple[int, ...]:
        shape = self._graph.shapes[name]
        return (1, *shape[1:], shape[0]) if self._images[name] else (1, *shape)

    def _value(
        self,
        shape: tuple[int, ...],
        kind: xnn.XNNDatatype,
        *,
        quant: Grid | tuple[NDArray[Any], int] | None = None,
        buffer: int = NO_BUFFER,
        external: int | None = None,
    ) -> int:
        flags = 0 if external is None else EXTERNAL_INPUT
        tensor = xnn.XNNTensorValue(
            datatype=kind,
            num_dims=len(shape),
            dims=[int(size) for size in shape],
            constant_buffer_idx=buffer,
            external_id=NO_EXTERNAL if external is None else external,
            flags=flags,
            id_out=len(self._values),
        )
        held: Any = tensor
        if isinstance(quant, Grid):
            held = xnn.XNNQuantizedTensorValue(
                tensor, xnn.PerTensorQuant(float(quant.scale), int(quant.zero_point))
            )
        elif quant is not None:
            scales, axis = quant
            held = xnn.XNNQuantizedTensorValue(
                tensor,
                xnn.PerChannelQuant([], axis, self._stored(scales.astype(np.float32)), len(scales)),
            )
        self._values.append(xnn.XValue(held))
        return len(self._values) - 1

    def _constant(
        self,
        values: NDArray[Any],
        kind: xnn.XNNDatatype = T.xnn_datatype_fp32,
        quant: Grid | tuple[NDArray[Any], int] | None = None,
    ) -> int:
        buffer = self._stored(values)
        return self._value(values.shape, kind, quant=quant, buffer=buffer)

    def _stored(self, values: NDArray[Any]) -> int:
        """Put numbers into the file; gives the place of their entry."""
        raw = np.ascontiguousarray(values).tobytes()
        key = hashlib.sha256(raw).hexdigest()
        self._named.add_named_data(key, raw, alignment=ALIGNMENT)
        self._constants.append(xnn.ConstantDataOffset(BY_NAME, len(raw), key))
        return len(self._constants) - 1

    def _operand(
        self,
        values: NDArray[Any],
        kind: xnn.XNNDatatype = T.xnn_datatype_fp32,
        quant: Grid | None = None,
    ) -> int:
        """Numbers that an operator reads as they are.

        ExecuTorch frees a delegate's own data once filters are packed, so these come from outside.
        """
        self._shared.append(np.ascontiguousarray(values))
        value = self._value(values.shape, kind, quant=quant, external=len(self._shared))
        self._shared_ids.append(value)
        return value

    def _node(self, node: Any, clamp: ops.Clamp = ops.UNCLAMPED) -> None:
        bounds = None
        if clamp != ops.UNCLAMPED:
            lowest, highest = clamp
            bounds = xnn.OutputMinMax(
                "-inf" if lowest is None else lowest, "inf" if highest is None else highest
            )
        self._nodes.append(xnn.XNode(node, len(self._nodes), bounds))


def _program(
    delegate: bytes,
    pixels: tuple[int, ...],
    shared: list[NDArray[Any]],
    outputs: list[tuple[int, ...]],
) -> schema.Program:
    """One method that hands its input to XNNPACK and its outputs back."""
    values = [schema.EValue(_tensor(pixels, ScalarType.BYTE))]
    for number, constant in enumerate(shared):
        kind = ScalarType.CHAR if constant.dtype == np.int8 else ScalarType.FLOAT
        values.append(schema.EValue(_tensor(constant.shape, kind, 1 + number)))
    values += [schema.EValue(_tensor(shape, ScalarType.FLOAT)) for shape in outputs]
    offset = 0
    for value in (values[0], *values[1 + len(shared) :]):
        value.val.allocation_info = schema.AllocationDetails(1, offset, 0)
        size = int(np.prod(value.val.sizes)) * (
            1 if value.val.scalar_type == ScalarType.BYTE else 4
        )
        offset += -(-size // ALIGNMENT) * ALIGNMENT
    numbers = list(range(len(values)))
    plan = schema.ExecutionPlan(
        name="forward",
        container_meta_type=schema.ContainerMetadata("", ""),
        values=values,
        inputs=numbers[:1],
        outputs=numbers[1 + len(shared) :],
        chains=[
            schema.Chain(
                inputs=[],
                outputs=[],
                instructions=[schema.Instruction(schema.DelegateCall(0, numbers))],
                stacktrace=None,
            )
        ],
        operators=[],
        delegates=[
            schema.BackendDelegate(
                "XnnpackBackend",
                schema.BackendDelegateDataReference(schema.DataLocation.INLINE, 0),
                [],
            )
        ],
        non_const_buffer_sizes=[0, offset],
    )
    return schema.Program(
        version=0,
        execution_plan=[plan],
        constant_buffer=[schema.Buffer(b""), *(schema.Buffer(one.tobytes()) for one in shared)],
        backend_delegate_data=[schema.BackendDelegateInlineData(delegate)],
        segments=[],
        constant_segment=schema.SubsegmentOffsets(0, []),
    )


def _tensor(shape: tuple[int, ...], kind: ScalarType, buffer: int = 0) -> schema.Tensor:
    return schema.Tensor(
        scalar_type=kind,
        storage_offset=0,
        sizes=list(shape),
        dim_order=list(range(len(shape))),
        requires_grad=False,
        layout=0,
        data_buffer_idx=buffer,
        allocation_info=None,
        shape_dynamism=schema.TensorShapeDynamism.STATIC,
    )
