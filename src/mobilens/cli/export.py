"""``mobilens export``: a checkpoint becomes a verified model file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.arguments import named_path
from mobilens.cli.terminal import print_json
from mobilens.observer import TerminalObserver

if TYPE_CHECKING:
    from mobilens.exporting.bundle import Exported

TARGETS = ("onnx", "openvino", "litert", "executorch")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="best.safetensors")
    parser.add_argument("--to", default="onnx", choices=TARGETS, help="kind of model file")
    parser.add_argument(
        "--out",
        type=named_path,
        metavar="FILE",
        help="model file (default: model and the suffix of its kind, beside it)",
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
    from mobilens.api import export

    exported = export(
        args.checkpoint,
        args.out,
        to=args.to,
        data=args.data or None,
        measure=not args.no_data,
        observer=TerminalObserver(),
    )
    if args.json:
        print_json(_json(exported))
    else:
        print(_text(exported))
    return 0


def _json(exported: Exported) -> dict[str, object]:
    return {
        "file": str(exported.path),
        "bytes": exported.path.stat().st_size,
        "agreeing": exported.agreeing,
        "evaluation": exported.file.to_json() if exported.file else None,
    }


def _text(exported: Exported) -> str:
    size = exported.path.stat().st_size / 1e6
    first = f"{exported.path}: {size:.1f} MB, verified"
    if exported.file is None:
        return f"{first} on patterns; its accuracy was not measured"
    return (
        f"{first}: all {exported.agreeing} answers are the checkpoint's\n"
        f"top-1 {exported.file.scores.main.percent()} %"
    )
