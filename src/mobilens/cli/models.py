"""What the verbs accept as a model: one file, trained or exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.errors import MissingExtraError

if TYPE_CHECKING:
    from mobilens.vision.predictor import Predictor


def open_predictor(path: str | Path, threads: int | None = None) -> Predictor:
    """Open an exported model file, or a checkpoint where torch is installed.

    Args:
        path: ``.onnx`` file written by ``mobilens export``, or ``.safetensors`` checkpoint.
        threads: Threads that one answer may use; the engine's choice by default.

    Raises:
        BundleError: The file is neither, or cannot be trusted.
        MissingExtraError: A checkpoint, and torch is not installed.
    """
    if Path(path).suffix.lower() == ".safetensors":
        return _open_checkpoint(Path(path), threads)
    from mobilens.runtime.predictor import load_predictor

    return load_predictor(path, threads=threads)


def _open_checkpoint(path: Path, threads: int | None) -> Predictor:
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError.needed_for(f"the checkpoint {path}", "train", "torch") from None
    from mobilens.tasks.predictor import load_torch_predictor

    if threads is not None:
        torch.set_num_threads(threads)
    return load_torch_predictor(path)
