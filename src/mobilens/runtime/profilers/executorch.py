"""ExecuTorch: its trace, in which XNNPACK names each of its kernels."""

from __future__ import annotations

import re
import statistics
import tempfile
from pathlib import Path

import torch  # the runtime's tensors
from executorch.extension.pybindings import portable_lib

from mobilens.quiet import quiet
from mobilens.runtime.profilers import Operator
from mobilens.vision.predictor import Pixels

NOTE = "XNNPACK does not tell the precision of kernels without a filter"
# Whole stretches of the program, whose parts are listed too.
STRETCHES = ("Method::", "Program::", "DELEGATE_CALL", "OPERATOR_CALL")
# As XNNPACK writes them: "Convolution (NHWC, QC8) DWConv #1".
KERNEL = re.compile(r"([^(#]+?)(?: *\(([^)]*)\)([\w ]*?))? *(?:#\d+)?")
PRECISIONS = {"Q": "int8", "F32": "float32", "F16": "float16"}


def profile(path: Path, threads: int, pixels: Pixels, runs: int) -> list[Operator]:
    """Run a program several times with its trace on."""
    from executorch.devtools import Inspector

    with quiet(), tempfile.TemporaryDirectory() as folder:
        portable_lib._unsafe_reset_threadpool(threads)
        program = portable_lib._load_for_executorch(str(path), enable_etdump=True)
        for _ in range(runs):
            program.forward((torch.from_numpy(pixels),))
        trace = Path(folder) / "trace.etdp"
        program.write_etdump_result_to_file(str(trace))
        blocks = Inspector(etdump_path=str(trace)).event_blocks
    return [
        _operator(event.name, statistics.median(event.perf_data.raw), event.is_delegated_op)
        for block in blocks
        for event in block.events
        if event.perf_data and not event.name.startswith(STRETCHES)
    ]


def _operator(name: str, ms: float, delegated: bool) -> Operator:
    found = KERNEL.fullmatch(name)
    if not delegated or found is None:
        return Operator(name, "", "XNNPACK" if delegated else "ExecuTorch's own", ms)
    kind, types, way = (part or "" for part in found.groups())
    listed = types.split(", ")
    families = [PRECISIONS[key] for one in listed for key in PRECISIONS if one.startswith(key)]
    return Operator(kind + way, families[0] if families else "", "XNNPACK", ms)
