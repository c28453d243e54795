"""``mobilens quantize``: train a checkpoint so that it loses less in 8 bits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.arguments import named_path, points, positive_int
from mobilens.cli.terminal import print_json
from mobilens.cores import give_way
from mobilens.errors import UsageError
from mobilens.observer import TerminalObserver

if TYPE_CHECKING:
    from mobilens.api import Quantized


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="best.safetensors")
    parser.add_argument(
        "--qat",
        action="store_true",
        help="quantisation-aware training: filters learn to give in 8 bits what they gave in float",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="DATA",
        help="photos to train with and to measure on (default: what it was trained with)",
    )
    parser.add_argument(
        "--epochs", type=positive_int, default=3, metavar="N", help="times each photo is seen"
    )
    parser.add_argument(
        "--max-drop",
        type=points,
        default=1.0,
        metavar="POINTS",
        help="largest loss of the main score (top-1, mAP) in float that this may cost",
    )
    parser.add_argument(
        "--out",
        type=named_path,
        metavar="FILE",
        help="new checkpoint (default: NAME.int8.safetensors beside it)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Train, measure, print."""
    if not args.qat:
        raise UsageError(
            "quantize without --qat has nothing to do",
            expected="--qat, to train",
            remedy="mobilens export CHECKPOINT --int8 chooses 8 bits without training, and trains "
            "by itself where nothing else suffices",
        )
    give_way()
    from mobilens.api import quantize

    done = quantize(
        args.checkpoint,
        args.out,
        data=args.data,
        epochs=args.epochs,
        max_drop=args.max_drop,
        observer=TerminalObserver(),
    )
    if args.json:
        print_json(_json(done))
    else:
        print(_text(done))
    return 0


def _json(done: Quantized) -> dict[str, object]:
    found = done.comparison
    figures = {
        "float": found.in_float,
        "float_after": found.now_in_float,
        "before": found.before,
        "after": found.after,
    }
    return {
        "file": str(done.path),
        "images": done.images,
        **{name: one.to_json() for name, one in figures.items()},
    }


def _text(done: Quantized) -> str:
    from mobilens.vision.tasks import task_vision

    found = done.comparison
    title = task_vision(found.after.scores.kind).MAIN_TITLE
    return (
        f"{done.path}: trained with integers on {done.images:,} photos\n"
        f"{title} in float: {found.in_float.scores.main.percent()} % before, "
        f"{found.now_in_float.scores.main.percent()} % now\n"
        f"{title} in 8 bits, simulated, without any other rung: "
        f"{found.before.scores.main.percent()} % before, "
        f"{found.after.scores.main.percent()} % now\n"
        f"next: mobilens export {done.path} --to all --int8"
    )
