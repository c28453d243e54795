"""One small file for each engine that tells which operators ran, where, and how long."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from mobilens.errors import UsageError
from mobilens.vision.predictor import Pixels

PROFILERS = {
    "onnxruntime": "mobilens.runtime.profilers.onnxruntime",
    "openvino": "mobilens.runtime.profilers.openvino",
    "litert": "mobilens.runtime.profilers.litert",
    "executorch": "mobilens.runtime.profilers.executorch",
    "ncnn": "mobilens.runtime.profilers.ncnn",
}


@dataclass(frozen=True)
class Operator:
    """One operator as an engine ran it, after its own rewriting of the graph.

    Attributes:
        kind: What it does, in the engine's words.
        precision: What it computes in, such as ``"int8"`` or ``"float32 to int8"``; empty where
            the engine does not tell.
        where: What ran it: a library of kernels, a delegate.
        ms: Its time, milliseconds.
    """

    kind: str
    precision: str
    where: str
    ms: float


class Profiler(Protocol):
    """What a module of this package offers."""

    NOTE: str

    def profile(self, path: Path, threads: int, pixels: Pixels, runs: int) -> list[Operator]:
        """Run a file several times and tell what ran.

        Args:
            path: Model file.
            threads: Threads for one answer.
            pixels: (1, height, width, 3), RGB, uint8.
            runs: How often; times are medians.
        """
        ...


def profiler(engine: str) -> Profiler:
    """Look up the profiler of an engine.

    Raises:
        UsageError: The engine has none.
    """
    if engine not in PROFILERS:
        raise UsageError(
            f"{engine} does not tell what its operators do",
            expected="a file of " + ", ".join(PROFILERS),
        )
    return cast(Profiler, importlib.import_module(PROFILERS[engine]))


def precision_between(given: str, result: str) -> str:
    """Name a precision by the types of what goes in and what comes out.

    Args:
        given: Type of the first input, in NumPy's or the engine's word.
        result: Type of the first output, likewise.
    """
    first, last = _family(given), _family(result)
    return first if first == last else f"{first} to {last}"


def _family(kind: str) -> str:
    if kind in ("uint8", "int8"):
        return "int8"
    return {"float": "float32"}.get(kind, kind)
