"""Measurements as text: one table for each machine, in the width of a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.terminal import table

if TYPE_CHECKING:
    from mobilens.runtime.measurement import BenchmarkReport, Measurement
    from mobilens.runtime.operators import OperatorReport

WIDTH = 100
LEAST_NAME = 20
FEW_PLACES = 3


@dataclass(frozen=True)
class _Column:
    """A column of the table.

    Attributes:
        head: Its name.
        cell: Gives its text for a measurement; empty where there is nothing to say.
        spare: Whether it goes, first the last one, where the table gets too wide.
    """

    head: str
    cell: Callable[[Measurement], str]
    spare: bool = False


def report_text(report: BenchmarkReport) -> str:
    """Write a table for each machine, and what the figures mean."""
    machines = [one for one in report.machines() if one.measurements or one.left_out]
    parts = [_machine(one) for one in machines]
    return "\n\n".join([*parts, _meaning(machines)])


def operators_text(report: OperatorReport) -> str:
    """Write the operators of a file, and what they add up to by precision and by place."""
    rows = [
        (
            group.kind,
            group.precision or "not told",
            group.where,
            group.count,
            f"{group.ms:.3f}",
            f"{100 * group.share:.1f} %",
        )
        for group in report.groups
    ]
    header = ("operator", "computes in", "run by", "count", "ms", "share")
    lines = [
        f"{report.path} on {report.engine}, {_threads(report.threads)}, written as "
        f"{report.precision}",
        "",
        table(header, rows),
        "",
        _sums(report),
    ]
    return "\n".join(lines + ([report.note] if report.note else []))


def _sums(report: OperatorReport) -> str:
    """How much of the time is in which precision and place."""
    precisions: dict[str, float] = {}
    places: dict[str, float] = {}
    for group in report.groups:
        for sums, name in ((precisions, group.precision or "not told"), (places, group.where)):
            sums[name] = sums.get(name, 0.0) + group.share
    # Kernels by name are too many to say.
    shown = [precisions, places] if len(places) <= FEW_PLACES else [precisions]
    words = [
        ", ".join(
            f"{name} {100 * part:.1f} %"
            for name, part in sorted(sums.items(), key=lambda item: -item[1])
        )
        for sums in shown
    ]
    return "of the time: " + "; ".join(words)


def short_names(paths: Sequence[str], width: int) -> dict[str, str]:
    """Shorten paths to a width as long as they stay apart: by their common folder, then within.

    Args:
        paths: Distinct paths.
        width: Characters, 3 or more.
    """
    if not paths:
        return {}
    parts = [Path(path).parts for path in paths]
    shared = 0
    while all(len(one) > shared + 1 for one in parts) and len({one[shared] for one in parts}) == 1:
        shared += 1
    fits = max(map(len, paths)) <= width
    names = list(paths) if fits else [str(Path(*one[shared:])) for one in parts]
    tail = (2 * width) // 3
    cut = [
        name if len(name) <= width else f"{name[: width - tail - 1]}…{name[-tail:]}"
        for name in names
    ]
    return dict(zip(paths, cut if len(set(cut)) == len(cut) else names, strict=True))


def _machine(report: BenchmarkReport) -> str:
    device = report.device
    each = report.measurements
    engines = dict.fromkeys(f"{one.engine} {one.engine_version}" for one in each)
    about = [f"{device.processor}, {device.cores} cores, {device.system}", ", ".join(engines)]
    if len(threads := {one.threads for one in each}) == 1:
        about[0] += f"; measured on {_threads(*threads)}"
    if report.data is not None:
        about.append(f"accuracy on {report.data.num_images:,} images of {report.data.name}")
    about += [
        f"peak in {peak.precision}, {_threads(peak.threads)}: "
        f"{peak.operations_per_second / 1e9:,.0f} G operations/s ({peak.probe})"
        for peak in report.peaks
    ]
    if foreign := dict.fromkeys(one.path for one in each if not (one.model or one.library)):
        about.append("without a manifest, so measured on random values of the types that it reads:")
        about += [f"  {path}" for path in foreign]
    shown = [_fitting(report)] if each else []
    left = [f"not measured: {one.what}: {one.reason}" for one in report.left_out]
    return "\n".join([*filter(None, about), "", *shown, *left])


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _fitting(report: BenchmarkReport) -> str:
    """The table, with as much as fits into the width; JSON has the rest."""
    each = report.measurements
    columns = [one for one in _columns(report) if any(map(one.cell, each))]
    while True:
        rows = [[column.cell(one) for column in columns] for one in each]
        bare = table(["", *(column.head for column in columns)], [["", *row] for row in rows])
        room = WIDTH - len(bare.splitlines()[1])
        spare = [column for column in columns if column.spare]
        if room >= LEAST_NAME or not spare:
            break
        columns.remove(spare[-1])
    names: dict[str, str] = {}
    for given in (True, False):  # a library's net bears no path
        paths = list(dict.fromkeys(one.path for one in each if bool(one.library) is not given))
        names |= short_names(paths, max(room, LEAST_NAME))
    header = ["file", *(column.head for column in columns)]
    return table(header, [[names[one.path], *row] for one, row in zip(each, rows, strict=True)])


def _columns(report: BenchmarkReport) -> list[_Column]:
    each = report.measurements
    libraries = dict.fromkeys(name for one in each for name in one.ratios)
    columns = [
        _Column("engine", lambda one: one.engine),
        _Column("thr", lambda one: str(one.threads)),
        _Column("batch", lambda one: str(one.batch)),
        _Column("p50 ms", lambda one: f"{one.p50_ms:.2f}"),
        _Column("p95 ms", lambda one: f"{one.p95_ms:.2f}", spare=True),
        _Column("images/s", lambda one: f"{one.images_per_second:.1f}", spare=True),
        _Column("of peak", lambda one: _share(one.peak_share)),
        _Column("score %", _accuracy),
        *(_ratio_column(name) for name in libraries),
        _Column("peak MB", lambda one: _megabytes(one.peak_memory_bytes)),
        _Column("model MB", lambda one: _megabytes(one.model_memory_bytes), spare=True),
        _Column("file MB", lambda one: _megabytes(one.size_bytes, 2)),
    ]
    if {one.batch for one in each} == {1}:
        columns = [column for column in columns if column.head != "batch"]
    if len({one.threads for one in each}) == 1:
        columns = [column for column in columns if column.head != "thr"]
    return columns


def _ratio_column(library: str) -> _Column:
    def text(one: Measurement) -> str:
        return f"{one.ratios[library].value:.2f}" if library in one.ratios else ""

    return _Column(f"/{library}", text)


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _accuracy(one: Measurement) -> str:
    found = one.accuracy
    if found is None:
        return ""
    return f"{100 * found.value:.1f} ±{50 * (found.high - found.low):.1f}"


def _megabytes(count: int | None, digits: int = 0) -> str:
    return "" if count is None else f"{count / 1e6:.{digits}f}"


def _meaning(machines: Sequence[BenchmarkReport]) -> str:
    each = [one for report in machines for one in report.measurements]
    lines = [
        "p50 and p95 are times of one run of the net on prepared pixels, over rounds in which all",
        "files took turns, each time in a fresh process. 'peak MB' is the memory of the whole",
        "process, 'model MB' its part beyond Python and the engine, 'images/s' over slow runs too.",
    ]
    if any(one.peak_share is not None for one in each):
        lines += [
            "'of peak': two operations for each multiply-add of the net, over p50, as a share of",
            "the most that this machine did in the same rounds, precision and threads: the",
            "quickest of several products of two 384x384 matrices, by NumPy's BLAS and by ONNX",
            "Runtime. An engine with better kernels than both may pass 100 %.",
        ]
    if any(one.accuracy for one in each):
        lines += [
            "'score %' is the main score of a file's task (top-1, mAP), with half the width of its",
            "95 % interval; measured once a file.",
        ]
    if libraries := dict.fromkeys(name for one in each for name in one.ratios):
        heads = ", ".join(f"'/{name}'" for name in libraries)
        lines += [
            f"{heads}: time of the file over that of the library's own net, exported in",
            "float32 in the plain way, on the same engine in the same rounds; below 1 is faster.",
            "How sure that is: the 95 % intervals of --json.",
        ]
    return "\n".join([*lines, "All figures: --json"])
