"""A graph as a Core ML package: a picture in, its label and a score for each label out.

The operators of MIL, Core ML's language, are written down directly, not by way of torch's; Apple's
tools check their shapes and put them into the format. Pixels come as RGB, 0 to 255, and the means
are subtracted inside, so that Vision and Xcode's preview need to know nothing of the net.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
from coremltools.converters.mil import Builder, Function, Program
from coremltools.converters.mil.mil import types

from mobilens.errors import ExportError
from mobilens.graph import ops
from mobilens.graph.quantised import Quantisation
from mobilens.quiet import quiet
from mobilens.runtime.formats.coreml import CONTENTS, MAIN, WEIGHTS
from mobilens.runtime.manifest import Manifest

# The first systems that know programs: iOS 15 and macOS 12.
OLDEST = coremltools.target.iOS15
PRECISIONS = {
    "float32": coremltools.precision.FLOAT32,
    "float16": coremltools.precision.FLOAT16,
}
LABEL = "label"
AUTHOR = "com.apple.CoreML"
ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "relu": Builder.relu,
    "relu6": Builder.relu6,
    "sigmoid": Builder.sigmoid,
    "exp": Builder.exp,
}
HARD_SIGMOID = {"alpha": 1 / 6, "beta": 0.5}


def build(
    graph: ops.Graph, manifest: Manifest, path: Path, quantisation: Quantisation | None = None
) -> None:
    """Write a graph as a folder, a package of Core ML.

    Raises:
        ExportError: It shall compute in a precision that is not offered.
    """
    if quantisation is not None or manifest.precision not in PRECISIONS:
        raise ExportError(
            f"Core ML in {'int8' if quantisation else manifest.precision} is not offered",
            expected=f"one of {', '.join(PRECISIONS)}",
        )
    with quiet():  # bars of its passes
        model = _converted(graph, manifest)
    spec = model.get_spec()
    _describe(spec, graph, manifest)
    (path / MAIN).parent.mkdir(parents=True)
    (path / MAIN).write_bytes(spec.SerializeToString(deterministic=True))
    (path / WEIGHTS).parent.mkdir()
    shutil.copyfile(Path(model.weights_dir) / "weight.bin", path / WEIGHTS)
    (path / CONTENTS).write_text(_contents(), encoding="ascii")


def _converted(graph: ops.Graph, manifest: Manifest) -> Any:
    shape = (1, 3, *manifest.input.size)
    labels = None
    if manifest.task.kind == "classify":
        labels = coremltools.ClassifierConfig(
            list(manifest.task.class_names),
            predicted_feature_name=LABEL,
            predicted_probabilities_output=_inner(next(iter(graph.outputs))),
        )
    return coremltools.convert(
        _program(graph, shape),
        convert_to="mlprogram",
        inputs=[coremltools.ImageType(name=graph.input, shape=shape)],
        classifier_config=labels,
        compute_precision=PRECISIONS[manifest.precision],
        minimum_deployment_target=OLDEST,
        skip_model_load=True,
    )


def _program(graph: ops.Graph, shape: tuple[int, ...]) -> Program:
    """Write the operators down."""
    program = Program()
    pixels = Builder.placeholder(shape=shape, dtype=types.fp32)
    with Function({graph.input: pixels}, opset_version=OLDEST) as function:
        values = {graph.input: function.inputs[graph.input]}
        for op in graph.ops:
            values[op.output] = _write(op, [values[name] for name in op.inputs], graph)
        function.set_outputs(
            [
                Builder.identity(x=values[name], name=_inner(key))
                for key, name in graph.outputs.items()
            ]
        )
    program.add_function("main", function)
    return program


def _inner(key: str) -> str:
    """Name of an output inside the program, where its own is that of the scores by label."""
    return f"{key}_values"


def _write(op: ops.Op, inputs: list[Any], graph: ops.Graph) -> Any:
    """Write one operator; gives its value."""
    x = inputs[0]
    match op:
        case ops.Normalise():
            if op.std != (1 / 255,) * 3:
                raise ExportError(
                    "normalisation is not folded", expected="pixels.fold_normalisation"
                )
            means = (255 * np.array(op.mean)).astype(np.float32).reshape(1, 3, 1, 1)
            return Builder.sub(x=x, y=means, name=op.output)
        case ops.Conv():
            return _clamped(op, _conv(op, x), op.clamp)
        case ops.Linear():
            made = Builder.linear(x=x, weight=op.weight, bias=op.bias, name=op.output)
            return _clamped(op, made, op.clamp)
        case ops.Activation():
            return _activation(op, x)
        case ops.Prelu():
            return Builder.prelu(x=x, alpha=op.slope, name=op.output)
        case ops.Add():
            other = np.float32(op.constant) if op.constant is not None else inputs[1]
            return _clamped(op, Builder.add(x=x, y=other, name=op.output), op.clamp)
        case ops.Mul():
            return Builder.mul(x=x, y=inputs[1], name=op.output)
        case ops.Scale():
            return _scale(op, x, len(graph.shapes[op.output]))
        case ops.Mean():
            return Builder.reduce_mean(x=x, axes=[2, 3], keep_dims=True, name=op.output)
        case ops.Permute():
            return Builder.transpose(x=x, perm=list(op.order), name=op.output)
        case ops.Reshape():
            return Builder.reshape(x=x, shape=[1, *op.shape], name=op.output)
        case ops.MatMul():
            return Builder.matmul(x=x, y=inputs[1], transpose_y=op.transpose, name=op.output)
        case ops.Softmax():
            return Builder.softmax(x=x, axis=1 if op.channels else -1, name=op.output)
        case ops.Resize():
            height, width = graph.shapes[op.inputs[0]][1:]
            return Builder.upsample_bilinear(
                x=x,
                scale_factor_height=op.size[0] / height,
                scale_factor_width=op.size[1] / width,
                align_corners=False,
                name=op.output,
            )
        case ops.Slice():
            shape = graph.shapes[op.inputs[0]]
            return Builder.slice_by_index(
                x=x,
                begin=[0] * len(shape) + [op.begin],
                end=[1, *shape[:-1], op.end],
                name=op.output,
            )
        case ops.Concat():
            return Builder.concat(values=inputs, axis=1, name=op.output)
    raise ExportError(f"Core ML has no operator for {type(op).__name__} ({op.output})")


def _conv(op: ops.Conv, x: Any) -> Any:
    top, left, bottom, right = op.pads
    return Builder.conv(
        x=x,
        weight=op.weight,
        bias=op.bias,
        strides=list(op.stride),
        pad_type="custom",
        pad=[top, bottom, left, right],
        dilations=list(op.dilation),
        groups=op.groups,
        name=op.output,
    )


def _activation(op: ops.Activation, x: Any) -> Any:
    if op.kind == "hard_sigmoid":
        return Builder.sigmoid_hard(x=x, **HARD_SIGMOID, name=op.output)
    if op.kind == "hard_swish":
        gate = Builder.sigmoid_hard(x=x, **HARD_SIGMOID, name=f"{op.output}_gate")
        return Builder.mul(x=x, y=gate, name=op.output)
    if op.kind == "gelu":
        return Builder.gelu(x=x, mode="EXACT", name=op.output)
    return ACTIVATIONS[op.kind](x=x, name=op.output)


def _clamped(op: ops.Op, made: Any, clamp: ops.Clamp) -> Any:
    lowest, highest = clamp
    name = f"{op.output}_clamped"
    if clamp == ops.UNCLAMPED:
        return made
    if clamp == (0.0, None):
        return Builder.relu(x=made, name=name)
    if clamp == (0.0, 6.0):
        return Builder.relu6(x=made, name=name)
    if lowest is not None and highest is not None:
        return Builder.clip(x=made, alpha=lowest, beta=highest, name=name)
    if lowest is not None:
        return Builder.maximum(x=made, y=np.float32(lowest), name=name)
    return Builder.minimum(x=made, y=np.float32(highest), name=name)


def _scale(op: ops.Scale, x: Any, rank: int) -> Any:
    shape: tuple[int, ...] = (1, -1, 1, 1) if rank == 3 and len(op.scale) > 1 else (1, -1)
    if op.scale.ndim > 1:
        shape = (1, *op.scale.shape)
    made = Builder.mul(x=x, y=op.scale.reshape(shape), name=op.output)
    if not op.shift.any():
        return made
    return Builder.add(x=made, y=op.shift.reshape(shape), name=f"{op.output}_shifted")


def _describe(spec: Any, graph: ops.Graph, manifest: Manifest) -> None:
    """Name what apps see, and say what Xcode shows of it; nothing that changes from day to day."""
    about = spec.description
    given = {f"{LABEL}_probs": key for key in graph.outputs} if about.predictedFeatureName else {}
    given |= {_inner(key): key for key in graph.outputs}
    for output in about.output:
        name = output.name
        if name in given:
            coremltools.utils.rename_feature(spec, name, given[name])
    about.metadata.Clear()
    about.metadata.shortDescription = (
        f"{manifest.model.get('name', 'A net')} by mobilens; its metadata says what it proves."
    )
    about.metadata.license = _licence(manifest)
    for feature, text in _texts(manifest).items():
        for each in (*about.input, *about.output):
            if each.name == feature:
                each.shortDescription = text


def _licence(manifest: Manifest) -> str:
    return f"data: {manifest.licence.data}; weights: {manifest.licence.weights}"


def _texts(manifest: Manifest) -> Mapping[str, str]:
    return {
        manifest.input.name: "The picture, RGB; it is normalised inside.",
        LABEL: "The most probable label.",
        manifest.outputs[0]: "The probability of each label.",
    }


def _contents() -> str:
    """Say which file of the package is what; its numbers are always the same ones."""
    parts = {
        "model.mlmodel": ("CoreML Model Specification", MAIN),
        "weights": ("CoreML Model Weights", str(Path(WEIGHTS).parent)),
    }
    numbers = {name: str(uuid.uuid5(uuid.NAMESPACE_URL, f"mobilens/{name}")) for name in parts}
    entries = {
        numbers[name]: {
            "author": AUTHOR,
            "description": description,
            "name": name,
            "path": place.removeprefix("Data/"),
        }
        for name, (description, place) in parts.items()
    }
    return json.dumps(
        {
            "fileFormatVersion": "1.0.0",
            "itemInfoEntries": entries,
            "rootModelIdentifier": numbers["model.mlmodel"],
        },
        indent=4,
    )
