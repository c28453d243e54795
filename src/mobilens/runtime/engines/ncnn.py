"""ncnn on the CPU."""

from __future__ import annotations

import importlib.metadata
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ncnn
import numpy as np
from numpy.typing import NDArray

from mobilens.cores import usable_cores
from mobilens.errors import BundleError
from mobilens.quiet import quiet
from mobilens.runtime.engines import Port
from mobilens.runtime.formats.ncnn import (
    LAYERS_SUFFIX,
    NUMBERS_SUFFIX,
    input_shapes,
    manifest_text,
)
from mobilens.runtime.manifest import Manifest, Precision
from mobilens.vision.predictor import Pixels, RawOutputs

OPEN = (None, None, None)
# How a value is asked for without being laid out for the one who asks.
AS_IT_LIES = 1
# The layer that stands for an image of three colours: what it makes, width, height.
INPUT = re.compile(r"^Input\s+\S+\s+0\s+1\s+(\S+)\s+0=(\d+)\s+1=(\d+)\s+2=3\s*$", re.MULTILINE)


class NcnnEngine:
    """A model file in a net of ncnn's.

    Attributes:
        name: ``"ncnn"``.
        version: Version of ncnn.
        outputs: Names of what the graph gives, in its order.
    """

    name = "ncnn"
    version: str = importlib.metadata.version("ncnn")

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: The manifest of an ncnn model, with the model beside it.
            threads: Threads for one answer; as many as this process has cores by default.

        Raises:
            BundleError: ncnn cannot load it, or its input is another one.
        """
        layers, numbers = path.with_suffix(LAYERS_SUFFIX), path.with_suffix(NUMBERS_SUFFIX)
        manifest = Manifest.from_text(manifest_text(path.read_bytes()))
        self._net = net = _net(path, (layers, numbers), threads, manifest.precision)
        found = INPUT.findall(layers.read_text(encoding="utf-8"))
        if len(found) != 1 or net.input_names() != [found[0][0]]:
            raise BundleError(
                f"{path} reads {', '.join(net.input_names()) or 'nothing'}",
                expected="one image of a size that it says",
            )
        self._input, width, height = found[0]
        self._shape = (int(height), int(width), 3)
        self.outputs: tuple[str, ...] = tuple(net.output_names())

    def run(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch of (N, height, width, 3) uint8 pixels, one image after the other.

        Raises:
            BundleError: The graph does not run on them.
        """
        if pixels.shape[1:] != self._shape:
            raise BundleError(f"the graph reads {self._shape}, given is {pixels.shape[1:]}")
        answers = [_run(self._net, self.outputs, {self._input: _planes(image)}) for image in pixels]
        return {name: np.stack([one[name] for one in answers]) for name in self.outputs}

    def waits(self, image: Pixels, values: Sequence[str]) -> list[float]:
        """Time each step of one answer, milliseconds.

        Args:
            image: (height, width, 3), RGB, uint8.
            values: Names in the order in which they are made: each is waited for alone.

        Raises:
            BundleError: The graph does not run on it.
        """
        found = []
        with self._net.create_extractor() as extractor:
            extractor.input(self._input, _planes(image))
            for name in values:
                began = time.perf_counter()
                failed, _ = extractor.extract(name, AS_IT_LIES)
                found.append(1e3 * (time.perf_counter() - began))
                if failed:
                    raise BundleError(f"ncnn stopped before {name}")
        return found


class NcnnGraph:
    """A model of any tool in a net of ncnn's.

    Attributes:
        version: Version of ncnn.
        inputs: What it reads: one image at a time, in planes.
        outputs: Names of what it gives, in its order.
    """

    version: str = importlib.metadata.version("ncnn")

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load a model.

        Args:
            path: Its layers, with the numbers beside them.
            threads: Threads for one run; as many as this process has cores by default.

        Raises:
            BundleError: ncnn cannot load it.
        """
        self._net = net = _net(path, (path, path.with_suffix(".bin")), threads)
        shapes = input_shapes(path.read_bytes())
        self.inputs: tuple[Port, ...] = tuple(
            Port(name, np.dtype(np.float32), (1, *shapes.get(name, OPEN)))
            for name in net.input_names()
        )
        self.outputs: tuple[str, ...] = tuple(net.output_names())

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> RawOutputs:
        """Compute every output.

        Raises:
            BundleError: The net does not run on these values.
        """
        given = {name: ncnn.Mat(value[0]) for name, value in inputs.items()}
        answers = _run(self._net, self.outputs, given)
        return {name: value[None] for name, value in answers.items()}


def _net(
    path: Path, files: tuple[Path, Path], threads: int | None, precision: Precision = "float32"
) -> ncnn.Net:
    """Load layers and numbers."""
    layers, numbers = map(str, files)
    net = ncnn.Net()
    net.opt.num_threads = threads or usable_cores()
    net.opt.use_vulkan_compute = False
    # Left to itself it computes in float16 where the processor can: other answers.
    net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = precision == "float16"
    net.opt.use_bf16_storage = precision == "bfloat16"
    with quiet():  # what it says to its own developers
        failed = net.load_param(layers) or net.load_model(numbers)
    if failed:
        raise BundleError(f"ncnn cannot load {path}")
    return net


def _run(net: ncnn.Net, outputs: tuple[str, ...], inputs: Mapping[str, ncnn.Mat]) -> RawOutputs:
    """Answer once."""
    answers = {}
    with net.create_extractor() as extractor:
        for name, value in inputs.items():
            extractor.input(name, value)
        for name in outputs:
            failed, value = extractor.extract(name)
            if failed:
                raise BundleError(f"ncnn stopped before {name}")
            answers[name] = np.array(value)
    return answers


def _planes(image: Pixels) -> ncnn.Mat:
    """Give the pixels as ncnn has images: float32, a plane for each colour."""
    height, width = image.shape[:2]
    return ncnn.Mat.from_pixels(image, ncnn.Mat.PixelType.PIXEL_RGB, width, height)
