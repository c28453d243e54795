"""Every kind of file in every precision, raced on this machine; the fastest that fits is kept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mobilens.atomic import written_together
from mobilens.cores import usable_cores
from mobilens.errors import ExportError, MobilensError
from mobilens.exporting.draft import seal
from mobilens.exporting.exported import Exported
from mobilens.exporting.order import Order
from mobilens.exporting.targets import TARGETS, target_named
from mobilens.runtime.benchmark import benchmark
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import Precision

ROUNDS = 5


@dataclass(frozen=True)
class Limits:
    """What the file must keep to, besides its drop.

    Attributes:
        mb: Largest size, megabytes of 1,000,000 bytes; None is no bound.
        ms: Longest median time of one answer, milliseconds; None is no bound.
    """

    mb: float | None = None
    ms: float | None = None


@dataclass(frozen=True)
class Candidate:
    """One way to answer on this machine.

    Attributes:
        target: Kind of file.
        precision: What it stores and computes in.
        threads: Threads for one answer.
        score: Main score on its runtime, 0 to 1.
        low: Lower end of the score's 95 % interval.
        high: Upper end.
        drop: What it lost against the checkpoint, 0 to 1.
        mb: Its size, megabytes.
        ms: Median time of one answer, milliseconds, all candidates in turns.
        fits: Whether it keeps within the limits.
    """

    target: str
    precision: Precision
    threads: int
    score: float
    low: float
    high: float
    drop: float
    mb: float
    ms: float
    fits: bool

    def text(self) -> str:
        """Say it in one line."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return (
            f"{self.target} in {self.precision} on {threads}: {self.ms:.2f} ms, {self.mb:.2f} MB, "
            f"{100 * self.score:.1f} %"
        )


@dataclass(frozen=True)
class LeftOut:
    """What could not be tried.

    Attributes:
        target: Kind of file.
        precision: What it would compute in.
        reason: Why.
    """

    target: str
    precision: Precision
    reason: str


@dataclass(frozen=True, eq=False)
class Race:
    """What was found.

    Attributes:
        exported: The winner's file.
        winner: The fastest that fits.
        candidates: All that were timed, the fastest first.
        left_out: What could not be.
        limits: What the winner keeps to.
    """

    exported: Exported
    winner: Candidate
    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...]
    limits: Limits


def export_fastest(order: Order, folder: Path, limits: Limits) -> Race:
    """Write every file that can be, time them in turns, and keep the fastest that fits.

    Args:
        order: The checkpoint, the data and the largest drop.
        folder: Where ``fastest`` with the winner's suffix goes.
        limits: What it must keep to.

    Raises:
        ExportError: Nothing fits; the nearest is named, and nothing is written.
        WeightsError: The checkpoint's tensors are not those of its model.
    """
    observer = order.original.observer
    with tempfile.TemporaryDirectory() as scratch:
        files: dict[tuple[str, Precision], Exported] = {}
        left_out = []
        for target, precision in _ways(order):
            path = Path(scratch) / precision / f"model{FORMATS[target].suffix}"
            try:
                files[target, precision] = order.carry_out(path, target, precision)
            except MobilensError as error:
                left_out.append(LeftOut(target, precision, error.given))
                observer.say(f"{target} in {precision}: left out: {error.given}")
        if not files:
            raise ExportError("no file could be written", expected="one", remedy=left_out[0].reason)
        candidates = _raced(files, limits, order)
        fitting = [one for one in candidates if one.fits]
        if not fitting:
            for one in candidates:
                observer.say(f"  {one.text()}")
            raise _refusal(candidates, limits, order)
        winner = fitting[0]
        exported = _kept(files[winner.target, winner.precision], winner, folder)
    return Race(exported, winner, tuple(candidates), tuple(left_out), limits)


def _ways(order: Order) -> Iterator[tuple[str, Precision]]:
    for target, kind in TARGETS.items():
        if kind.unproven:
            continue  # what does not run here cannot be timed
        for precision in kind.precisions:
            if precision != "int8" or order.calibration:
                yield target, precision


def _threads() -> list[int]:
    """One thread and twice as many each time, as far as there are cores."""
    counts = [1]
    while counts[-1] * 2 <= usable_cores():
        counts.append(counts[-1] * 2)
    return counts


def _raced(
    files: dict[tuple[str, Precision], Exported], limits: Limits, order: Order
) -> list[Candidate]:
    paths = [exported.path for exported in files.values()]
    threads = (order.threads,) if order.threads else _threads()
    report = benchmark(
        paths,
        threads=threads,
        rounds=ROUNDS,
        observer=order.original.observer,
        label="racing the files",
    )
    ways = {str(exported.path): way for way, exported in files.items()}
    candidates = []
    for measured in report.measurements:
        target, precision = ways[measured.path]
        exported = files[target, precision]
        assert exported.file is not None
        assert exported.checkpoint is not None
        mb, ms = exported.size_bytes / 1e6, measured.p50_ms
        score = exported.file.scores.main
        candidates.append(
            Candidate(
                target=target,
                precision=precision,
                threads=measured.threads,
                score=score.value,
                low=score.low,
                high=score.high,
                drop=exported.checkpoint.scores.main.value - score.value,
                mb=mb,
                ms=ms,
                fits=_excess(mb, limits.mb) <= 1 and _excess(ms, limits.ms) <= 1,
            )
        )
    return sorted(candidates, key=lambda one: one.ms)


def _excess(value: float, bound: float | None) -> float:
    """How many times the bound a value is; 0 where there is none."""
    return value / bound if bound else 0.0


def _kept(exported: Exported, winner: Candidate, folder: Path) -> Exported:
    """Copy the winner's file, which then opens with the threads that it won with."""
    kind = target_named(winner.target, winner.precision)
    suffix = FORMATS[winner.target].suffix
    path = folder / f"fastest{suffix}"
    manifest = replace(exported.manifest, threads=winner.threads)
    folder.mkdir(parents=True, exist_ok=True)
    with written_together(path, kind.companions) as temporary:
        for each in (suffix, *kind.companions):
            shutil.copyfile(exported.path.with_suffix(each), temporary.with_suffix(each))
        seal(temporary, manifest)
    return replace(exported, path=path, manifest=manifest)


def _refusal(candidates: Sequence[Candidate], limits: Limits, order: Order) -> ExportError:
    """Say which bound is nearest to being kept, and what would help."""

    def worst(one: Candidate) -> float:
        return max(_excess(one.mb, limits.mb), _excess(one.ms, limits.ms))

    nearest = min(candidates, key=worst)
    given, help_with = [], []
    if _excess(nearest.ms, limits.ms) > 1:
        given.append(f"{nearest.ms:.2f} ms where {limits.ms:g} are allowed")
    if _excess(nearest.mb, limits.mb) > 1:
        given.append(f"{nearest.mb:.2f} MB where {limits.mb:g} are allowed")
    # Time and size go with the square of the width, roughly.
    factor = 1 / worst(nearest) ** 0.5
    model = order.original.checkpoint.model
    width = max(0.05, int(20 * factor * model.width_mult) / 20)
    help_with.append(f"train with --width {width:g}")
    # Fewer pixels leave filters as large as they were.
    if _excess(nearest.ms, limits.ms) > 1 >= _excess(nearest.mb, limits.mb):
        side = max(32, int(factor * max(model.resolution)) // 16 * 16)
        help_with.append(f"or with --resolution {side}")
    if not any(one.precision == "int8" for one in candidates):
        how = "a larger --max-drop" if order.calibration else "--calibrate PHOTOS"
        help_with.append(f"or {how}: no file of 8 bits is among these")
    return ExportError(
        f"nothing fits; nearest is {nearest.target} in {nearest.precision} on "
        f"{nearest.threads} thread{'s' * (nearest.threads > 1)}: {', '.join(given)}; "
        "nothing was written",
        remedy=", ".join(help_with),
    )
