"""ExecuTorch's own runtime, which its Python package only has together with torch."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import torch  # the runtime's tensors
from executorch.extension.pybindings import portable_lib

from mobilens.cores import usable_cores
from mobilens.errors import BundleError
from mobilens.quiet import quiet
from mobilens.runtime.bundle import read_manifest
from mobilens.vision.predictor import Pixels, RawOutputs

METHOD = "forward"
BYTE = 0  # the number of torch's type uint8


class ExecuTorchEngine:
    """A program loaded by ExecuTorch.

    Attributes:
        name: ``"executorch"``.
        version: Version of ExecuTorch.
        outputs: Names of what the program gives, in its order.
    """

    name = "executorch"
    version: str = importlib.metadata.version("executorch")

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: An ExecuTorch program with one uint8 input.
            threads: Threads for one answer, for all programs of this process; as many as it has
                cores by default.

        Raises:
            BundleError: ExecuTorch cannot load it, or its input is another one.
        """
        try:
            with quiet():  # what it says about the processor
                portable_lib._unsafe_reset_threadpool(threads or usable_cores())
            self._program = portable_lib._load_for_executorch(str(path))
            about = self._program.method_meta(METHOD)
            given = about.input_tensor_meta(0)
            kind, self._shape = given.dtype(), tuple(given.sizes()[1:])
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise BundleError(f"ExecuTorch cannot load {path}: {reason}") from None
        if about.num_inputs() != 1 or kind != BYTE:
            raise BundleError(f"{path} does not read pixels", expected="one uint8 input of pixels")
        self.outputs: tuple[str, ...] = _names(path, about.num_outputs())

    def run(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch of (N, height, width, 3) uint8 pixels, one image after the other.

        Raises:
            BundleError: The program does not run on them.
        """
        if pixels.shape[1:] != self._shape:
            raise BundleError(f"the program reads {self._shape}, given is {pixels.shape[1:]}")
        rows = []
        for image in pixels:
            try:
                answers = self._program.forward((torch.from_numpy(image[np.newaxis]),))
            except RuntimeError as error:
                raise BundleError(f"ExecuTorch stopped: {' '.join(str(error).split())}") from None
            # The runtime writes the next answers into the same memory.
            rows.append([answer.numpy().copy() for answer in answers])
        columns = zip(*rows, strict=True)
        return {
            name: np.concatenate(values) for name, values in zip(self.outputs, columns, strict=True)
        }


def _names(path: Path, count: int) -> tuple[str, ...]:
    """Names of the outputs, which a program only numbers: its manifest has them."""
    try:
        return read_manifest(path).outputs
    except BundleError:
        return tuple(f"output_{index}" for index in range(count))
