"""OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino

from mobilens.cores import usable_cores
from mobilens.errors import BundleError
from mobilens.runtime.bundle import read_manifest
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
        self._core = openvino.Core()
        self._options = {
            "INFERENCE_NUM_THREADS": threads or usable_cores(),
            # Left to itself it computes in bfloat16 where the processor can: other answers.
            "INFERENCE_PRECISION_HINT": "bf16" if _in_bfloat16(path) else "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            self._model = self._core.read_model(str(path))
        except RuntimeError as error:
            raise BundleError(f"OpenVINO cannot load {path}: {_reason(error)}") from None
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


def _in_bfloat16(path: Path) -> bool:
    """Whether a file asks for bfloat16; OpenVINO is told so when it compiles."""
    try:
        return read_manifest(path).precision == "bfloat16"
    except BundleError:
        return False


def _reason(error: Exception) -> str:
    """Give the last sentence of OpenVINO's traces."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
