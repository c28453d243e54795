"""A graph as ncnn's pair of files: layers in a text, numbers in a ``.bin`` in the same order.

Values have no batch axis. What is made by averaging over an image is flat, as ncnn has it, and
filters that read it are fully connected layers. A value has one reader: a ``Split`` stands before
others. What each layer and number means: https://github.com/Tencent/ncnn/wiki/operators
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import ExportError
from mobilens.graph import ops
from mobilens.graph.quantised import Quantisation
from mobilens.runtime.formats.ncnn import BARE, LAYERS_SUFFIX, MAGIC, NUMBERS_SUFFIX
from mobilens.runtime.manifest import Manifest

Params: TypeAlias = dict[int, int | float | list[int] | list[float]]

# Stands in names that no value of a graph has.
OWN = "/"
# What the numbers of a filter are, told by four bytes before them.
FLOAT32, FLOAT16, INT8 = 0, 0x01306B47, 0x000D4B38
# Parameters of filters, which are those of fully connected layers too.
INTEGERS, ACTIVATION, ACTIVATION_NUMBERS = 8, 9, 10
# What says that filters are integers: a scale for each channel or each group, and so much more
# where what comes out is stored as integers too.
BY_CHANNEL, BY_GROUP, STORED = 2, 1, 100
RELU, CLIP, HARD_SWISH = 1, 3, 6
ADD, MULTIPLY = 0, 2
BILINEAR, EXP = 2, 7
LARGEST = float(np.finfo(np.float32).max)
ACTIVATIONS: dict[str, tuple[str, Params]] = {
    "relu": ("ReLU", {}),
    "relu6": ("Clip", {0: 0.0, 1: 6.0}),
    "hard_swish": ("HardSwish", {0: 1 / 6, 1: 0.5}),
    "hard_sigmoid": ("HardSigmoid", {0: 1 / 6, 1: 0.5}),
    "gelu": ("GELU", {}),
    "sigmoid": ("Sigmoid", {}),
    "exp": ("UnaryOp", {0: EXP}),
}
# Order of axes, the innermost first, as ncnn counts the ways.
ORDERS: dict[int, list[tuple[int, ...]]] = {
    2: [(1, 0), (0, 1)],
    3: [(2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 0, 2), (0, 1, 2)],
}


def build(
    graph: ops.Graph,
    manifest: Manifest,
    path: Path,
    quantisation: Quantisation | None = None,
) -> None:
    """Write a graph as layers and numbers, and ``path``, which keeps room for the manifest."""
    # What computes in bfloat16 keeps less of its filters than float16 holds.
    half = manifest.precision in ("float16", "bfloat16")
    writer = _Writer(graph, quantisation or Quantisation({}, {}), half)
    layers, numbers = writer.write()
    path.with_suffix(LAYERS_SUFFIX).write_bytes(layers)
    path.with_suffix(NUMBERS_SUFFIX).write_bytes(numbers)
    path.write_bytes(BARE)


class _Writer:
    """The parts of both files as they come together."""

    def __init__(self, graph: ops.Graph, quantisation: Quantisation, half: bool) -> None:
        self._graph, self._quantisation, self._half = graph, quantisation, half
        self._users = graph.users()
        self._layers: list[str] = []
        self._numbers = bytearray()
        self._blobs = 0
        # Names under which a value waits for its readers; values that are flat.
        self._waiting: dict[str, list[str]] = {}
        self._flat: set[str] = set()
        self._fused = self._hard_swishes()

    def write(self) -> tuple[bytes, bytes]:
        """Give the layers and the numbers."""
        height, width, channels = self._graph.shapes[self._graph.input]
        self._layer("Input", [], self._graph.input, {0: width, 1: height, 2: channels})
        gone = {op.output for op in self._fused.values()}
        for op in self._graph.ops:
            if op.output not in gone:
                self._write_op(op)
        for key, name in self._graph.outputs.items():
            self._layer("Noop", [self._read(name)], key, {}, final=True)
        head = f"{MAGIC.decode()}\n{len(self._layers)} {self._blobs}\n"
        return (head + "\n".join(self._layers) + "\n").encode(), bytes(self._numbers)

    def _hard_swishes(self) -> dict[str, ops.Op]:
        """Find each hard swish that the filters before it can compute for themselves."""
        makers = self._graph.maker()
        return {
            maker.output: op
            for op in self._graph.ops
            if isinstance(op, ops.Activation)
            and op.kind == "hard_swish"
            and isinstance(maker := makers.get(op.inputs[0]), (ops.Conv, ops.Linear))
            and maker.clamp == ops.UNCLAMPED
            and self._uses(maker.output) == 1
        }

    def _uses(self, name: str) -> int:
        return len(self._users[name]) + list(self._graph.outputs.values()).count(name)

    def _write_op(self, op: ops.Op) -> None:
        match op:
            case ops.Normalise():
                self._normalise(op)
            case ops.Conv():
                self._conv(op)
            case ops.Linear():
                self._connected(op, op.weight)
            case ops.Activation():
                self._elementwise(op, *ACTIVATIONS[op.kind])
            case ops.Prelu():
                self._elementwise(op, "PReLU", {0: len(op.slope)})
                self._number(op.slope)
            case ops.Add():
                scalar: Params = {} if op.constant is None else {1: 1, 2: op.constant}
                self._binary(op, {0: ADD} | scalar, op.clamp)
            case ops.Mul():
                self._binary(op, {0: MULTIPLY}, ops.UNCLAMPED)
            case ops.Scale():
                self._scale(op)
            case ops.Mean():
                self._flat.add(op.output)
                self._layer("Pooling", self._inputs(op), op.output, {0: 1, 4: 1})
            case ops.Permute():
                self._permute(op)
            case ops.Reshape():
                # Width first; depth is another parameter, for values that none of ours are.
                shape: Params = dict(enumerate(reversed(op.shape)))
                self._layer("Reshape", self._inputs(op), op.output, shape)
            case ops.MatMul():
                self._layer("MatMul", self._inputs(op), op.output, {0: int(op.transpose)})
            case ops.Softmax():
                axis = 0 if op.channels else len(self._graph.shapes[op.output]) - 1
                self._layer("Softmax", self._inputs(op), op.output, {0: axis, 1: 1})
            case ops.Resize():
                height, width = op.size
                self._layer(
                    "Interp", self._inputs(op), op.output, {0: BILINEAR, 3: height, 4: width}
                )
            case ops.Slice():
                axis = len(self._graph.shapes[op.output]) - 1
                self._layer(
                    "Crop", self._inputs(op), op.output, {9: [op.begin], 10: [op.end], 11: [axis]}
                )
            case ops.Concat():
                self._layer("Concat", self._inputs(op), op.output, {0: 0})
            case _:
                raise ExportError(f"ncnn has no layer for {type(op).__name__} ({op.output})")

    def _normalise(self, op: ops.Normalise) -> None:
        if op.std != (1 / 255,) * 3:
            raise ExportError("normalisation is not folded", expected="pixels.fold_normalisation")
        self._layer("Bias", self._inputs(op), op.output, {0: 3})
        self._number(-255 * np.array(op.mean))

    def _conv(self, op: ops.Conv) -> None:
        if op.inputs[0] in self._flat:
            if not (op.pointwise and op.groups == 1):
                raise ExportError(f"{op.output} reads an average, and more than one place of it")
            self._connected(op, op.weight[:, :, 0, 0])
            return
        top, left, bottom, right = op.pads
        height, width = op.weight.shape[2:]
        params: Params = {
            **{0: len(op.weight), 1: width, 11: height, 2: op.dilation[1], 12: op.dilation[0]},
            **{3: op.stride[1], 13: op.stride[0]},
            **{4: left, 15: right, 14: top, 16: bottom, 5: 1, 6: op.weight.size},
        }
        if op.groups > 1:
            params[7] = op.groups
        kind = "Convolution" if op.groups == 1 else "ConvolutionDepthWise"
        self._filters(kind, op, params, op.weight)

    def _connected(self, op: ops.Conv | ops.Linear, weight: ops.Floats) -> None:
        if op.inputs[0] in self._flat:
            self._flat.add(self._made_by(op))
        params: Params = {0: len(weight), 1: 1, 2: weight.size}
        self._filters("InnerProduct", op, params, weight)

    def _made_by(self, op: ops.Conv | ops.Linear) -> str:
        return self._fused.get(op.output, op).output

    def _activation(self, op: ops.Conv | ops.Linear) -> Params:
        if op.output in self._fused:
            return {ACTIVATION: HARD_SWISH, ACTIVATION_NUMBERS: [1 / 6, 0.5]}
        if op.clamp == ops.UNCLAMPED:
            return {}
        if op.clamp == (0.0, None):
            return {ACTIVATION: RELU}
        return {ACTIVATION: CLIP, ACTIVATION_NUMBERS: list(_bounds(op.clamp))}

    def _filters(
        self, kind: str, op: ops.Conv | ops.Linear, params: Params, weight: ops.Floats
    ) -> None:
        """Add a layer with filters, and their numbers."""
        integer = self._quantisation.has_integer_filters(op)
        stored = integer and self._is_stored(op)
        if integer:
            params = params | {INTEGERS: _scales(op) + STORED * stored}
        made = self._made_by(op)
        self._layer(kind, self._inputs(op), made, params | self._activation(op))
        if integer:
            self._tagged(INT8, self._quantisation.filters(op))
        elif self._half:
            self._tagged(FLOAT16, _halves(op, weight))
        else:
            self._tagged(FLOAT32, weight)
        self._number(op.bias)
        if integer:
            # What is multiplied by, to get integers.
            self._number(1 / self._quantisation.scales[op.output])
            for name in (op.inputs[0], made)[: 1 + stored]:
                self._number(np.array(1 / self._step(name)))

    def _step(self, name: str) -> float:
        grid = self._quantisation.grids[name]
        if grid.zero_point:
            raise ExportError(
                f"{grid.zero_point} stands for 0 in {name}",
                expected="a placement in which 0 is the middle of every grid",
            )
        return grid.scale

    def _is_stored(self, op: ops.Conv | ops.Linear) -> bool:
        """Whether integers come out of filters: others that are integers too read them alone."""
        made = self._made_by(op)
        return (
            isinstance(op, ops.Conv)
            and made not in self._flat
            and made not in self._graph.outputs.values()
            and all(
                isinstance(user, ops.Conv) and self._quantisation.has_integer_filters(user)
                for user in self._users[made]
            )
        )

    def _elementwise(self, op: ops.Op, kind: str, params: Params) -> None:
        if self._flat.issuperset(op.inputs):
            self._flat.add(op.output)
        self._layer(kind, self._inputs(op), op.output, params)

    def _binary(self, op: ops.Add | ops.Mul, params: Params, clamp: ops.Clamp) -> None:
        if clamp == ops.UNCLAMPED:
            self._elementwise(op, "BinaryOp", params)
            return
        if self._flat.issuperset(op.inputs):
            self._flat.add(op.output)
        between = f"{op.output}{OWN}unclamped"
        self._layer("BinaryOp", self._inputs(op), between, params, final=True)
        lowest, highest = _bounds(clamp)
        if clamp == (0.0, None):
            self._layer("ReLU", [between], op.output, {})
        else:
            self._layer("Clip", [between], op.output, {0: lowest, 1: highest})

    def _scale(self, op: ops.Scale) -> None:
        if op.scale.ndim > 1:
            self._scale_each(op)
            return
        image = len(self._graph.shapes[op.output]) == 3
        if not image and len(op.scale) > 1:
            raise ExportError(f"{op.output} scales a value that is no image")
        channels = self._graph.shapes[op.output][0]
        self._elementwise(op, "Scale", {0: channels, 1: int(op.shift.any())})
        self._number(np.broadcast_to(op.scale, channels))
        if op.shift.any():
            self._number(np.broadcast_to(op.shift, channels))

    def _scale_each(self, op: ops.Scale) -> None:
        """A product and a sum with as many numbers as there are values."""
        product = f"{op.output}{OWN}product"
        shifted = bool(op.shift.any())
        self._with_numbers(
            MULTIPLY, self._inputs(op)[0], product if shifted else op.output, op.scale, shifted
        )
        if shifted:
            self._with_numbers(ADD, product, op.output, op.shift, False)

    def _with_numbers(
        self, kind: int, source: str, output: str, values: ops.Floats, final: bool
    ) -> None:
        held = f"{output}{OWN}numbers"
        self._layer("MemoryData", [], held, dict(enumerate(reversed(values.shape))), final=True)
        self._number(values)
        self._layer("BinaryOp", [source, held], output, {0: kind}, final=final)

    def _permute(self, op: ops.Permute) -> None:
        innermost = tuple(axis - 1 for axis in reversed(op.order[1:]))
        ways = ORDERS.get(len(innermost), [])
        if innermost not in ways:
            raise ExportError(f"ncnn cannot turn {op.output} by {op.order}")
        self._layer("Permute", self._inputs(op), op.output, {0: ways.index(innermost)})

    def _inputs(self, op: ops.Op) -> list[str]:
        return [self._read(name) for name in op.inputs]

    def _read(self, name: str) -> str:
        return self._waiting[name].pop()

    def _layer(
        self, kind: str, inputs: list[str], output: str, params: Params, *, final: bool = False
    ) -> None:
        """Add a layer, and a split behind it where more than one reads what it makes.

        Args:
            kind: What it is.
            inputs: Names of what it reads.
            output: Value that it makes.
            params: Its parameters by number.
            final: Whether what it makes is no value of the graph, and so has one reader at most.
        """
        self._add(kind, output, inputs, [output], params)
        if final:
            return
        count = self._uses(output)
        self._waiting[output] = [output]
        if count > 1:
            copies = [f"{output}{OWN}{number}" for number in range(count)]
            self._add("Split", f"{output}{OWN}split", [output], copies, {})
            self._waiting[output] = copies

    def _add(
        self, kind: str, name: str, inputs: list[str], outputs: list[str], params: Params
    ) -> None:
        words = [kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs]
        words += [_param(number, value) for number, value in params.items()]
        self._layers.append(" ".join(words))
        self._blobs += len(outputs)

    def _tagged(self, tag: int, values: NDArray[np.generic]) -> None:
        raw = np.ascontiguousarray(values).tobytes()
        self._numbers += tag.to_bytes(4, "little") + raw + bytes(-len(raw) % 4)

    def _number(self, values: NDArray[np.floating]) -> None:
        self._numbers += np.ascontiguousarray(values, np.float32).tobytes()


def _scales(op: ops.Conv | ops.Linear) -> int:
    """Say which filters share a scale."""
    if isinstance(op, ops.Linear) or op.groups == 1:
        return BY_CHANNEL
    if op.groups < len(op.weight):
        raise ExportError(
            f"{op.output} has {len(op.weight)} channels in {op.groups} groups",
            expected="one channel a group: ncnn has a scale for each group",
        )
    return BY_GROUP


def _halves(op: ops.Op, weight: ops.Floats) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        halves = weight.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ExportError(
            f"a filter of {op.output} holds {np.abs(weight).max():g}", expected="at most 65504"
        )
    return halves


def _bounds(clamp: ops.Clamp) -> tuple[float, float]:
    lowest, highest = clamp
    return -LARGEST if lowest is None else lowest, LARGEST if highest is None else highest


def _param(number: int, value: int | float | list[int] | list[float]) -> str:
    if isinstance(value, list):
        words = (str(one) if isinstance(one, int) else _text(one) for one in value)
        return f"{-23300 - number}={len(value)},{','.join(words)}"
    return f"{number}={value if isinstance(value, int) else _text(value)}"


def _text(value: float) -> str:
    """Write a float32 so that ncnn reads the same: it takes fifteen characters at most."""
    return f"{np.float32(value):.8e}"
