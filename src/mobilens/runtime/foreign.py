"""Model files of other tools: without a manifest, but loaded and run all the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import BundleError, UsageError
from mobilens.runtime.bundle import read_parts
from mobilens.runtime.engines import Port, graph_type
from mobilens.runtime.formats import FORMATS
from mobilens.vision.predictor import RawOutputs

# Sides of an image that the file leaves open.
SIDE = 224
IMAGE_CHANNELS = (1, 3, 4)


class Foreign:
    """A model file of any tool, loaded by an engine.

    Attributes:
        path: The file.
        engine: Name of the engine.
        version: Its version.
        inputs: What the graph reads.
        outputs: Names of what it gives, in its order.
    """

    def __init__(self, path: Path, engine: str, threads: int | None) -> None:
        """Load a file; the arguments and errors are those of ``open_foreign``."""
        self.path, self.engine = path, engine
        self._graph = graph_type(engine)(path, threads)
        self.version = self._graph.version
        self.inputs, self.outputs = self._graph.inputs, self._graph.outputs
        if not self.inputs:
            raise BundleError(f"{path} reads nothing", expected="one input or more")

    @property
    def batch(self) -> int | None:
        """Images that one run of the graph takes; None where any number will do."""
        shape = self.inputs[0].shape
        return shape[0] if shape else 1

    def example(self, batch: int) -> dict[str, NDArray[Any]]:
        """Make inputs of the declared types and shapes, always the same ones.

        Args:
            batch: Images in them; where the graph has a number of its own, a multiple of it.

        Raises:
            UsageError: The graph does not take this number of images.
            BundleError: It does not say what shape it reads.
        """
        fixed = self.batch
        if fixed is not None and batch % fixed:
            raise UsageError(
                f"{self.path} answers {fixed} images at a time, asked is a batch of {batch}",
                expected=f"a multiple of {fixed}",
            )
        stream = np.random.default_rng(0)
        return {port.name: _values(stream, port, self._shape(port, batch)) for port in self.inputs}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> RawOutputs:
        """Compute every output; a batch larger than the graph's own in several runs.

        Args:
            inputs: A value for each input, such as ``example`` gives.

        Raises:
            BundleError: The graph does not run on these values.
        """
        given = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        fixed, count = self.batch, len(given[self.inputs[0].name])
        if fixed is None or count == fixed:
            return self._graph.run(given)
        parts = [
            self._graph.run({name: value[at : at + fixed] for name, value in given.items()})
            for at in range(0, count, fixed)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def _shape(self, port: Port, batch: int) -> tuple[int, ...]:
        sizes = [batch, *port.shape[1:]] if port.shape else []
        if len(sizes) == 4 and None in sizes[1:]:
            channels = {sizes[1], sizes[3]} & {*IMAGE_CHANNELS}
            if channels:
                sizes = [SIDE if size is None else size for size in sizes]
        if None in sizes:
            shown = ", ".join("?" if size is None else str(size) for size in port.shape)
            raise BundleError(
                f"{self.path} leaves the shape of {port.name} open: ({shown})",
                expected="an image with 1, 3 or 4 channels, or every size but the batch's given",
            )
        return tuple(size for size in sizes if size is not None)


def open_foreign(
    path: str | Path, engine: str | None = None, threads: int | None = None
) -> Foreign:
    """Load a model file of any tool.

    Args:
        path: An ONNX, OpenVINO, LiteRT or ExecuTorch file, or the ``.param`` of an ncnn model.
        engine: Name of the engine; the one of the file's format by default.
        threads: Threads for one run; as many as this process has cores by default.

    Raises:
        BundleError: The engine cannot load it.
        MissingExtraError: The engine is not installed.
    """
    path = Path(path)
    return Foreign(path, engine or FORMATS[read_parts(path)[0]].engine, threads)


def is_foreign(path: str | Path) -> bool:
    """Tell whether a model file carries no manifest, so that another tool made it.

    Raises:
        BundleError: It is damaged, or no model file.
    """
    return read_parts(Path(path))[1].manifest is None


def _values(stream: np.random.Generator, port: Port, shape: tuple[int, ...]) -> NDArray[Any]:
    if port.dtype in (np.uint8, np.int8):
        bounds = np.iinfo(port.dtype)
        return stream.integers(bounds.min, bounds.max + 1, shape, port.dtype)
    if port.dtype.kind == "f":
        return stream.standard_normal(shape, np.float32).astype(port.dtype)
    # Places in a table, as a rule: all have a first row.
    return np.zeros(shape, port.dtype)
