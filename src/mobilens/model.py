"""A model file or a checkpoint, opened: photos in, answers out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, overload

import numpy as np
from PIL import Image

from mobilens.cores import usable_cores
from mobilens.errors import BundleError, MissingExtraError, UsageError
from mobilens.spec.task import TaskSpec
from mobilens.vision.files import FileResult, predict_files
from mobilens.vision.image import Photo, Placed, Region, load_placed
from mobilens.vision.predictor import Predictor
from mobilens.vision.tasks import task_vision

PHOTO_KINDS = "a path, bytes, a Pillow image, an array or a Region"
PHOTO_TYPES = (str, Path, bytes, Image.Image, np.ndarray, Region)


def open_predictor(
    path: str | Path,
    threads: int | None = None,
    *,
    preprocess: str | Path | None = None,
    labels: str | Path | None = None,
) -> Predictor:
    """Open an exported model file, or a checkpoint where torch is installed.

    Args:
        path: ``.onnx`` file written by ``mobilens export``, or ``.safetensors`` checkpoint.
        threads: Threads that one answer may use; the engine's choice by default.
        preprocess: For a file of another tool, how its pixels are prepared.
        labels: Likewise, a text file with the names of its classes; numbers by default.

    Raises:
        BundleError: It is no model file, or cannot be trusted.
        WeightsError: It is called a checkpoint and is none.
        MissingExtraError: A checkpoint, and torch is not installed.
        UsageError: ``threads`` is below 1; or the file says itself what ``preprocess`` or
            ``labels`` say, or something else.
    """
    if preprocess is not None:
        from mobilens.runtime.foreign_predictor import ForeignPredictor

        return ForeignPredictor(path, preprocess, labels, threads)
    if labels is not None:
        raise UsageError("labels without --preprocess", expected="both, for a file of another tool")
    if Path(path).suffix.lower() == ".safetensors":
        return _open_checkpoint(Path(path), threads)
    from mobilens.runtime.predictor import load_predictor

    try:
        return load_predictor(path, threads=threads)
    except BundleError:
        _ask_how(Path(path))
        raise


def _ask_how(path: Path) -> None:
    """Say what is missing, where a file is one of another tool."""
    from mobilens.runtime.foreign import is_foreign
    from mobilens.runtime.foreign_predictor import REMEDY

    if is_foreign(path):
        raise BundleError(
            f"{path} has no mobilens manifest: it does not say how its pixels are prepared, nor "
            "its classes",
            expected="a file that mobilens export wrote, or --preprocess, and --labels FILE",
            remedy=REMEDY,
        ) from None


def _open_checkpoint(path: Path, threads: int | None) -> Predictor:
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError.needed_for(f"the checkpoint {path}", "train", "torch") from None
    from mobilens.tasks.predictor import load_torch_predictor

    if threads is not None:
        if threads < 1:
            raise UsageError(f"threads is {threads}", expected="1 or more")
        torch.set_num_threads(threads)
    return load_torch_predictor(path)


class Model:
    """A model that answers.

    Attributes:
        path: The file that it was opened from.
        predictor: What turns prepared pixels into raw outputs.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        preprocess: str | Path | None = None,
        labels: str | Path | None = None,
    ) -> None:
        """Open a file.

        Args:
            path: ``.onnx`` file written by ``mobilens export``, or ``.safetensors`` checkpoint.
            threads: Threads for one answer and for decoding; every core by default. Of a
                checkpoint, for all that torch does in this process.
            preprocess: For a file of another tool, how its pixels are prepared.
            labels: Likewise, a text file with the names of its classes.

        Raises:
            BundleError: It is no model file, or cannot be trusted.
            WeightsError: It is called a checkpoint and is none.
            MissingExtraError: A checkpoint, and torch is not installed.
            UsageError: ``threads`` is below 1.
        """
        self.path = Path(path)
        self.predictor = open_predictor(path, threads, preprocess=preprocess, labels=labels)
        self._threads = threads

    @property
    def task(self) -> TaskSpec:
        """What it answers, and how its pixels are prepared."""
        return self.predictor.task

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the probabilities."""
        return self.task.class_names

    # A str is a sequence of str: the first signature is the one that is meant.
    @overload
    def predict(self, photos: Photo) -> Any: ...
    @overload
    def predict(self, photos: Sequence[Photo], *, batch_size: int = 32) -> list[Any]: ...

    def predict(self, photos: Photo | Sequence[Photo], *, batch_size: int = 32) -> Any:
        """Answer for one photo, or for each of several.

        Args:
            photos: A photo or a sequence of them. A photo is a path, the bytes of a file, a
                Pillow image, an array (height, width, 3), RGB, uint8, or a ``Region`` of a file.
            batch_size: Photos answered at once, 1 or more.

        Returns:
            The task's prediction, a list of them for a sequence. Of a classifier it is a
            ``ClassificationPrediction``: ``label``, ``confidence``, ``top(k)``.

        Raises:
            ImageError: A photo cannot be read; ``predict_files`` goes on past those.
            UsageError: ``batch_size`` is below 1, or ``photos`` is something else.
        """
        if isinstance(photos, PHOTO_TYPES):
            return self._answer([self._prepared(photos)])[0]
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}", expected="1 or more")
        if not isinstance(photos, Sequence):
            raise UsageError(
                f"photos is a {type(photos).__name__}",
                expected=f"{PHOTO_KINDS}, or a list of them",
                remedy="predict_files for a stream of paths",
            )
        answers: list[Any] = []
        with ThreadPoolExecutor(self._threads or usable_cores()) as pool:
            for start in range(0, len(photos), batch_size):
                batch = photos[start : start + batch_size]
                answers += self._answer(list(pool.map(self._prepared, batch)))
        return answers

    def predict_files(
        self, paths: str | Path | Iterable[str | Path], *, batch_size: int = 32
    ) -> Iterator[FileResult]:
        """Answer for files as a stream, in order, in constant memory.

        Args:
            paths: Files, taken as they are needed; or one file.
            batch_size: Files answered at once, 1 or more.

        Returns:
            One ``FileResult`` a file: its ``path``, and a ``prediction`` or an ``error``.
        """
        paths = [paths] if isinstance(paths, (str, Path)) else paths
        return predict_files(self.predictor, paths, batch_size=batch_size, threads=self._threads)

    def _answer(self, photos: list[Placed]) -> Sequence[Any]:
        outputs = self.predictor.forward(np.stack([one.pixels for one in photos]))
        placements = [one.placement for one in photos]
        return task_vision(self.task.kind).decode(outputs, self.task, placements)

    def _prepared(self, photo: Photo) -> Placed:
        if not isinstance(photo, PHOTO_TYPES):
            raise UsageError(f"a photo is of type {type(photo).__name__}", expected=PHOTO_KINDS)
        return load_placed(photo, self.task.preprocessing)
