"""``mobilens train``: from a folder of photos to a verified model file."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.arguments import positive_float, positive_int
from mobilens.cli.terminal import print_json
from mobilens.observer import TerminalObserver

if TYPE_CHECKING:
    from mobilens.deliver import Delivered
    from mobilens.training.settings import TrainSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "data",
        nargs="*",
        metavar="DATA",
        help="folder of class folders, or of train/ and validation/; a CSV file; or patterns",
    )
    parser.add_argument(
        "--model", default="mobilenet_v3_small", metavar="NAME", help="`mobilens info` lists them"
    )
    parser.add_argument(
        "--width", type=positive_float, default=1.0, metavar="W", help="width multiplier"
    )
    parser.add_argument(
        "--width-rule", default="paper", choices=("paper", "torchvision"), help="rounding of V3"
    )
    parser.add_argument(
        "--resolution", type=positive_int, metavar="R", help="input side (default: the paper's)"
    )
    parser.add_argument(
        "--weights",
        default="auto",
        metavar="auto|none|NAME|FILE",
        help="what training begins with; auto takes the best that can be had",
    )
    parser.add_argument(
        "--recipe",
        metavar="NAME|FILE",
        help="by name, or a recipe.json (default: transfer with weights, scratch without)",
    )
    _add_numbers(parser)
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, mps; auto prefers a GPU"
    )
    parser.add_argument("--offline", action="store_true", help="use no network for weights")
    parser.add_argument(
        "--strict", action="store_true", help="end when a file does not decode, instead of skipping"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the results (default: runs/NAME)"
    )
    parser.add_argument(
        "--resume", type=Path, metavar="DIR", help="go on with the run in this folder"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_numbers(parser: argparse.ArgumentParser) -> None:
    recipe = "(default: the recipe's)"
    parser.add_argument("--epochs", type=positive_int, metavar="N", help=f"epochs {recipe}")
    parser.add_argument(
        "--batch-size", type=positive_int, metavar="B", help=f"images a step {recipe}"
    )
    parser.add_argument(
        "--lr", type=positive_float, metavar="L", help=f"highest learning rate {recipe}"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of everything random")
    parser.add_argument(
        "--minutes", type=positive_float, metavar="M", help="cut the epochs to fit into this time"
    )


def run(args: argparse.Namespace) -> int:
    """Train, export, prove, report."""
    from mobilens.extras import require_train_extra

    require_train_extra("training")
    from mobilens.deliver import deliver
    from mobilens.errors import InterruptedRunError
    from mobilens.training.run import run_training

    settings, folder = _resumed(args) if args.resume else _fresh(args)
    observer = TerminalObserver()
    try:
        result = run_training(settings, folder, observer)
        if not result.leads:
            return 0
        delivered = deliver(result, observer)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"stopped; {folder} holds what is done", remedy=f"mobilens train --resume {folder}"
        ) from None
    if args.json:
        print_json(_json(delivered))
    else:
        print(_text(delivered))
    return 0


def _fresh(args: argparse.Namespace) -> tuple[TrainSettings, Path]:
    from mobilens.errors import UsageError
    from mobilens.training.folder import run_folder
    from mobilens.training.settings import TrainSettings, find_recipe

    if not args.data:
        raise UsageError(
            "no data was given",
            expected="a folder with one folder of images for each class",
            remedy="mobilens train PHOTOS, or mobilens demo to see it on digits that ship inside",
        )
    if "RANK" in os.environ and args.out is None:
        raise UsageError(
            "several processes train, but no folder was named for them",
            expected="--out DIR, the same for all",
        )
    folder = run_folder(args.out, args.data[0], args.model)
    settings = TrainSettings(
        source=tuple(args.data),
        recipe=find_recipe(args.recipe) if args.recipe else None,
        epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        model=args.model,
        width=args.width,
        width_rule=args.width_rule,
        resolution=args.resolution,
        weights=args.weights,
        seed=args.seed,
        device=args.device,
        minutes=args.minutes,
        strict=args.strict,
        offline=args.offline,
        command=shlex.join(["mobilens", *sys.argv[1:]]),
    )
    return settings, folder


def _resumed(args: argparse.Namespace) -> tuple[TrainSettings, Path]:
    from mobilens.errors import UsageError
    from mobilens.training.settings import TrainSettings

    if args.data or args.out:
        raise UsageError(
            "--resume was given with data or --out",
            expected="the folder alone: its recipe.json says the rest",
            remedy=f"mobilens train --resume {args.resume}",
        )
    return TrainSettings.load(args.resume / "recipe.json"), args.resume


def _text(delivered: Delivered) -> str:
    folder = delivered.folder
    size = delivered.file.stat().st_size / 1e6
    return "\n".join(
        [
            "",
            f"{delivered.file}: {size:.1f} MB, verified: every answer is the checkpoint's",
            f"top-1 {delivered.evaluation.scores.main.percent()} % on "
            f"{delivered.evaluation.num_images} validation images",
            f"report   {delivered.report}",
            f"predict  mobilens predict {delivered.file} PHOTO.jpg",
            f"repeat   mobilens train --recipe {folder / 'recipe.json'} DATA",
        ]
    )


def _json(delivered: Delivered) -> dict[str, object]:
    return {
        "folder": str(delivered.folder),
        "checkpoint": str(delivered.checkpoint),
        "model": str(delivered.file),
        "report": str(delivered.report),
        "bytes": delivered.file.stat().st_size,
        "evaluation": delivered.evaluation.to_json(),
    }
