"""ncnn on the CPU."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import ncnn
import numpy as np

from mobilens.cores import usable_cores
from mobilens.errors import BundleError
from mobilens.quiet import quiet
from mobilens.runtime.formats.ncnn import LAYERS_SUFFIX, NUMBERS_SUFFIX, manifest_text
from mobilens.runtime.manifest import Manifest
from mobilens.vision.predictor import Pixels, RawOutputs


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
        manifest = Manifest.from_text(manifest_text(path.read_bytes()))
        self._net = net = ncnn.Net()
        net.opt.num_threads = threads or usable_cores()
        net.opt.use_vulkan_compute = False
        # Left to itself it computes in float16 where the processor can: other answers.
        halves = manifest.precision == "float16"
        net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = halves
        net.opt.use_bf16_storage = manifest.precision == "bfloat16"
        with quiet():  # what it says to its own developers
            failed = net.load_param(str(path.with_suffix(LAYERS_SUFFIX))) or net.load_model(
                str(path.with_suffix(NUMBERS_SUFFIX))
            )
        if failed:
            raise BundleError(f"ncnn cannot load {path}")
        inputs = net.input_names()
        if len(inputs) != 1:
            raise BundleError(
                f"{path} reads {', '.join(inputs) or 'nothing'}", expected="one image"
            )
        self._input = inputs[0]
        self._shape = (*manifest.input.size, 3)
        self.outputs: tuple[str, ...] = tuple(net.output_names())

    def run(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch of (N, height, width, 3) uint8 pixels, one image after the other.

        Raises:
            BundleError: The graph does not run on them.
        """
        if pixels.shape[1:] != self._shape:
            raise BundleError(f"the graph reads {self._shape}, given is {pixels.shape[1:]}")
        answers: dict[str, list[np.ndarray]] = {name: [] for name in self.outputs}
        for image in pixels:
            with self._net.create_extractor() as extractor:
                extractor.input(self._input, _planes(image))
                for name, values in answers.items():
                    failed, value = extractor.extract(name)
                    if failed:
                        raise BundleError(f"ncnn stopped before {name}")
                    values.append(np.array(value))
        return {name: np.stack(values) for name, values in answers.items()}


def _planes(image: Pixels) -> ncnn.Mat:
    """Give the pixels as ncnn has images: float32, a plane for each colour."""
    height, width = image.shape[:2]
    return ncnn.Mat.from_pixels(image, ncnn.Mat.PixelType.PIXEL_RGB, width, height)
