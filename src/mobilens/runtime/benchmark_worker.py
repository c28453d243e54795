"""Measurements in a process of their own, so that its memory is nobody else's.

Run by ``stopwatch.py``; reads seconds and prints JSON objects, a line each.
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
        seconds: Time of each run of this turn, in order.
        engine_version: Version of the engine.
        base_memory_bytes: Peak of the process before the model was opened: Python, NumPy and the
            engine's code. None where the system does not tell.
        peak_memory_bytes: Peak of the process at its end, likewise.
    """

    seconds: list[float]
    engine_version: str
    base_memory_bytes: int | None
    peak_memory_bytes: int | None


class Watched:
    """A model file that was opened and warmed up."""

    def __init__(self, path: Path, engine: str, threads: int, batch: int) -> None:
        """Open it.

        Args:
            path: Model file.
            engine: Name of the engine.
            threads: Threads for one answer.
            batch: Images in one run.
        """
        engine_type(engine)
        self._base = peak_memory_bytes()
        self._run, self._version = _opened(path, engine, threads, batch)
        _timed_runs(self._run, WARM_UP_RUNS, WARM_UP_SECONDS)

    def measure(self, seconds: float) -> Sample:
        """Time single runs.

        Args:
            seconds: Time to measure for; at least five runs are made.
        """
        times = _timed_runs(self._run, LEAST_RUNS, seconds)
        return Sample(times, self._version, self._base, peak_memory_bytes())


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


def main() -> None:
    """Measure for as many seconds as each line of the input says, and print what was found."""
    path, engine, threads, batch = sys.argv[1:]
    watched = None
    for line in sys.stdin:
        watched = watched or Watched(Path(path), engine, int(threads), int(batch))
        print(json.dumps(asdict(watched.measure(float(line)))), flush=True)


if __name__ == "__main__":
    try:
        main()
    except MobilensError as error:
        sys.exit(error.given)
