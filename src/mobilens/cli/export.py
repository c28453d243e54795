"""``mobilens export``: a checkpoint becomes a verified model file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilens.cli.arguments import named_path, points, positive_float, positive_int
from mobilens.cli.terminal import print_json, table
from mobilens.errors import MobilensError, UsageError
from mobilens.observer import TerminalObserver
from mobilens.spec import codec

if TYPE_CHECKING:
    from mobilens.exporting.exported import Exported
    from mobilens.exporting.fastest import Race
    from mobilens.runtime.manifest import Reduction

TARGETS = ("onnx", "openvino", "litert", "executorch", "coreml", "ncnn")
ALL = "all"
RACE_OPTIONS = ("data", "calibrate", "class_agnostic", "threads", "observer")
NAMES = {"int8": "--int8", "float16": "--fp16", "bfloat16": "--bf16"}
SHORT = {"int8": "INT8", "float16": "FP16", "bfloat16": "BF16"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.set_defaults(precision="float32")
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="best.safetensors")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--to",
        default="onnx",
        choices=(*TARGETS, ALL),
        help="kind of model file; all: each whose runtime is installed",
    )
    kind.add_argument(
        "--fastest",
        action="store_true",
        help="try every runtime, precision and number of threads here, and keep what is fastest",
    )
    parser.add_argument(
        "--out",
        type=named_path,
        metavar="FILE",
        help="model file; for all and for --fastest a folder (default: model.onnx, .xml, .tflite, "
        ".pte, .mlpackage, .ncnn beside it; with fewer bits model.int8.onnx and so on)",
    )
    proof = parser.add_mutually_exclusive_group()
    proof.add_argument(
        "--data",
        nargs="+",
        metavar="DATA",
        help="validation data to prove it on (default: what it was trained with)",
    )
    proof.add_argument(
        "--no-data", action="store_true", help="prove it on patterns only; accuracy is not stated"
    )
    _add_fewer_bits(parser.add_argument_group("fewer bits"))
    parser.add_argument(
        "--class-agnostic",
        action="store_true",
        help="of boxes, a better one suppresses those of every class, not only of its own; "
        "the checkpoint is measured so too",
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="threads for one answer: timed with them, and opened with them later on "
        "(default: timed with one, opened with every core)",
    )
    race = parser.add_argument_group("--fastest keeps within")
    race.add_argument("--max-mb", type=positive_float, metavar="MB", help="largest size")
    race.add_argument(
        "--max-ms", type=positive_float, metavar="MS", help="longest median time of one answer"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_fewer_bits(reduced: argparse._ArgumentGroup) -> None:
    bits = reduced.add_mutually_exclusive_group()
    bits.add_argument(
        "--int8",
        dest="precision",
        default=argparse.SUPPRESS,  # the parser has one, which help would repeat three times
        action="store_const",
        const="int8",
        help="compute in 8 bits: smaller and faster",
    )
    bits.add_argument(
        "--fp16",
        dest="precision",
        default=argparse.SUPPRESS,
        action="store_const",
        const="float16",
        help="store filters in 16 bits: half the size",
    )
    bits.add_argument(
        "--bf16",
        dest="precision",
        default=argparse.SUPPRESS,
        action="store_const",
        const="bfloat16",
        help="compute in bfloat16, where a processor can: faster",
    )
    reduced.add_argument(
        "--max-drop",
        type=points,
        metavar="POINTS",
        help="largest loss of the main score (top-1, mAP) that they may cost (default: 1.0; "
        "--fp16: no other answer)",
    )
    reduced.add_argument(
        "--calibrate",
        nargs="+",
        metavar="PHOTOS",
        help="photos that ranges are measured on (default: what it was trained with)",
    )


def run(args: argparse.Namespace) -> int:
    """Export, prove, print."""
    _check(args)
    if args.fastest:
        return _run_fastest(args)
    if args.to == ALL:
        return _run_all(args)
    from mobilens.api import export

    exported = export(args.checkpoint, args.out, to=args.to, **_options(args))
    if args.json:
        print_json(_json(exported))
    else:
        print(_text(exported))
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse options that say nothing together."""
    option = NAMES.get(args.precision)
    if args.fastest:
        if option or args.no_data:
            raise UsageError(
                f"--fastest with {option or '--no-data'}",
                expected="--fastest alone: it tries every precision, and measures each",
            )
        return
    for name, bound in (("--max-mb", args.max_mb), ("--max-ms", args.max_ms)):
        if bound is not None:
            raise UsageError(f"{name} is for --fastest", remedy="--fastest, or leave it out")
    if option and args.no_data:
        raise UsageError(f"{option} without data", expected="data to measure what is lost on")
    if args.calibrate is not None and args.precision != "int8":
        raise UsageError("--calibrate is for --int8", remedy="--int8, or leave it out")
    if args.max_drop is not None and not option:
        raise UsageError(
            f"--max-drop is for {', '.join(NAMES.values())}", remedy="one of them, or leave it out"
        )


def _run_fastest(args: argparse.Namespace) -> int:
    """Race every file and keep the fastest that fits."""
    from mobilens.api import export_fastest

    options = _options(args)
    race = export_fastest(
        args.checkpoint,
        args.out,
        max_drop=1.0 if args.max_drop is None else args.max_drop,
        max_mb=args.max_mb,
        max_ms=args.max_ms,
        **{name: options[name] for name in RACE_OPTIONS},
    )
    if args.json:
        from mobilens.standings import standings

        print_json(_json(race.exported) | standings(race))
    else:
        print(_race_text(race))
    return 0


def _race_text(race: Race) -> str:
    from mobilens.standings import PICTURE_FILE, TABLE_FILE

    title = _title(race.exported)
    header = ("", "runtime", "precision", "threads", "ms", "MB", f"{title} %", "drop")
    rows = [
        (
            "kept" if one is race.winner else "" if one.fits else "too large or slow",
            one.target,
            one.precision,
            one.threads,
            f"{one.ms:.2f}",
            f"{one.mb:.2f}",
            f"{100 * one.score:.1f}",
            f"{100 * one.drop:.1f}",
        )
        for one in race.candidates
    ]
    left_out = [f"left out: {one.target} in {one.precision}: {one.reason}" for one in race.left_out]
    threads = race.winner.threads
    return "\n".join(
        [
            table(header, rows),
            *left_out,
            f"{_text(race.exported)}",
            f"it opens with {threads} thread{'s' * (threads > 1)} where nothing else is said",
            f"the table lies beside it: {TABLE_FILE}, {PICTURE_FILE}",
        ]
    )


def _run_all(args: argparse.Namespace) -> int:
    """Write every kind of file that can be, and say of each other why not."""
    from mobilens.api import export_all

    rows: dict[str, object] = {}
    failures = []
    for target, given in export_all(args.checkpoint, args.out, **_options(args)):
        if isinstance(given, MobilensError):
            failures.append(not isinstance(given, UsageError))
            rows[target] = {"error": str(given)}
            if not args.json:
                print(f"{target}: {given}", file=sys.stderr)
            continue
        rows[target] = _json(given)
        if not args.json:
            print(_text(given), flush=True)
    if args.json:
        print_json(rows)
    # What is not installed is no failure, unless it is all there is.
    return int(any(failures) or len(failures) == len(TARGETS))


def _options(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "data": args.data or None,
        "measure": not args.no_data,
        "precision": args.precision,
        "max_drop": args.max_drop,
        "calibrate": args.calibrate,
        "class_agnostic": args.class_agnostic,
        "threads": args.threads,
        "observer": TerminalObserver(),
    }


def _json(exported: Exported) -> dict[str, object]:
    return {
        "file": str(exported.path),
        "bytes": exported.size_bytes,
        "agreeing": exported.agreeing,
        "unproven": exported.manifest.unproven,
        "precision": exported.manifest.precision,
        "reduction": codec.to_json(exported.manifest.reduction),
        "evaluation": exported.file.to_json() if exported.file else None,
        "checkpoint": exported.checkpoint.to_json() if exported.checkpoint else None,
    }


def _text(exported: Exported) -> str:
    first = f"{exported.path}: {exported.size_bytes / 1e6:.1f} MB, verified"
    if exported.manifest.unproven is not None:
        return _unproven_text(exported)
    if exported.file is None:
        return f"{first} on patterns; its accuracy was not measured"
    if exported.manifest.reduction is not None:
        return f"{first}\n{_reduction_text(exported, exported.manifest.reduction)}"
    return (
        f"{first}: all {exported.agreeing} answers are the checkpoint's\n"
        f"{_title(exported)} {exported.file.scores.main.percent()} %"
    )


def _title(exported: Exported) -> str:
    """What the main score of its task is called."""
    from mobilens.vision.tasks import task_vision

    return task_vision(exported.manifest.task.kind).MAIN_TITLE


def _unproven_text(exported: Exported) -> str:
    precision = exported.manifest.precision
    lines = [
        f"{exported.path}: {exported.size_bytes / 1e6:.1f} MB in {precision}, converted and "
        "checked, not run",
        f"UNPROVEN: {exported.manifest.unproven}",
    ]
    if exported.checkpoint is not None:
        score = exported.checkpoint.scores.main.percent()
        lines.append(f"{_title(exported)} {score} %, the checkpoint's; the file was not measured")
    return "\n".join(lines)


def _reduction_text(exported: Exported, reduction: Reduction) -> str:
    from mobilens.vision.intervals import Estimate

    assert exported.file is not None
    assert exported.checkpoint is not None
    drop = Estimate(reduction.drop, *reduction.drop_interval)
    speed = reduction.speed
    lines = [
        f"{_title(exported)} {exported.file.scores.main.percent()} %, the checkpoint's "
        f"{exported.checkpoint.scores.main.percent()}",
        f"{SHORT[exported.manifest.precision]} drop: {drop.percent()} points, "
        f"{100 * reduction.allowed:g} allowed; {reduction.rung}",
        f"{exported.agreeing:,} of {exported.file.num_images:,} answers are the checkpoint's",
        f"{speed.ms:.2f} ms on {'one thread' if speed.threads == 1 else f'{speed.threads} threads'}"
        f", {speed.float_ms / speed.ms:.2f}x as fast as in float ({speed.float_ms:.2f} ms)",
    ]
    tuned = exported.manifest.provenance.get("quantisation") or {}
    if "before" in tuned:
        lines.append(
            "the checkpoint was trained with integers; before that it reached "
            f"{100 * tuned['before']:.1f} %"
        )
    if reduction.integers and reduction.integers.float_layers:
        lines.append(f"in float: {', '.join(reduction.integers.float_layers)}")
    if speed.slower:
        lines.append(f"note: the file in float is faster here, on {speed.cpu}")
    return "\n".join(lines)
