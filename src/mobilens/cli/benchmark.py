"""``mobilens benchmark``: measure latency, throughput, memory and size of model files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.arguments import named_path, positive_int, positive_ints
from mobilens.cli.terminal import print_json, say
from mobilens.errors import UsageError
from mobilens.observer import TerminalObserver

if TYPE_CHECKING:
    from mobilens.runtime.measurement import BenchmarkReport, Measurement

# As many as fit beside the figures in the picture's key.
NAME_LETTERS = 27


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="model files, of mobilens export or of other tools"
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
    parser.add_argument(
        "--against",
        type=_words,
        metavar="LIBRARY,..",
        help="torchvision, timm: measure their nets too, exported in the plain way, and show how "
        "long each file takes beside them (needs mobilens[peers])",
    )
    parser.add_argument(
        "--plot",
        type=svg_path,
        metavar="FILE.svg",
        help="draw accuracy (size, without --data) against latency, with the Pareto front",
    )
    parser.add_argument(
        "--operators",
        action="store_true",
        help="measure nothing else: list what each runtime makes of its file: operators, their "
        "precision, what ran them, and their share of the time",
    )
    parser.add_argument(
        "--device-kit",
        type=named_path,
        metavar="DIR",
        help="measure nothing: write a folder to copy to another machine and run there",
    )
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        type=named_path,
        metavar="RESULT.json",
        help="show what a device kit brought back beside what is measured here; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Measure and print the table."""
    from mobilens.api import benchmark
    from mobilens.cli.benchmark_text import report_text

    if args.device_kit:
        return _write_kit(args)
    if args.operators:
        return _list_operators(args)
    report = benchmark(
        args.files,
        threads=args.threads,
        batches=args.batch,
        rounds=args.rounds,
        data=args.data,
        against=args.against or (),
        imports=args.imports or (),
        observer=TerminalObserver(),
    )
    if args.plot:
        _plot(args.plot, report)
    if args.json:
        print_json(report.to_json())
    else:
        print(report_text(report))
    return 0


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _require_alone(args: argparse.Namespace, option: str) -> None:
    others = {"--import": args.imports, "--plot": args.plot, "--against": args.against}
    both = args.device_kit is not None and args.operators
    given = [name for name, value in others.items() if value] + ["--operators"] * both
    if given:
        raise UsageError(f"{option} with {' and '.join(given)}", expected="one or the other")


def _list_operators(args: argparse.Namespace) -> int:
    from mobilens.api import operators
    from mobilens.cli.benchmark_text import operators_text

    _require_alone(args, "--operators")
    if args.data or len(args.threads) > 1:
        raise UsageError("--operators takes no --data, and one number of threads")
    found = operators(args.files, threads=args.threads[0], observer=TerminalObserver())
    if args.json:
        print_json({"operators": [one.to_json() for one in found]})
    else:
        print("\n\n".join(map(operators_text, found)))
    return 0


def _write_kit(args: argparse.Namespace) -> int:
    from mobilens.api import write_device_kit

    _require_alone(args, "--device-kit")
    folder = write_device_kit(
        args.device_kit,
        args.files,
        threads=args.threads,
        batches=args.batch,
        rounds=args.rounds,
        data=args.data,
        observer=TerminalObserver(),
    )
    if args.json:
        print_json({"device_kit": str(folder)})
    else:
        print(f"{folder}: copy it to the machine and run there: python3 run.py")
    return 0


def svg_path(text: str) -> Path:
    """Read the name of a picture that can be written.

    Raises:
        ArgumentTypeError: It is no .svg file, or lies in no folder.
    """
    path = named_path(text)
    if path.suffix.lower() != ".svg" or path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no .svg file in a folder that exists")
    return path


def _plot(path: Path, report: BenchmarkReport) -> None:
    """Draw every file whose accuracy was measured, or, where none was, all by size."""
    from mobilens.atomic import written
    from mobilens.cli.benchmark_text import short_names
    from mobilens.report.tradeoff import Panel, Point, tradeoff

    machines = [one for one in report.machines() if one.measurements]
    accuracy = any(each.accuracy for one in machines for each in one.measurements)
    panels = []
    for machine in machines:
        own = [one for one in machine.measurements if not one.library]
        shown = [one for one in own if one.accuracy or not accuracy]
        for name in dict.fromkeys(one.path for one in own if one not in shown):
            say(f"{name}: its accuracy was not measured, so it is not in the picture (--data)")
        if not shown:
            continue
        names = short_names(list(dict.fromkeys(one.path for one in shown)), NAME_LETTERS)
        points = [
            Point(
                name=names[one.path] + _circumstances(one, shown),
                kind=one.engine,
                ms=one.p50_ms / one.batch,
                value=one.accuracy.value if one.accuracy else one.size_bytes / 1e6,
                interval=(one.accuracy.low, one.accuracy.high) if one.accuracy else None,
            )
            for one in shown
        ]
        panels.append(Panel(f"{machine.device.cpu}, {machine.device.cores} cores", points))
    with written(path) as temporary:
        temporary.write_text(tradeoff(panels, accuracy=accuracy), encoding="utf-8")
    say(f"picture: {path}")


def _circumstances(one: Measurement, each: Sequence[Measurement]) -> str:
    """What tells a measurement from others of its file."""
    differ = {(other.threads, other.batch) for other in each}
    words = []
    if len({threads for threads, _ in differ}) > 1:
        words.append(f"{one.threads}t")
    if len({batch for _, batch in differ}) > 1:
        words.append(f"batch {one.batch}")
    return f" {', '.join(words)}" if words else ""
