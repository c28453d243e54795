"""A graph as OpenVINO's pair of files: read from ONNX by OpenVINO itself, and written out."""

from __future__ import annotations

import re
from pathlib import Path

import openvino

from mobilens.exporting.onnx import build_onnx
from mobilens.graph.ops import Graph
from mobilens.graph.quantised import Quantisation
from mobilens.runtime.manifest import Manifest

NUMBERED = re.compile(r"[A-Za-z]+_\d+")


def build(
    graph: Graph,
    manifest: Manifest,  # noqa: ARG001 - part of the contract
    path: Path,
    quantisation: Quantisation | None = None,
) -> None:
    """Write a graph as ``path`` and, beside it, a ``.bin`` with its weights."""
    model = openvino.Core().read_model(build_onnx(graph, quantisation))
    for number, node in enumerate(model.get_ordered_ops()):
        if NUMBERED.fullmatch(node.friendly_name):
            # OpenVINO counts on through the life of a process: the same model, another file.
            node.friendly_name = f"{node.get_type_name()}.{number}"
    # Written as it is: the default would round every weight to sixteen bits.
    openvino.save_model(model, path, compress_to_fp16=False)
