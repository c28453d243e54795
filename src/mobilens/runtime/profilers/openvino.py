"""OpenVINO: counters of every node, whose kernels name their precision."""

from __future__ import annotations

import statistics
from pathlib import Path

import openvino

from mobilens.runtime.engines.openvino import in_bfloat16
from mobilens.runtime.profilers import Operator
from mobilens.vision.predictor import Pixels

NOTE = "a node that OpenVINO fused into another is part of that one"
PRECISIONS = {
    **{"i8": "int8", "u8": "int8", "f32": "float32", "fp32": "float32"},
    **{"bf16": "bfloat16", "f16": "float16", "fp16": "float16", "i32": "int32"},
}


def profile(path: Path, threads: int, pixels: Pixels, runs: int) -> list[Operator]:
    """Run a file several times with counters on."""
    core = openvino.Core()
    model = core.read_model(str(path))
    model.reshape(list(pixels.shape))
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if in_bfloat16(path) else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "PERF_COUNT": True,
    }
    request = core.compile_model(model, "CPU", options).create_infer_request()
    times: dict[str, list[float]] = {}
    kernels: dict[str, tuple[str, str]] = {}
    for _ in range(runs):
        request.infer([pixels], share_inputs=True)
        for node in request.profiling_info:
            if node.status == openvino.ProfilingInfo.Status.EXECUTED:
                times.setdefault(node.node_name, []).append(node.real_time.total_seconds())
                kernels[node.node_name] = node.node_type, node.exec_type
    return [
        _operator(*kernels[name], 1e3 * statistics.median(each)) for name, each in times.items()
    ]


def _operator(kind: str, kernel: str, ms: float) -> Operator:
    where, _, last = kernel.rpartition("_")
    return Operator(kind, PRECISIONS.get(last.lower(), ""), where or kernel, ms)
