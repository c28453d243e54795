"""LiteRT (TensorFlow Lite) on the CPU, with XNNPACK."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from mobilens.cores import usable_cores
from mobilens.errors import BundleError
from mobilens.quiet import quiet
from mobilens.runtime.engines import Port
from mobilens.vision.predictor import Pixels, RawOutputs


class LiteRtEngine:
    """A model file in a LiteRT interpreter.

    Attributes:
        name: ``"litert"``.
        version: Version of LiteRT.
        outputs: Names of what the graph gives, in its order.
    """

    name = "litert"
    version: str = importlib.metadata.version("ai-edge-litert")

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: A LiteRT file with one uint8 input.
            threads: Threads for one answer; as many as this process has cores by default.

        Raises:
            BundleError: LiteRT cannot load it, or its input is another one.
        """
        self._interpreter = _interpreter(path, threads)
        inputs = self._interpreter.get_input_details()
        if [given["dtype"] for given in inputs] != [np.uint8]:
            found = ", ".join(f"{given['name']} {given['dtype'].__name__}" for given in inputs)
            raise BundleError(
                f"{path} reads {found or 'nothing'}", expected="one uint8 input of pixels"
            )
        self._input = inputs[0]["index"]
        self._shape = tuple(inputs[0]["shape"][1:])
        details = self._interpreter.get_output_details()
        self._places = {detail["name"]: detail["index"] for detail in details}
        self.outputs: tuple[str, ...] = tuple(self._places)

    def run(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch of (N, height, width, 3) uint8 pixels, one image after the other.

        Raises:
            BundleError: The graph does not run on them.
        """
        if pixels.shape[1:] != self._shape:
            raise BundleError(f"the graph reads {self._shape}, given is {pixels.shape[1:]}")
        answers: dict[str, list[np.ndarray]] = {name: [] for name in self._places}
        for image in pixels:
            self._interpreter.set_tensor(self._input, image[np.newaxis])
            _invoke(self._interpreter)
            for name, place in self._places.items():
                answers[name].append(self._interpreter.get_tensor(place))
        return {name: np.concatenate(values) for name, values in answers.items()}


class LiteRtGraph:
    """A file of any tool in a LiteRT interpreter.

    Attributes:
        version: Version of LiteRT.
        inputs: What it reads.
        outputs: Names of what it gives, in its order.
    """

    version: str = importlib.metadata.version("ai-edge-litert")

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: A LiteRT file.
            threads: Threads for one run; as many as this process has cores by default.

        Raises:
            BundleError: LiteRT cannot load it.
        """
        self._interpreter = _interpreter(path, threads)
        inputs = self._interpreter.get_input_details()
        self.inputs: tuple[Port, ...] = tuple(_port(given) for given in inputs)
        self._indices = {given["name"]: given["index"] for given in inputs}
        outputs = self._interpreter.get_output_details()
        self._places = {given["name"]: given["index"] for given in outputs}
        self.outputs: tuple[str, ...] = tuple(self._places)
        self._shapes = {given["name"]: tuple(map(int, given["shape"])) for given in inputs}
        self._steps = {given["name"]: _steps(given) for given in outputs}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> RawOutputs:
        """Compute every output; integers that stand for floats are given as those.

        Raises:
            BundleError: The graph does not run on these values.
        """
        shapes = {name: value.shape for name, value in inputs.items()}
        try:
            if shapes != self._shapes:
                for name, shape in shapes.items():
                    self._interpreter.resize_tensor_input(self._indices[name], shape)
                self._interpreter.allocate_tensors()
                self._shapes = shapes
            for name, value in inputs.items():
                self._interpreter.set_tensor(self._indices[name], value)
        except (RuntimeError, ValueError) as error:
            raise BundleError(f"LiteRT stopped: {' '.join(str(error).split())}") from None
        _invoke(self._interpreter)
        return {
            name: self._steps[name].floats(self._interpreter.get_tensor(place))
            for name, place in self._places.items()
        }


class _Steps(NamedTuple):
    """What integers of a tensor stand for; a scale of 0 where they stand for themselves."""

    scale: float
    zero_point: int

    def floats(self, values: NDArray[Any]) -> NDArray[Any]:
        if not self.scale:
            return values
        return (values.astype(np.float32) - self.zero_point) * np.float32(self.scale)


def _interpreter(path: Path, threads: int | None) -> Interpreter:
    try:
        with quiet():  # what it says about its delegate
            interpreter = Interpreter(str(path), num_threads=threads or usable_cores())
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BundleError(f"LiteRT cannot load {path}: {reason}") from None
    return interpreter


def _invoke(interpreter: Interpreter) -> None:
    try:
        interpreter.invoke()
    except RuntimeError as error:
        raise BundleError(f"LiteRT stopped: {' '.join(str(error).split())}") from None


def _port(given: Mapping[str, Any]) -> Port:
    # Where sizes are open, the signature has -1 and the shape a 1 until they are set.
    sizes = given["shape_signature"] if len(given["shape_signature"]) else given["shape"]
    shape = tuple(None if size < 0 else int(size) for size in sizes)
    return Port(given["name"], np.dtype(given["dtype"]), shape, *_steps(given))


def _steps(given: Mapping[str, Any]) -> _Steps:
    scale, zero_point = given["quantization"]
    return _Steps(float(scale), int(zero_point))
