"""ExecuTorch's own runtime, which its Python package only has together with torch."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch  # the runtime's tensors
from executorch.extension.pybindings import portable_lib
from numpy.typing import NDArray

from mobilens.cores import usable_cores
from mobilens.errors import BundleError
from mobilens.quiet import quiet
from mobilens.runtime.bundle import read_manifest
from mobilens.runtime.engines import Port
from mobilens.vision.predictor import Pixels, RawOutputs

METHOD = "forward"
# Torch's numbers for types of values.
BYTE = 0
NUMBERS: dict[int, type[np.generic]] = {
    BYTE: np.uint8,
    1: np.int8,
    2: np.int16,
    3: np.int32,
    4: np.int64,
    5: np.float16,
    6: np.float32,
    7: np.float64,
    11: np.bool_,
}


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
        self._program, about = _program(path, threads)
        try:
            given = about.input_tensor_meta(0)
            kind, self._shape = given.dtype(), tuple(given.sizes()[1:])
        except RuntimeError as error:
            raise _unloadable(path, error) from None
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


class ExecuTorchGraph:
    """A program of any tool loaded by ExecuTorch.

    Attributes:
        version: Version of ExecuTorch.
        inputs: What it reads; a program only numbers it.
        outputs: What it gives, likewise.
    """

    version: str = importlib.metadata.version("executorch")

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: An ExecuTorch program.
            threads: Threads for one run, for all programs of this process; as many as it has cores
                by default.

        Raises:
            BundleError: ExecuTorch cannot load it, or it reads other things than tensors.
        """
        self._program, about = _program(path, threads)
        try:
            metas = [about.input_tensor_meta(index) for index in range(about.num_inputs())]
        except RuntimeError as error:
            raise _unloadable(path, error) from None
        for index, meta in enumerate(metas):
            if meta.dtype() not in NUMBERS:
                raise BundleError(
                    f"{path} reads input_{index} as torch's type {meta.dtype()}", expected="numbers"
                )
        self.inputs: tuple[Port, ...] = tuple(
            Port(f"input_{index}", np.dtype(NUMBERS[meta.dtype()]), tuple(meta.sizes()))
            for index, meta in enumerate(metas)
        )
        self.outputs: tuple[str, ...] = tuple(
            f"output_{index}" for index in range(about.num_outputs())
        )

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> RawOutputs:
        """Compute every output.

        Raises:
            BundleError: The program does not run on these values.
        """
        given = tuple(torch.from_numpy(inputs[port.name]) for port in self.inputs)
        try:
            answers = self._program.forward(given)
        except RuntimeError as error:
            raise BundleError(f"ExecuTorch stopped: {' '.join(str(error).split())}") from None
        # The runtime writes the next answers into the same memory.
        values = [answer.numpy().copy() for answer in answers]
        return dict(zip(self.outputs, values, strict=True))


def _program(path: Path, threads: int | None) -> tuple[Any, Any]:
    """Load a program; gives what is known of its method too."""
    try:
        with quiet():  # what it says about the processor
            portable_lib._unsafe_reset_threadpool(threads or usable_cores())
        program = portable_lib._load_for_executorch(str(path))
        return program, program.method_meta(METHOD)
    except RuntimeError as error:
        raise _unloadable(path, error) from None


def _unloadable(path: Path, error: RuntimeError) -> BundleError:
    return BundleError(f"ExecuTorch cannot load {path}: {' '.join(str(error).split())}")


def _names(path: Path, count: int) -> tuple[str, ...]:
    """Names of the outputs, which a program only numbers: its manifest has them."""
    try:
        return read_manifest(path).outputs
    except BundleError:
        return tuple(f"output_{index}" for index in range(count))
