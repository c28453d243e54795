"""LiteRT: which operators its delegate took over; times it does not tell from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from mobilens.quiet import quiet
from mobilens.runtime.profilers import Operator, precision_between
from mobilens.vision.predictor import Pixels

NOTE = "LiteRT does not tell times from Python: only what its delegate took over, and in what types"
DELEGATE = "DELEGATE"


def profile(path: Path, threads: int, pixels: Pixels, runs: int) -> list[Operator]:
    """Load a file and compare its operators with those that the delegate took over."""
    with quiet():
        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
        nodes = interpreter._get_ops_details()
    given = interpreter.get_input_details()[0]["index"]
    for _ in range(min(runs, 1)):  # a file that does not run has no operators to speak of
        interpreter.set_tensor(given, pixels)
        interpreter.invoke()
    plain = [node for node in nodes if node["op_name"] != DELEGATE]
    taken = {
        place for node in nodes if node["op_name"] == DELEGATE for place in _within(node, plain)
    }
    return [
        _operator(node, "XNNPACK" if node["index"] in taken else "LiteRT's own") for node in plain
    ]


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


def _operator(node: dict[str, Any], where: str) -> Operator:
    given = np.dtype(node["operand_types"][0]).name if node["operand_types"] else ""
    result = np.dtype(node["result_types"][0]).name if node["result_types"] else given
    return Operator(node["op_name"], precision_between(given or result, result), where, None)
