"""One small file for each inference engine, and the lookup by name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from mobilens.errors import MissingExtraError, UnknownNameError
from mobilens.quiet import quiet
from mobilens.vision.predictor import Pixels, RawOutputs

ENGINES = {
    "onnxruntime": "mobilens.runtime.engines.onnxruntime:OnnxRuntimeEngine",
    "openvino": "mobilens.runtime.engines.openvino:OpenVinoEngine",
    "litert": "mobilens.runtime.engines.litert:LiteRtEngine",
    "executorch": "mobilens.runtime.engines.executorch:ExecuTorchEngine",
    "ncnn": "mobilens.runtime.engines.ncnn:NcnnEngine",
}
# Engines that are extras of the same name.
EXTRAS = frozenset(("openvino", "litert", "executorch", "ncnn"))


class Engine(Protocol):
    """A model file, loaded and ready to answer.

    Attributes:
        name: Name of the engine.
        version: Its version.
        outputs: Names of what the graph gives, in its order.
    """

    name: str
    version: str
    outputs: tuple[str, ...]

    def run(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch.

        Args:
            pixels: (N, height, width, 3), RGB, uint8, contiguous.

        Returns:
            Outputs by name, each (N, ...).

        Raises:
            BundleError: The graph does not run on these pixels.
        """
        ...


class EngineType(Protocol):
    """What opens a model file with one engine."""

    def __call__(self, path: Path, threads: int | None = None) -> Engine:
        """Load a file.

        Args:
            path: The file; its seal has been checked.
            threads: Threads for one answer; the engine's choice by default.

        Raises:
            BundleError: The engine cannot load it.
        """
        ...


def engine_type(name: str) -> EngineType:
    """Look up an engine.

    Raises:
        UnknownNameError: No engine has this name.
        MissingExtraError: Its package is not installed.
    """
    if name not in ENGINES:
        raise UnknownNameError.among("engine", name, ENGINES)
    module, _, attribute = ENGINES[name].partition(":")
    try:
        with quiet():
            return cast(EngineType, getattr(importlib.import_module(module), attribute))
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        package = name if name in EXTRAS else ""
        raise MissingExtraError(
            f"the engine {name!r} needs {missing}, which is not installed",
            remedy=f"pip install 'mobilens[{package}]'" if package else f"pip install {missing}",
        ) from None
