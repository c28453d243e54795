"""Latency, throughput, memory and size of model files, side by side.

Every measurement is made by a fresh process, and all configurations take turns in each round, so
that a machine that slows down or speeds up meanwhile does so for all of them alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mobilens.errors import MobilensError, UsageError
from mobilens.observer import SILENT, Observer
from mobilens.runtime.benchmark_worker import Sample
from mobilens.runtime.bundle import read_bundle, read_parts
from mobilens.runtime.device import this_device
from mobilens.runtime.engines import engine_type
from mobilens.runtime.foreign import is_foreign
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.measurement import BenchmarkReport, Measurement, Peak
from mobilens.runtime.peak import PRECISIONS, THREAD_VARIABLES
from mobilens.runtime.stopwatch import Configuration, Stopwatch
from mobilens.vision import intervals
from mobilens.vision.intervals import Estimate

SECONDS_A_ROUND = 0.5


@dataclass(frozen=True)
class Rival:
    """A library's own net in a file, to be measured against files of ours; one image at a time.

    Attributes:
        path: Its file.
        engine: Name of the engine that runs it.
        library: Name of the library.
        name: What it is called in the report.
        of: The files that it is measured against.
    """

    path: str
    engine: str
    library: str
    name: str
    of: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """A file to measure, and what is known of it.

    Attributes:
        path: Model file.
        engine: Name of the engine that runs it.
        size_bytes: Size of the file, and of what belongs to it.
        model: Name of the architecture; empty for a file without a manifest.
        precision: What it computes in; likewise.
        macs: Multiply-accumulate operations for one image; None likewise.
        rival: What it is the rival of, where it is one.
    """

    path: str
    engine: str
    size_bytes: int
    model: str = ""
    precision: str = ""
    macs: int | None = None
    rival: Rival | None = None


@dataclass(frozen=True)
class Probe:
    """A measurement of the machine alone.

    Attributes:
        precision: What it multiplies in.
        threads: On how many threads.
    """

    precision: str
    threads: int


Turn = Configuration | Probe


def benchmark(
    paths: Sequence[str | Path],
    *,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1,),
    rounds: int = 5,
    engine: str | None = None,
    seconds: float = SECONDS_A_ROUND,
    peaks: bool = False,
    rivals: Sequence[Rival] = (),
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
        peaks: Whether the machine's own peak is measured too, in the same rounds.
        rivals: What files are measured against, in the same rounds.
        observer: Is told of progress.
        label: What the progress is called.

    Raises:
        BundleError: A file is no model file, or one of mobilens that was changed.
        UsageError: Nothing to measure, a number below 1, or a batch that a file does not take.
        MobilensError: A measurement ended early, for want of memory perhaps.
    """
    for name, numbers in (("threads", threads), ("batches", batches), ("rounds", (rounds,))):
        if not numbers or min(numbers) < 1:
            shown = ", ".join(map(str, numbers)) or "empty"
            raise UsageError(f"{name} is {shown}", expected="1 or more")
    if not paths:
        raise UsageError(
            "no model file was given", expected="one or more", remedy="name them before --data"
        )
    subjects = [_subject(path, engine) for path in paths]
    subjects += [replace(_subject(one.path, one.engine), rival=one) for one in rivals]
    configurations = {
        Configuration(subject.path, subject.engine, count, batch): subject
        for subject in subjects
        for count in threads
        for batch in ((1,) if subject.rival else batches)
    }
    kinds = [kind for kind in PRECISIONS if kind in {each.precision for each in subjects}]
    probes = [Probe(kind, count) for kind in kinds for count in threads] if peaks else []
    each_turn: list[Turn] = [*configurations, *probes]
    samples: dict[Turn, list[Any]] = {turn: [] for turn in each_turn}
    turns = _turns(each_turn, rounds)
    for turn in observer.progress(turns, len(turns), label):
        samples[turn].append(_measure(turn, seconds))
    found = tuple(_peak(each, samples[each]) for each in probes)
    measurements = []
    for each, subject in configurations.items():
        ratios = _ratios(each, rivals, samples)
        measurements.append(_beneath(found, _summary(each, subject, samples[each], ratios)))
    return BenchmarkReport(
        device=this_device(), rounds=rounds, measurements=tuple(measurements), peaks=found
    )


def _subject(path: str | Path, engine: str | None) -> Subject:
    if is_foreign(path):
        kind, contents = read_parts(Path(path))
        name = engine or FORMATS[kind].engine
        engine_type(name)
        return Subject(str(path), name, contents.size_bytes)
    bundle = read_bundle(path)
    bundle.check_seal()
    name = engine or FORMATS[bundle.format].engine
    engine_type(name)
    about = bundle.manifest
    return Subject(
        path=str(bundle.path),
        engine=name,
        size_bytes=bundle.contents.size_bytes,
        model=str(about.model.get("name", "")),
        precision=about.precision,
        macs=about.cost.macs,
    )


def _turns(each: list[Turn], rounds: int) -> list[Turn]:
    """Give every configuration a turn in each round, each round beginning with another."""
    turns = []
    for index in range(rounds):
        first = index % len(each)
        turns += each[first:] + each[:first]
    return turns


def _measure(turn: Turn, seconds: float) -> Any:
    """Take a turn in a process of its own: a sample of a file, or the rates of a probe."""
    if isinstance(turn, Probe):
        return _probe(turn, seconds)
    with Stopwatch(turn) as watch:
        return watch.measure(seconds)


def _probe(turn: Probe, seconds: float) -> dict[str, float]:
    options = [turn.precision, str(turn.threads), str(seconds)]
    command = [sys.executable, "-P", "-m", "mobilens.runtime.peak", *options]
    threads = dict.fromkeys(THREAD_VARIABLES, str(turn.threads))
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | threads
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        reason = said[-1] if said else f"its process ended with {done.returncode}"
        raise MobilensError(
            f"the machine's peak in {turn.precision}, threads {turn.threads}: {reason}",
            remedy="again, or another number of threads",
        )
    return dict(json.loads(done.stdout))


def _ratios(
    turn: Configuration, rivals: Sequence[Rival], samples: Mapping[Turn, list[Any]]
) -> dict[str, Estimate]:
    """Time over that of each rival, compared within the rounds, by library."""
    if turn.batch != 1:
        return {}
    ratios = {}
    for rival in rivals:
        if turn.path in rival.of and turn.engine == rival.engine:
            theirs = samples[Configuration(rival.path, rival.engine, turn.threads, 1)]
            pairs = zip(samples[turn], theirs, strict=True)
            each = [
                float(np.median(one.seconds) / np.median(other.seconds)) for one, other in pairs
            ]
            ratios[rival.library] = intervals.median(each)
    return ratios


def _summary(
    turn: Configuration, subject: Subject, samples: list[Sample], ratios: dict[str, Estimate]
) -> Measurement:
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
        path=subject.rival.name if subject.rival else turn.path,
        engine=turn.engine,
        engine_version=samples[0].engine_version,
        threads=turn.threads,
        batch=turn.batch,
        size_bytes=subject.size_bytes,
        runs=len(times),
        p50_ms=1e3 * float(p50),
        p95_ms=1e3 * float(p95),
        images_per_second=float(np.median(rates)),
        peak_memory_bytes=max((peak for peak in peaks if peak is not None), default=None),
        model_memory_bytes=max(above, default=None),
        model=subject.model,
        precision=subject.precision,
        macs=subject.macs,
        library=subject.rival.library if subject.rival else "",
        ratios=ratios,
    )


def _peak(probe: Probe, samples: list[dict[str, float]]) -> Peak:
    rates = {name: float(np.median([each[name] for each in samples])) for name in samples[0]}
    best = max(rates, key=lambda name: rates[name])
    return Peak(probe.precision, probe.threads, rates[best], best)


def _beneath(peaks: Sequence[Peak], one: Measurement) -> Measurement:
    """Add the share of the machine's peak, where both are known."""
    roofs = [
        peak for peak in peaks if (peak.precision, peak.threads) == (one.precision, one.threads)
    ]
    if not roofs or one.macs is None:
        return one
    operations = 2 * one.macs * one.batch / (one.p50_ms / 1e3)
    return replace(one, peak_share=operations / roofs[0].operations_per_second)
