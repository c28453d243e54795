"""``mobilens export``: a checkpoint becomes a verified model file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.arguments import named_path
from mobilens.cli.terminal import print_json
from mobilens.errors import ExportError, MissingExtraError, UsageError
from mobilens.observer import TerminalObserver
from mobilens.runtime.formats import FORMATS

if TYPE_CHECKING:
    from mobilens.exporting.bundle import Exported

TARGETS = ("onnx", "openvino", "litert", "executorch")
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
        help="model file; for all, a folder (default: model.onnx, .xml, .tflite, .pte beside it)",
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
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Export, prove, print."""
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
        except (MissingExtraError, ExportError) as error:
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
        observer=TerminalObserver(),
    )


def _json(exported: Exported) -> dict[str, object]:
    return {
        "file": str(exported.path),
        "bytes": exported.size_bytes,
        "agreeing": exported.agreeing,
        "evaluation": exported.file.to_json() if exported.file else None,
    }


def _text(exported: Exported) -> str:
    first = f"{exported.path}: {exported.size_bytes / 1e6:.1f} MB, verified"
    if exported.file is None:
        return f"{first} on patterns; its accuracy was not measured"
    return (
        f"{first}: all {exported.agreeing} answers are the checkpoint's\n"
        f"top-1 {exported.file.scores.main.percent()} %"
    )
