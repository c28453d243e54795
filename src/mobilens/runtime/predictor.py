"""A model file as a predictor, without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mobilens.cores import usable_cores
from mobilens.errors import BundleError, UsageError
from mobilens.runtime.bundle import read_bundle
from mobilens.runtime.engines import engine_type
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import Manifest
from mobilens.vision.predictor import Learnt, Pixels, RawOutputs


class BundlePredictor:
    """A model file that answers.

    Attributes:
        path: The file.
        manifest: What it says about itself.
        task: What it answers, and how its pixels are prepared.
        learnt: What it learnt from, as far as it is known.
        engine: The engine that runs it.
    """

    def __init__(
        self, path: str | Path, engine: str | None = None, threads: int | None = None
    ) -> None:
        """Open a file; a damaged one is refused.

        Args:
            path: File written by ``mobilens export``.
            engine: Name of the engine; the one of the file's format by default.
            threads: Threads for one answer; by default what the file was made for, or as many as
                there are cores.

        Raises:
            BundleError: It is no model file of mobilens, or the engine cannot load it.
            VerificationError: A byte of it was changed.
            MissingExtraError: The engine is not installed.
        """
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}", expected="1 or more")
        if engine is not None:
            engine_type(engine)
        self.path = Path(path)
        self.manifest, kind = _checked_manifest(self.path)
        self.task = self.manifest.task
        self.learnt = Learnt.of(self.manifest.provenance)
        if threads is None and self.manifest.threads:
            # It may have been made on a larger machine.
            threads = min(self.manifest.threads, usable_cores())
        self.engine = engine_type(engine or FORMATS[kind].engine)(self.path, threads)
        if self.engine.outputs != self.manifest.outputs:
            raise BundleError(
                f"{path} gives {', '.join(self.engine.outputs)}",
                expected=f"{', '.join(self.manifest.outputs)}, as its manifest says",
            )

    def forward(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch.

        Args:
            pixels: (N, height, width, 3), RGB, uint8, of the size in ``task.preprocessing``.

        Returns:
            Outputs by name, each (N, ...).

        Raises:
            UsageError: The pixels have another type or shape.
        """
        expected = (*self.task.preprocessing.size, 3)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != expected:
            raise UsageError(
                f"pixels are {pixels.dtype} of shape {pixels.shape}",
                expected=f"uint8 of shape (N, {', '.join(map(str, expected))})",
                remedy="vision.image.load_prepared(file, predictor.task.preprocessing)",
            )
        return self.engine.run(np.ascontiguousarray(pixels))


def _checked_manifest(path: Path) -> tuple[Manifest, str]:
    """Check the seal; the bytes are let go before the engine reads the file for itself."""
    bundle = read_bundle(path)
    bundle.check_seal()
    return bundle.manifest, bundle.format


def load_predictor(
    path: str | Path, engine: str | None = None, threads: int | None = None
) -> BundlePredictor:
    """Open a model file; the arguments and errors are those of ``BundlePredictor``."""
    return BundlePredictor(path, engine, threads)
