"""OpenVINO on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from mobilens.cores import usable_cores
from mobilens.errors import BundleError
from mobilens.runtime.bundle import read_manifest
from mobilens.runtime.engines import Port
from mobilens.vision.predictor import Pixels, RawOutputs


class OpenVinoEngine:
    """A model file compiled by OpenVINO, anew for each size of batch.

    Attributes:
        name: ``"openvino"``.
        version: Version of OpenVINO.
        outputs: Names of what the graph gives, in its order.
    """

    name = "openvino"
    version: str = openvino.__version__.partition("-")[0]

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: An OpenVINO or ONNX file with one uint8 input.
            threads: Threads for one answer; as many as this process has cores by default.

        Raises:
            BundleError: OpenVINO cannot load it, or its input is another one.
        """
        precision = "bf16" if in_bfloat16(path) else "f32"
        self._core, self._options = openvino.Core(), _options(threads, precision)
        self._model = _read(self._core, path)
        inputs = self._model.inputs
        if [given.element_type for given in inputs] != [openvino.Type.u8]:
            found = ", ".join(f"{given.any_name} {given.element_type}" for given in inputs)
            raise BundleError(
                f"{path} reads {found or 'nothing'}", expected="one uint8 input of pixels"
            )
        self._shape = tuple(size.get_length() for size in list(inputs[0].partial_shape)[1:])
        self.outputs: tuple[str, ...] = tuple(out.any_name for out in self._model.outputs)
        self._requests: dict[tuple[int, ...], openvino.InferRequest] = {}

    def run(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch of (N, height, width, 3) uint8 pixels.

        Raises:
            BundleError: The graph does not run on them.
        """
        if pixels.shape[1:] != self._shape:
            raise BundleError(f"the graph reads {self._shape}, given is {pixels.shape[1:]}")
        try:
            request = self._requests.get(pixels.shape) or self._compiled(pixels.shape)
            request.infer([pixels], share_inputs=True)
        except RuntimeError as error:
            raise BundleError(f"OpenVINO stopped: {_reason(error)}") from None
        values = [np.array(tensor.data) for tensor in request.output_tensors]
        return dict(zip(self.outputs, values, strict=True))

    def _compiled(self, shape: tuple[int, ...]) -> openvino.InferRequest:
        self._model.reshape(list(shape))
        compiled = self._core.compile_model(self._model, "CPU", self._options)
        self._requests[shape] = request = compiled.create_infer_request()
        return request


def in_bfloat16(path: Path) -> bool:
    """Whether a file asks for bfloat16; OpenVINO is told so when it compiles."""
    try:
        return read_manifest(path).precision == "bfloat16"
    except BundleError:
        return False


class OpenVinoGraph:
    """A file of any tool compiled by OpenVINO, anew for each shape of what it reads.

    Attributes:
        version: Version of OpenVINO.
        inputs: What it reads.
        outputs: Names of what it gives, in its order.
    """

    version: str = openvino.__version__.partition("-")[0]

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: An OpenVINO, ONNX or LiteRT file.
            threads: Threads for one run; as many as this process has cores by default.

        Raises:
            BundleError: OpenVINO cannot load it, or it reads other things than numbers.
        """
        self._core, self._options = openvino.Core(), _options(threads)
        self._model = _read(self._core, path)
        self.inputs: tuple[Port, ...] = tuple(
            _port(path, number, given) for number, given in enumerate(self._model.inputs)
        )
        self.outputs: tuple[str, ...] = tuple(
            _name(out, f"output_{number}") for number, out in enumerate(self._model.outputs)
        )
        self._requests: dict[tuple[tuple[int, ...], ...], openvino.InferRequest] = {}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> RawOutputs:
        """Compute every output.

        Raises:
            BundleError: The graph does not run on these values.
        """
        values = [inputs[port.name] for port in self.inputs]
        shapes = tuple(value.shape for value in values)
        try:
            request = self._requests.get(shapes) or self._compiled(shapes)
            request.infer(values, share_inputs=True)
        except RuntimeError as error:
            raise BundleError(f"OpenVINO stopped: {_reason(error)}") from None
        answers = [np.array(tensor.data) for tensor in request.output_tensors]
        return dict(zip(self.outputs, answers, strict=True))

    def _compiled(self, shapes: tuple[tuple[int, ...], ...]) -> openvino.InferRequest:
        if any(None in port.shape for port in self.inputs):
            named = {number: list(shape) for number, shape in enumerate(shapes)}
            self._model.reshape(named)
        compiled = self._core.compile_model(self._model, "CPU", self._options)
        self._requests[shapes] = request = compiled.create_infer_request()
        return request


def _options(threads: int | None, precision: str = "f32") -> dict[str, Any]:
    return {
        "INFERENCE_NUM_THREADS": threads or usable_cores(),
        # Left to itself it computes in bfloat16 where the processor can: other answers.
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    }


def _read(core: openvino.Core, path: Path) -> openvino.Model:
    try:
        return core.read_model(str(path))
    except RuntimeError as error:
        raise BundleError(f"OpenVINO cannot load {path}: {_reason(error)}") from None


def _port(path: Path, number: int, given: openvino.Output) -> Port:
    name = _name(given, f"input_{number}")
    if given.element_type.is_dynamic() or given.partial_shape.rank.is_dynamic:
        raise BundleError(f"{path} does not say what {name} is", expected="a type and a shape")
    sizes = (None if size.is_dynamic else size.get_length() for size in given.partial_shape)
    return Port(name, np.dtype(given.element_type.to_dtype()), tuple(sizes))


def _name(given: openvino.Output, otherwise: str) -> str:
    return given.any_name if given.names else otherwise


def _reason(error: Exception) -> str:
    """Give the last sentence of OpenVINO's traces."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
