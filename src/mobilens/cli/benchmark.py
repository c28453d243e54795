"""``mobilens benchmark``: measure latency, throughput, memory and size of model files."""

from __future__ import annotations

import argparse

from mobilens.cli.arguments import positive_int, positive_ints
from mobilens.cli.terminal import print_json
from mobilens.observer import TerminalObserver


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
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="DATA",
        help="validation data: each file's accuracy is measured on it",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Measure and print the table."""
    from mobilens.api import benchmark
    from mobilens.cli.benchmark_text import report_text

    report = benchmark(
        args.files,
        threads=args.threads,
        batches=args.batch,
        rounds=args.rounds,
        data=args.data,
        observer=TerminalObserver(),
    )
    if args.json:
        print_json(report.to_json())
    else:
        print(report_text(report))
    return 0
