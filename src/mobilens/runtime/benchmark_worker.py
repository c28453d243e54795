"""One measurement in a process of its own, so that its memory is nobody else's.

Run by ``benchmark.py``; prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mobilens.errors import MobilensError
from mobilens.runtime.device import peak_memory_bytes
from mobilens.runtime.engines import engine_type
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
    predictor = BundlePredictor(path, engine, threads)
    shape = (batch, *predictor.task.preprocessing.size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    _timed_runs(predictor, pixels, WARM_UP_RUNS, WARM_UP_SECONDS)
    times = _timed_runs(predictor, pixels, LEAST_RUNS, seconds)
    return Sample(times, predictor.engine.version, base, peak_memory_bytes())


def _timed_runs(
    predictor: BundlePredictor, pixels: np.ndarray, least: int, seconds: float
) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        predictor.forward(pixels)
        times.append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    path, engine, threads, batch, seconds = sys.argv[1:]
    try:
        sample = measure(Path(path), engine, int(threads), int(batch), float(seconds))
    except MobilensError as error:
        sys.exit(error.given)
    print(json.dumps(asdict(sample)))
