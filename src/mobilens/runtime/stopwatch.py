"""A model file in a process of its own, which times it whenever it is asked."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from mobilens.errors import MobilensError
from mobilens.runtime.benchmark_worker import Sample


@dataclass(frozen=True)
class Configuration:
    """What is measured.

    Attributes:
        path: Model file.
        engine: Name of the engine that runs it.
        threads: Threads for one answer.
        batch: Images in one run.
    """

    path: str
    engine: str
    threads: int
    batch: int


class Stopwatch:
    """The process of one configuration, until the ``with`` block ends."""

    def __init__(self, configuration: Configuration) -> None:
        """Start the process; it opens the file when it is first asked.

        Args:
            configuration: What to measure.
        """
        self._configuration = configuration
        command = [sys.executable, "-P", "-m", "mobilens.runtime.benchmark_worker"]
        command += map(str, vars(configuration).values())
        # In a file, because a pipe that nobody reads would stop it; closed at the block's end.
        self._said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            encoding="utf-8",
        )

    def measure(self, seconds: float) -> Sample:
        """Time single runs; the first time the file is opened and warmed up before.

        Args:
            seconds: Time to measure for; at least five runs are made.

        Raises:
            MobilensError: The process ended, for want of memory perhaps.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise self._ended()
        return Sample(**json.loads(answer))

    def _ended(self) -> MobilensError:
        code = self._process.wait()
        self._said.seek(0)
        said = self._said.read().strip().splitlines()
        reason = said[-1] if said else f"its process ended with {code}"
        one = self._configuration
        return MobilensError(
            f"{one.path}, {one.engine}, threads {one.threads}, batch {one.batch}: {reason}",
            remedy="" if said else "a smaller batch, if memory ran out",
        )

    def __enter__(self) -> Stopwatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # It holds nothing that needs an end of its own, and libraries may hang at theirs.
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            assert stream is not None
            # What it was not told before its end is told again on closing.
            with suppress(BrokenPipeError):
                stream.close()


def medians(
    paths: Sequence[Path], engine: str, *, threads: int, rounds: int, seconds: float
) -> list[float]:
    """Give the median time of one answer of each file, milliseconds, in turns.

    One process for each, which is quicker than ``benchmark`` with a fresh one for each round.

    Args:
        paths: Model files.
        engine: Name of the engine that runs them.
        threads: Threads for one answer.
        rounds: How often each takes its turn.
        seconds: Time of a turn.

    Raises:
        MobilensError: A process ended early.
    """
    times: list[list[float]] = [[] for _ in paths]
    with ExitStack() as stack:
        watches = [
            stack.enter_context(Stopwatch(Configuration(str(path), engine, threads, 1)))
            for path in paths
        ]
        for _ in range(rounds):
            for watch, found in zip(watches, times, strict=True):
                found += watch.measure(seconds).seconds
    return [1e3 * float(np.median(each)) for each in times]
