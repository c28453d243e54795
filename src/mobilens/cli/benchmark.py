"""``mobilens benchmark``: measure latency, throughput, memory and size of model files."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mobilens.cli.arguments import positive_int, positive_ints
from mobilens.cli.terminal import print_json, table
from mobilens.observer import TerminalObserver

if TYPE_CHECKING:
    from mobilens.runtime.benchmark import BenchmarkReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="model files that mobilens export wrote"
    )
    parser.add_argument(
        "--threads", type=positive_ints, default="1", metavar="N,N", help="threads for one answer"
    )
    parser.add_argument(
        "--batch", type=positive_ints, default="1", metavar="N,N", help="images in one run"
    )
    parser.add_argument(
        "--rounds",
        type=positive_int,
        default=5,
        metavar="N",
        help="repetitions of each configuration, each in a fresh process",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Measure and print the table."""
    from mobilens.api import benchmark

    report = benchmark(
        args.files,
        threads=args.threads,
        batches=args.batch,
        rounds=args.rounds,
        observer=TerminalObserver(),
    )
    if args.json:
        print_json(report.to_json())
    else:
        print(_text(report))
    return 0


def _text(report: BenchmarkReport) -> str:
    rows = [
        (
            one.path,
            one.engine,
            one.threads,
            one.batch,
            f"{one.p50_ms:.2f}",
            f"{one.p95_ms:.2f}",
            f"{one.images_per_second:.1f}",
            _megabytes(one.peak_memory_bytes),
            _megabytes(one.model_memory_bytes),
            _megabytes(one.size_bytes),
        )
        for one in report.measurements
    ]
    header = (
        *("file", "engine", "threads", "batch", "p50 ms", "p95 ms", "images/s"),
        *("peak MB", "model MB", "file MB"),
    )
    device = report.device
    engines = dict.fromkeys(f"{one.engine} {one.engine_version}" for one in report.measurements)
    return "\n".join(
        [
            f"{device.cpu}, {device.cores} cores, {device.system}; {', '.join(engines)}",
            "",
            table(header, rows),
            "",
            f"Times are of one run of the net on prepared pixels, over {report.rounds} rounds in "
            "which all",
            "configurations took turns, each time in a fresh process. Peak memory is the whole",
            "process's; 'model' is its part beyond Python and the engine. Images/s is over all",
            "runs, slow ones included.",
        ]
    )


def _megabytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:.1f}"
