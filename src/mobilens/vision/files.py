"""From image files to predictions, as a stream."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from mobilens.cores import usable_cores
from mobilens.errors import ImageError, UsageError
from mobilens.spec.task import Preprocessing
from mobilens.vision.image import Placed, Region, load_placed
from mobilens.vision.predictor import Predictor
from mobilens.vision.tasks import Prediction, task_vision


@dataclass(frozen=True)
class FileResult:
    """What became of one file: a prediction or an error, never both.

    Attributes:
        path: As it was given.
        prediction: The task's own prediction type, or None.
        error: Why there is none, or None.
    """

    path: str
    prediction: Prediction | None
    error: str | None


@dataclass(frozen=True)
class _Loaded:
    path: str
    placed: Placed | None
    error: str | None


def predict_files(
    predictor: Predictor,
    paths: Iterable[str | Path | Region],
    *,
    batch_size: int = 32,
    threads: int | None = None,
) -> Generator[FileResult, None, None]:
    """Answer for every file, in order.

    Files are decoded by threads a little ahead of the engine, so memory does not grow with their
    number. A file that cannot be read gives a row with its error. Closing the iterator, or an
    exception such as Ctrl-C in its consumer, drops what was decoded ahead.

    Args:
        predictor: Answers a batch; its task says how pixels are prepared.
        paths: Files, or regions of them; taken from the iterable as they are needed.
        batch_size: Files to a batch, 1 or more.
        threads: Threads that decode; one for each core that this process may use by default.

    Raises:
        UsageError: ``batch_size`` or ``threads`` is below 1.
    """
    threads = usable_cores() if threads is None else threads
    for name, value in (("batch_size", batch_size), ("threads", threads)):
        if value < 1:
            raise UsageError(f"{name} is {value}", expected="1 or more")
    return _answers(predictor, paths, batch_size, threads)


def _answers(
    predictor: Predictor, paths: Iterable[str | Path | Region], batch_size: int, threads: int
) -> Generator[FileResult, None, None]:
    decode = task_vision(predictor.task.kind).decode
    # While the engine answers one batch, the threads fill the next.
    ahead = batch_size + max(batch_size, 2 * threads)
    files = _load_ahead(paths, predictor.task.preprocessing, threads, ahead)
    try:
        while batch := list(islice(files, batch_size)):
            placed = [file.placed for file in batch if file.placed is not None]
            answers: Iterator[Prediction] = iter(())
            if placed:
                outputs = predictor.forward(np.stack([one.pixels for one in placed]))
                answers = iter(decode(outputs, predictor.task, [one.placement for one in placed]))
            for file in batch:
                yield FileResult(
                    file.path, None if file.placed is None else next(answers), file.error
                )
    finally:
        files.close()


def _load_ahead(
    paths: Iterable[str | Path | Region], preprocessing: Preprocessing, threads: int, ahead: int
) -> Generator[_Loaded, None, None]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    waiting: deque[Future[_Loaded]] = deque()
    try:
        for path in paths:
            waiting.append(pool.submit(_load, path, preprocessing))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Not waiting makes Ctrl-C quick: each thread ends with the file it has in hand.
        pool.shutdown(wait=False, cancel_futures=True)


def _load(source: str | Path | Region, preprocessing: Preprocessing) -> _Loaded:
    path = os.fspath(source)
    try:
        return _Loaded(path, load_placed(source, preprocessing), None)
    except ImageError as error:
        return _Loaded(path, None, error.given.removeprefix(f"{path}: "))
