"""``mobilens export``: a checkpoint becomes a verified model file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.arguments import named_path, points
from mobilens.cli.terminal import print_json
from mobilens.errors import ExportError, UsageError
from mobilens.observer import TerminalObserver
from mobilens.runtime.formats import FORMATS
from mobilens.spec import codec

if TYPE_CHECKING:
    from mobilens.exporting.bundle import Exported
    from mobilens.runtime.manifest import Reduction

TARGETS = ("onnx", "openvino", "litert", "executorch", "coreml")
ALL = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="best.safetensors")
    parser.add_argument(
        "--to",
        default="onnx",
        choices=(*TARGETS, ALL),
        help="kind of model file; all: each whose runtime is installed",
    )
    parser.add_argument(
        "--out",
        type=named_path,
        metavar="FILE",
        help="model file; for all, a folder (default: model.onnx, .xml, .tflite, .pte or "
        ".mlpackage beside it)",
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
    reduced = parser.add_argument_group("fewer bits")
    reduced.add_argument("--int8", action="store_true", help="compute in 8 bits")
    reduced.add_argument(
        "--max-drop",
        type=points,
        metavar="POINTS",
        help="largest loss of top-1 that is allowed (default: 1.0)",
    )
    reduced.add_argument(
        "--calibrate",
        nargs="+",
        metavar="PHOTOS",
        help="photos that ranges are measured on (default: what it was trained with)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Export, prove, print."""
    if args.int8 and args.no_data:
        raise UsageError("--int8 without data", expected="data to measure what is lost on")
    for option, given in (("--calibrate", args.calibrate), ("--max-drop", args.max_drop)):
        if given is not None and not args.int8:
            raise UsageError(f"{option} is for --int8", remedy="--int8, or leave it out")
    if args.to == ALL:
        return _run_all(args)
    exported = _export(args, args.to, args.out)
    if args.json:
        print_json(_json(exported))
    else:
        print(_text(exported))
    return 0


def _run_all(args: argparse.Namespace) -> int:
    """Write every kind of file that can be, and say of each other why not."""
    folder = args.checkpoint.parent if args.out is None else args.out
    if folder.suffix:
        raise UsageError(
            f"{folder} is the name of one file",
            expected="a folder, for --to all",
            remedy="--out DIR",
        )
    rows: dict[str, object] = {}
    errors = []
    for target in TARGETS:
        path = folder / f"model{FORMATS[target].suffix}"
        try:
            exported = _export(args, target, path)
        except (UsageError, ExportError) as error:
            errors.append(error)
            rows[target] = {"error": str(error)}
            if not args.json:
                print(f"{target}: {error}", file=sys.stderr)
            continue
        rows[target] = _json(exported)
        if not args.json:
            print(_text(exported), flush=True)
    if args.json:
        print_json(rows)
    if len(errors) == len(TARGETS):
        return 1
    return int(any(isinstance(error, ExportError) for error in errors))


def _export(args: argparse.Namespace, target: str, path: Path | None) -> Exported:
    from mobilens.api import export

    return export(
        args.checkpoint,
        path,
        to=target,
        data=args.data or None,
        measure=not args.no_data,
        int8=args.int8,
        max_drop=1.0 if args.max_drop is None else args.max_drop,
        calibrate=args.calibrate,
        observer=TerminalObserver(),
    )


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
        f"top-1 {exported.file.scores.main.percent()} %"
    )


def _unproven_text(exported: Exported) -> str:
    lines = [
        f"{exported.path}: {exported.size_bytes / 1e6:.1f} MB, converted and checked, not run",
        f"UNPROVEN: {exported.manifest.unproven}",
    ]
    if exported.checkpoint is not None:
        top1 = exported.checkpoint.scores.main.percent()
        lines.append(f"top-1 {top1} %, the checkpoint's; the file was not measured")
    return "\n".join(lines)


def _reduction_text(exported: Exported, reduction: Reduction) -> str:
    from mobilens.vision.intervals import Estimate

    assert exported.file is not None
    assert exported.checkpoint is not None
    drop = Estimate(reduction.drop, *reduction.drop_interval)
    speed = reduction.speed
    lines = [
        f"top-1 {exported.file.scores.main.percent()} %, the checkpoint's "
        f"{exported.checkpoint.scores.main.percent()}",
        f"INT8 drop: {drop.percent()} points, {100 * reduction.allowed:g} allowed; "
        f"{reduction.rung}",
        f"{speed.ms:.2f} ms on one thread, {speed.float_ms / speed.ms:.2f}x as fast as in float "
        f"({speed.float_ms:.2f} ms)",
    ]
    if reduction.float_layers:
        lines.append(f"in float: {', '.join(reduction.float_layers)}")
    if speed.slower:
        lines.append("note: on this machine the file in float is faster")
    return "\n".join(lines)
