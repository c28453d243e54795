"""Latency, throughput, memory and size of model files, side by side.

Every measurement is made by a fresh process, and all configurations take turns in each round, so
that a machine that slows down or speeds up meanwhile does so for all of them alike.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobilens.errors import MobilensError, UsageError
from mobilens.observer import SILENT, Observer
from mobilens.runtime.benchmark_worker import Sample
from mobilens.runtime.bundle import read_bundle
from mobilens.runtime.device import Device, this_device
from mobilens.runtime.engines import engine_type
from mobilens.runtime.formats import FORMATS
from mobilens.spec import codec

SECONDS_A_ROUND = 0.5


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


@dataclass(frozen=True)
class Measurement:
    """What was found for one configuration, over all rounds.

    Attributes:
        path: Model file.
        engine: Name of the engine that ran it.
        engine_version: Its version.
        threads: Threads for one answer.
        batch: Images in one run.
        size_bytes: Size of the file, and of what belongs to it.
        runs: Runs that were timed.
        p50_ms: Median time of one run, milliseconds.
        p95_ms: Time that 95 of 100 runs stay below, milliseconds.
        images_per_second: Images answered, decoding not included; median of the rounds.
        peak_memory_bytes: Most that the process held, Python and the engine included; None
            where the system does not tell.
        model_memory_bytes: The part of it that came with opening and running the model.
    """

    path: str
    engine: str
    engine_version: str
    threads: int
    batch: int
    size_bytes: int
    runs: int
    p50_ms: float
    p95_ms: float
    images_per_second: float
    peak_memory_bytes: int | None
    model_memory_bytes: int | None


@dataclass(frozen=True)
class BenchmarkReport:
    """Measurements with all that they depend on.

    Attributes:
        device: The machine.
        rounds: Fresh processes for each configuration.
        measurements: One for each configuration: files in the order given, then threads, batch.
    """

    device: Device
    rounds: int
    measurements: tuple[Measurement, ...]

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return dict(codec.to_json(self))


def benchmark(
    paths: Sequence[str | Path],
    *,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1,),
    rounds: int = 5,
    engine: str | None = None,
    seconds: float = SECONDS_A_ROUND,
    observer: Observer = SILENT,
    label: str = "benchmark",
) -> BenchmarkReport:
    """Measure model files in every combination of threads and batch.

    Args:
        paths: Model files.
        threads: Threads for one answer, 1 or more each.
        batches: Images in one run, 1 or more each.
        rounds: Fresh processes for each configuration.
        engine: Name of the engine; for each file the one of its format by default.
        seconds: Time that each process measures for.
        observer: Is told of progress.
        label: What the progress is called.

    Raises:
        BundleError: A file is no model file of mobilens, or was changed.
        UsageError: Nothing to measure, or a number below 1.
        MobilensError: A measurement ended early, for want of memory perhaps.
    """
    for name, numbers in (("threads", threads), ("batches", batches), ("rounds", (rounds,))):
        if not numbers or min(numbers) < 1:
            shown = ", ".join(map(str, numbers)) or "empty"
            raise UsageError(f"{name} is {shown}", expected="1 or more")
    if not paths:
        raise UsageError("no model file was given", expected="one or more")
    bundles = [read_bundle(path) for path in paths]
    for bundle in bundles:
        bundle.check_seal()
        engine_type(engine or FORMATS[bundle.format].engine)
    sizes = {str(bundle.path): bundle.contents.size_bytes for bundle in bundles}
    configurations = [
        Configuration(str(bundle.path), engine or FORMATS[bundle.format].engine, count, batch)
        for bundle in bundles
        for count in threads
        for batch in batches
    ]
    samples: dict[Configuration, list[Sample]] = {each: [] for each in configurations}
    turns = _turns(configurations, rounds)
    for turn in observer.progress(turns, len(turns), label):
        samples[turn].append(_measure(turn, seconds))
    return BenchmarkReport(
        device=this_device(),
        rounds=rounds,
        measurements=tuple(
            _summary(each, samples[each], sizes[each.path]) for each in configurations
        ),
    )


def _turns(configurations: list[Configuration], rounds: int) -> list[Configuration]:
    """Give every configuration a turn in each round, each round beginning with another."""
    turns = []
    for index in range(rounds):
        first = index % len(configurations)
        turns += configurations[first:] + configurations[:first]
    return turns


def _measure(turn: Configuration, seconds: float) -> Sample:
    command = [sys.executable, "-P", "-m", "mobilens.runtime.benchmark_worker"]
    options = [turn.path, turn.engine, str(turn.threads), str(turn.batch), str(seconds)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        reason = said[-1] if said else f"its process ended with {done.returncode}"
        raise MobilensError(
            f"{turn.path}, {turn.engine}, threads {turn.threads}, batch {turn.batch}: {reason}",
            remedy="a smaller batch, if memory ran out",
        )
    return Sample(**json.loads(done.stdout))


def _summary(turn: Configuration, samples: list[Sample], size_bytes: int) -> Measurement:
    times = np.concatenate([sample.seconds for sample in samples])
    p50, p95 = np.percentile(times, (50, 95))
    rates = [turn.batch * len(sample.seconds) / sum(sample.seconds) for sample in samples]
    peaks = [sample.peak_memory_bytes for sample in samples]
    above = [
        peak - sample.base_memory_bytes
        for peak, sample in zip(peaks, samples, strict=True)
        if peak is not None and sample.base_memory_bytes is not None
    ]
    return Measurement(
        path=turn.path,
        engine=turn.engine,
        engine_version=samples[0].engine_version,
        threads=turn.threads,
        batch=turn.batch,
        size_bytes=size_bytes,
        runs=len(times),
        p50_ms=1e3 * float(p50),
        p95_ms=1e3 * float(p95),
        images_per_second=float(np.median(rates)),
        peak_memory_bytes=max((peak for peak in peaks if peak is not None), default=None),
        model_memory_bytes=max(above, default=None),
    )
