"""One measurement in a process of its own, so that its memory is nobody else's.

Run by ``benchmark.py``; prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mobilens.errors import MobilensError
from mobilens.runtime.device import peak_memory_bytes
from mobilens.runtime.engines import engine_type
from mobilens.runtime.foreign import is_foreign, open_foreign
from mobilens.runtime.predictor import BundlePredictor

WARM_UP_RUNS, WARM_UP_SECONDS = 3, 0.2
LEAST_RUNS = 5


@dataclass(frozen=True)
class Sample:
    """What one process measured.

    Attributes:
        seconds: Time of each run, in order.
        engine_version: Version of the engine.
        base_memory_bytes: Peak of the process before the model was opened: Python, NumPy and the
            engine's code. None where the system does not tell.
        peak_memory_bytes: Peak of the process at its end, likewise.
    """

    seconds: list[float]
    engine_version: str
    base_memory_bytes: int | None
    peak_memory_bytes: int | None


def measure(path: Path, engine: str, threads: int, batch: int, seconds: float) -> Sample:
    """Open a model file, warm up, and time single runs.

    Args:
        path: Model file.
        engine: Name of the engine.
        threads: Threads for one answer.
        batch: Images in one run.
        seconds: Time to measure for; at least five runs are made.
    """
    engine_type(engine)
    base = peak_memory_bytes()
    run, version = _opened(path, engine, threads, batch)
    _timed_runs(run, WARM_UP_RUNS, WARM_UP_SECONDS)
    times = _timed_runs(run, LEAST_RUNS, seconds)
    return Sample(times, version, base, peak_memory_bytes())


def _opened(path: Path, engine: str, threads: int, batch: int) -> tuple[Callable[[], object], str]:
    """Give what runs a file once on values of its own kind, and the engine's version."""
    if is_foreign(path):
        foreign = open_foreign(path, engine, threads)
        values = foreign.example(batch)
        return lambda: foreign.run(values), foreign.version
    predictor = BundlePredictor(path, engine, threads)
    shape = (batch, *predictor.task.preprocessing.size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return lambda: predictor.forward(pixels), predictor.engine.version


def _timed_runs(run: Callable[[], object], least: int, seconds: float) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    path, engine, threads, batch, seconds = sys.argv[1:]
    try:
        sample = measure(Path(path), engine, int(threads), int(batch), float(seconds))
    except MobilensError as error:
        sys.exit(error.given)
    print(json.dumps(asdict(sample)))
