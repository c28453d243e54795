"""LiteRT (TensorFlow Lite) on the CPU, with XNNPACK."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from mobilens.cores import usable_cores
from mobilens.errors import BundleError
from mobilens.quiet import quiet
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
        try:
            with quiet():  # what it says about its delegate
                self._interpreter = Interpreter(str(path), num_threads=threads or usable_cores())
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise BundleError(f"LiteRT cannot load {path}: {reason}") from None
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
            try:
                self._interpreter.invoke()
            except RuntimeError as error:
                raise BundleError(f"LiteRT stopped: {' '.join(str(error).split())}") from None
            for name, place in self._places.items():
                answers[name].append(self._interpreter.get_tensor(place))
        return {name: np.concatenate(values) for name, values in answers.items()}
