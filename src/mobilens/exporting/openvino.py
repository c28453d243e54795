"""A graph as OpenVINO's pair of files: read from ONNX by OpenVINO itself, and written out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
from openvino._offline_transformations import apply_moc_transformations

from mobilens.errors import PrecisionError
from mobilens.exporting.onnx import build_onnx
from mobilens.graph.ops import Border, Conv, Graph, Normalise
from mobilens.graph.quantised import LOWEST, Grid, Quantisation
from mobilens.graph.replace import single
from mobilens.runtime.manifest import Manifest

FRAMED = "pixels.framed"
INDENTATION = re.compile(rb">\s+<")
NUMBERED = re.compile(r"[A-Za-z]+_\d+")


def build(
    graph: Graph,
    manifest: Manifest,
    path: Path,
    quantisation: Quantisation | None = None,
) -> None:
    """Write a graph as ``path`` and, beside it, a ``.bin`` with its weights.

    Raises:
        PrecisionError: It shall compute in bfloat16, which is not measured on this processor.
    """
    if manifest.precision == "bfloat16":
        _require_bfloat16()
    if quantisation is not None:
        graph, quantisation = _framed(graph, quantisation)
    model = openvino.Core().read_model(build_onnx(graph, quantisation, turn_last=True))
    # What else the runtime does each time that it opens a file; half of its text goes.
    apply_moc_transformations(model, cf=False)
    for number, node in enumerate(model.get_ordered_ops()):
        if NUMBERED.fullmatch(node.friendly_name):
            # OpenVINO counts on through the life of a process: the same model, another file.
            node.friendly_name = f"{node.get_type_name()}.{number}"
    # What computes in bfloat16 keeps less of its filters than float16 holds.
    half = manifest.precision in ("float16", "bfloat16")
    openvino.save_model(model, path, compress_to_fp16=half)
    path.write_bytes(INDENTATION.sub(b"><", path.read_bytes()))


def _require_bfloat16() -> None:
    # OpenVINO would compute in float32 and say nothing, so that no loss could be seen.
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise PrecisionError(
            "OpenVINO does not compute in bfloat16 on this processor, so what a file would lose "
            "cannot be measured; nothing was written",
            expected="a processor with AVX512_BF16 or AMX",
            remedy="--fp16, or the same command on such a processor",
        )


def _framed(graph: Graph, quantisation: Quantisation) -> tuple[Graph, Quantisation]:
    """Count pixels from 0, where OpenVINO multiplies them as they are.

    What stands for 0 becomes a frame around them, in place of the zeros that the first filters pad;
    their bias makes up for the rest.
    """
    normalise, *others = graph.ops
    readers = graph.users()[normalise.output]
    grid = quantisation.grids.get(normalise.output)
    if not isinstance(normalise, Normalise) or grid is None or len(readers) != 1:
        return graph, quantisation
    stem = readers[0]
    zero = grid.zero_point - LOWEST
    if not isinstance(stem, Conv) or not quantisation.has_integer_filters(stem):
        return graph, quantisation
    sums = quantisation.filters(stem).sum((1, 2, 3), dtype=np.int64)
    bias = stem.bias - zero * grid.scale * sums * quantisation.scales[stem.output].astype(float)
    frame = Border(inputs=normalise.inputs, output=FRAMED, pads=stem.pads, value=zero)
    unpadded = replace(stem, bias=single(bias), pads=(0, 0, 0, 0))
    top, left, bottom, right = stem.pads
    height, width, channels = graph.shapes[graph.input]
    shapes = {FRAMED: (height + top + bottom, width + left + right, channels)}
    framed = graph.with_ops(
        (
            frame,
            replace(normalise, inputs=(FRAMED,), mean=(0.0, 0.0, 0.0)),
            *(unpadded if op is stem else op for op in others),
        ),
        shapes,
    )
    grids = {**quantisation.grids, normalise.output: Grid(grid.scale, LOWEST)}
    return framed, Quantisation(grids, quantisation.scales)
