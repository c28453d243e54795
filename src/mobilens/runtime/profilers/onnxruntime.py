"""ONNX Runtime: its own profile, a JSON file of every kernel's time."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime

from mobilens.runtime.profilers import Operator, precision_between
from mobilens.vision.predictor import Pixels

NOTE = ""
KERNEL = "_kernel_time"


def profile(path: Path, threads: int, pixels: Pixels, runs: int) -> list[Operator]:
    """Run a file several times with the profile on."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        for _ in range(runs):
            session.run(None, {name: pixels})
        events = json.loads(Path(session.end_profiling()).read_bytes())
    kernels: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            kernels.setdefault(event["name"], []).append(event)
    return [_operator(each) for each in kernels.values()]


def _operator(events: list[dict[str, Any]]) -> Operator:
    about = events[0]["args"]
    return Operator(
        kind=about["op_name"],
        precision=precision_between(
            _first(about["input_type_shape"]), _first(about["output_type_shape"])
        ),
        where=about["provider"].removesuffix("ExecutionProvider"),
        ms=statistics.median(event["dur"] for event in events) / 1e3,
    )


def _first(shapes: list[dict[str, list[int]]]) -> str:
    """The type of the first tensor of a list such as ``[{"float": [1, 3]}]``."""
    return next(iter(shapes[0]), "") if shapes else ""
