"""LiteRT: which operators its delegate took over, and what each adds to the time.

It does not tell times from Python. So the file is cut short after each operator and timed: what one
operator costs is what the net with it takes longer than the net that ends before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from mobilens.quiet import quiet
from mobilens.runtime.profilers import Operator, precision_between
from mobilens.vision.predictor import Pixels

NOTE = (
    "LiteRT tells no times from Python: each is what a file that ends with this operator takes "
    "longer than one that ends before it"
)
DELEGATE = "DELEGATE"
IDENTIFIER = b"TFL3"


def profile(path: Path, threads: int, pixels: Pixels, runs: int) -> list[Operator]:
    """Load a file, compare its operators with those that the delegate took over, time each."""
    with quiet():
        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
        nodes = interpreter._get_ops_details()
        least = [_least(file, threads, pixels, runs) for file in _cut_short(path.read_bytes())]
    # Whatever disturbs makes a time longer: one that ends later is not done sooner.
    upto = np.minimum.accumulate(least[::-1])[::-1]
    each = np.diff(upto, prepend=0)
    plain = [node for node in nodes if node["op_name"] != DELEGATE]
    taken = {
        place for node in nodes if node["op_name"] == DELEGATE for place in _within(node, plain)
    }
    return [
        _operator(node, "XNNPACK" if node["index"] in taken else "LiteRT's own", float(ms))
        for node, ms in zip(plain, each, strict=True)
    ]


def _cut_short(file: bytes) -> Iterator[bytes]:
    """The same net ending after its first operator, after its second, and so on to the last."""
    model = schema.ModelT.InitFromPackedBuf(file, 0)
    model.signatureDefs = None  # they name outputs that are not there yet
    graph = model.subgraphs[0]
    operators = graph.operators
    for count in range(1, len(operators) + 1):
        graph.operators = operators[:count]
        made = {int(place) for op in graph.operators for place in op.outputs}
        read = {int(place) for op in graph.operators for place in op.inputs}
        # Whatever nobody reads is an output, or it would not be computed.
        graph.outputs = np.array(sorted(made - read), np.int32)
        builder = flatbuffers.Builder(len(file))
        builder.Finish(model.Pack(builder), IDENTIFIER)
        yield bytes(builder.Output())


def _least(file: bytes, threads: int, pixels: Pixels, runs: int) -> float:
    """The least time of one answer, milliseconds."""
    interpreter = Interpreter(model_content=file, num_threads=threads)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    return min(_invoked(interpreter) for _ in range(runs))


def _invoked(interpreter: Interpreter) -> float:
    began = time.perf_counter()
    interpreter.invoke()
    return 1e3 * (time.perf_counter() - began)


def _within(delegate: dict[str, Any], nodes: list[dict[str, Any]]) -> set[int]:
    """The operators behind a delegate: back from what it gives to what it is given."""
    makers = {int(out): node for node in nodes for out in node["outputs"]}
    known = {int(place) for place in delegate["inputs"]}
    found: set[int] = set()
    waiting = [int(place) for place in delegate["outputs"]]
    while waiting:
        place = waiting.pop()
        node = makers.get(place)
        if node is not None and place not in known:
            known.add(place)
            found.add(node["index"])
            waiting += [int(each) for each in node["inputs"]]
    return found


def _operator(node: dict[str, Any], where: str, ms: float) -> Operator:
    given = np.dtype(node["operand_types"][0]).name if node["operand_types"] else ""
    result = np.dtype(node["result_types"][0]).name if node["result_types"] else given
    return Operator(node["op_name"], precision_between(given or result, result), where, ms)
