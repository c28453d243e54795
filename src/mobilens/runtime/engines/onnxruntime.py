"""ONNX Runtime on the CPU, the default engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from mobilens.cores import usable_cores
from mobilens.errors import BundleError
from mobilens.runtime.engines import Port
from mobilens.vision.predictor import Pixels, RawOutputs

# ONNX Runtime's errors have no common base.
REFUSALS = (
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NotImplemented,
    errors.RuntimeException,
)
FATAL = 4
NUMBERS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class OnnxRuntimeEngine:
    """A model file in an ONNX Runtime session.

    Attributes:
        name: ``"onnxruntime"``.
        version: Version of ONNX Runtime.
        outputs: Names of what the graph gives, in its order.
    """

    name = "onnxruntime"
    version: str = onnxruntime.__version__

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: An ONNX file with one uint8 input.
            threads: Threads for one answer; as many as this process has cores by default.

        Raises:
            BundleError: ONNX Runtime cannot load it, or its input is another one.
        """
        self._session = _session(path, threads)
        inputs = self._session.get_inputs()
        if [given.type for given in inputs] != ["tensor(uint8)"]:
            found = ", ".join(f"{given.name} {given.type}" for given in inputs)
            raise BundleError(
                f"{path} reads {found or 'nothing'}", expected="one uint8 input of pixels"
            )
        self._input = inputs[0].name
        self.outputs: tuple[str, ...] = tuple(out.name for out in self._session.get_outputs())

    def run(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch of (N, height, width, 3) uint8 pixels.

        Raises:
            BundleError: The graph does not run on them.
        """
        return _run(self._session, self.outputs, {self._input: pixels})


class OnnxRuntimeGraph:
    """A file of any tool in an ONNX Runtime session.

    Attributes:
        version: Version of ONNX Runtime.
        inputs: What it reads.
        outputs: Names of what it gives, in its order.
    """

    version: str = onnxruntime.__version__

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: An ONNX file.
            threads: Threads for one run; as many as this process has cores by default.

        Raises:
            BundleError: ONNX Runtime cannot load it, or it reads other things than numbers.
        """
        self._session = _session(path, threads)
        self.inputs: tuple[Port, ...] = tuple(
            _port(path, given) for given in self._session.get_inputs()
        )
        self.outputs: tuple[str, ...] = tuple(out.name for out in self._session.get_outputs())

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> RawOutputs:
        """Compute every output.

        Raises:
            BundleError: The graph does not run on these values.
        """
        return _run(self._session, self.outputs, inputs)


def _session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # A number of its own: left to itself the runtime counts and pins all cores of the machine,
    # those that a container may not use too.
    options.intra_op_num_threads = threads or usable_cores()
    # Idle threads that spin take the cores from decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # What goes wrong is raised; the log would say it twice.
    options.log_severity_level = FATAL
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except REFUSALS as error:
        raise BundleError(f"ONNX Runtime cannot load {path}: {_reason(error)}") from None


def _run(
    session: onnxruntime.InferenceSession,
    outputs: tuple[str, ...],
    inputs: Mapping[str, NDArray[Any]],
) -> RawOutputs:
    try:
        values = session.run(None, dict(inputs))
    except REFUSALS as error:
        raise BundleError(f"ONNX Runtime stopped: {_reason(error)}") from None
    return dict(zip(outputs, values, strict=True))


def _port(path: Path, given: onnxruntime.NodeArg) -> Port:
    if given.type not in NUMBERS:
        raise BundleError(f"{path} reads {given.name} as {given.type}", expected="numbers")
    # A size without a number is a name, or nothing.
    sizes = tuple(size if isinstance(size, int) else None for size in given.shape)
    return Port(given.name, np.dtype(NUMBERS[given.type]), sizes)


def _reason(error: Exception) -> str:
    """Give the sentence behind ONNX Runtime's codes, on one line."""
    text = " ".join(str(error).split())
    return text.partition(" : ")[2].partition(" : ")[2] or text
