"""``mobilens export``: a checkpoint becomes a verified model file."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.terminal import print_json, progress

if TYPE_CHECKING:
    from mobilens.data.dataset import Dataset
    from mobilens.export.bundle import Exported
    from mobilens.nn.checkpoint import Checkpoint
    from mobilens.vision.files import FileResult

TARGETS = ("onnx",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="best.safetensors")
    parser.add_argument("--to", default="onnx", choices=TARGETS, help="kind of model file")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="model file (default: model.onnx beside it)"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="DATA",
        help="validation data to prove it on (default: what it was trained with)",
    )
    parser.add_argument(
        "--no-data", action="store_true", help="prove it on patterns only; accuracy is not stated"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Export, prove, print."""
    from mobilens.cli.extras import require_train_extra

    require_train_extra("exporting")
    from mobilens.export.bundle import export_checkpoint
    from mobilens.nn.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(args.checkpoint)
    dataset = None if args.no_data else _dataset(args, checkpoint)

    def watched(results: Iterable[FileResult]) -> Iterable[FileResult]:
        return progress(results, total=len(dataset or ()), label="proving the model file")

    out = args.out or args.checkpoint.with_name("model.onnx")
    exported = export_checkpoint(checkpoint, out, dataset, progress=watched)
    if args.json:
        print_json(_json(exported))
    else:
        print(_text(exported))
    return 0


def _dataset(args: argparse.Namespace, checkpoint: Checkpoint) -> Dataset:
    from mobilens.data.dataset import load_split, load_splits
    from mobilens.errors import DataError, UsageError

    names = checkpoint.task.class_names
    if args.data:
        return load_split(args.data if len(args.data) > 1 else args.data[0], "val", names)
    source = checkpoint.provenance.get("settings", {}).get("source")
    remedy = "--data VALIDATION, or --no-data for a file whose accuracy is not stated"
    if not source:
        raise UsageError(f"{args.checkpoint} does not say what it was trained with", remedy=remedy)
    try:
        return load_splits(source if len(source) > 1 else source[0]).val
    except DataError as error:
        raise DataError(error.given, expected=error.expected, remedy=remedy) from None


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
