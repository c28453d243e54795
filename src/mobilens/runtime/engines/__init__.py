"""One small file for each inference engine, and the lookup by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import BundleError, MissingExtraError, UnknownNameError, UsageError
from mobilens.quiet import quiet
from mobilens.vision.predictor import Pixels, RawOutputs

ENGINES = {
    "onnxruntime": "mobilens.runtime.engines.onnxruntime:OnnxRuntimeEngine",
    "openvino": "mobilens.runtime.engines.openvino:OpenVinoEngine",
    "litert": "mobilens.runtime.engines.litert:LiteRtEngine",
    "executorch": "mobilens.runtime.engines.executorch:ExecuTorchEngine",
    "ncnn": "mobilens.runtime.engines.ncnn:NcnnEngine",
}
# What opens files of other tools with the same engines.
GRAPHS = {
    "onnxruntime": "mobilens.runtime.engines.onnxruntime:OnnxRuntimeGraph",
    "openvino": "mobilens.runtime.engines.openvino:OpenVinoGraph",
    "litert": "mobilens.runtime.engines.litert:LiteRtGraph",
    "executorch": "mobilens.runtime.engines.executorch:ExecuTorchGraph",
    "ncnn": "mobilens.runtime.engines.ncnn:NcnnGraph",
}
# Engines of other systems, which no file is run with here.
ELSEWHERE = {"coreml": "Core ML is a part of Apple's systems"}
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


class Port(NamedTuple):
    """An input of a graph of any kind.

    Attributes:
        name: Its name.
        dtype: Type of its values.
        shape: Its sizes, the batch's in front as a rule; None where any size will do.
        scale: Where integers stand for floats, what one step of them is worth; else 0.
        zero_point: The integer that stands for 0 there.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    scale: float = 0.0
    zero_point: int = 0


class AnyGraph(Protocol):
    """A file of any tool, loaded by an engine: whatever it reads, by name.

    Attributes:
        version: Version of the engine.
        inputs: What it reads.
        outputs: Names of what it gives, in its order.
    """

    version: str
    inputs: tuple[Port, ...]
    outputs: tuple[str, ...]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> RawOutputs:
        """Compute every output.

        Args:
            inputs: A value for each input.

        Raises:
            BundleError: The graph does not run on these values.
        """
        ...


class AnyGraphType(Protocol):
    """What opens a file of any tool with one engine."""

    def __call__(self, path: Path, threads: int | None = None) -> AnyGraph:
        """Load a file.

        Args:
            path: The file.
            threads: Threads for one run; as many as this process has cores by default.

        Raises:
            BundleError: The engine cannot load it.
        """
        ...


def engine_type(name: str) -> EngineType:
    """Look up an engine.

    Raises:
        UnknownNameError: No engine has this name.
        MissingExtraError: Its package is not installed.
        UsageError: It is one of another system.
    """
    return cast(EngineType, _class(name, ENGINES))


def graph_type(name: str) -> AnyGraphType:
    """Look up what opens files of other tools with an engine.

    Raises:
        UnknownNameError: No engine has this name.
        MissingExtraError: Its package is not installed.
        UsageError: It is one of another system.
    """
    return cast(AnyGraphType, _class(name, GRAPHS))


def _class(name: str, places: Mapping[str, str]) -> Any:
    if name in ELSEWHERE:
        raise UsageError(
            f"a file for {name} is not run here: {ELSEWHERE[name]}",
            expected=f"a file for one of {', '.join(ENGINES)}",
            remedy="mobilens export CHECKPOINT --to onnx has the same answers and runs here",
        )
    if name not in places:
        raise UnknownNameError.among("engine", name, places)
    module, _, attribute = places[name].partition(":")
    try:
        with quiet():
            return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        package = name if name in EXTRAS else ""
        raise MissingExtraError(
            f"the engine {name!r} needs {missing}, which is not installed",
            remedy=f"pip install 'mobilens[{package}]'" if package else f"pip install {missing}",
        ) from None
    except (ImportError, OSError) as error:  # made for another Python or processor
        raise BundleError(f"the engine {name!r} does not start here: {error}") from error
