"""``mobilens train``: from a folder of photos to a verified model file."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilens.cli.arguments import image_size, named_path, positive_float, positive_int, share
from mobilens.cli.terminal import print_json
from mobilens.cores import give_way
from mobilens.observer import TerminalObserver
from mobilens.spec.model import WIDTH_RULES

if TYPE_CHECKING:
    from mobilens.deliver import Delivered
    from mobilens.training.settings import TrainSettings


EPILOG = """\
recipes:
  transfer                 with weights; the default there
  transfer_v3_small        with weights of MobileNetV3-Small; the default there
  transfer_mixup           transfer with Mixup
  transfer_cutmix          transfer with CutMix
  transfer_erasing         transfer with random erasing
  scratch                  without weights; the default there
  detect                   for boxes; the default there
  segment                  for masks; the default there
  keypoints                for points; the default there
  embed                    for embeddings; the default there
  mobilenet_v1             the paper's, for ImageNet
  mobilenet_v2             the paper's, for ImageNet
  mobilenet_v3             the paper's, for ImageNet
  mobilenet_v4_conv_small  the paper's, for ImageNet
  torchvision              of torchvision's newer weights of V2 and V3, for ImageNet
Any number of a recipe can be changed in the recipe.json of a run, which --recipe takes.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EPILOG
    parser.add_argument(
        "data",
        nargs="*",
        metavar="DATA",
        help="folder of class folders, or of train/ and validation/; a CSV file; or patterns; for "
        "boxes a folder or file of Pascal VOC, COCO or YOLO; for masks a folder of images and "
        "masks, or COCO; for points COCO or a CSV file",
    )
    parser.add_argument(
        "--recipe",
        metavar="NAME|FILE",
        help="a name from the list below; the recipe.json of a run repeats that run, other options "
        "override it",
    )
    _add_settings(parser)
    parser.add_argument(
        "--out", type=named_path, metavar="DIR", help="folder for the results (default: runs/NAME)"
    )
    parser.add_argument(
        "--resume",
        type=named_path,
        metavar="DIR",
        help="go on with the run in this folder, whose recipe.json says the rest",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """Declare the fields of TrainSettings; those not given stay absent, so its defaults rule."""
    _add_model(parser.add_argument_group("what is learnt", argument_default=argparse.SUPPRESS))
    _add_run(parser.add_argument_group("how", argument_default=argparse.SUPPRESS))


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--task",
        metavar="NAME",
        help="what is learnt: classify, a class for each photo; detect, boxes around things; "
        "segment, a class for each pixel; keypoints, the points of a thing, such as joints; or "
        "embed, a vector by which photos of the same person or thing are found (default: "
        "classify)",
    )
    group.add_argument(
        "--head",
        metavar="NAME",
        help="for detect, anchor_free or ssdlite; for segment, lraspp or deeplab; for embed, "
        "arcface or cosface (default: the first); the others have one each",
    )
    group.add_argument(
        "--class-agnostic",
        action="store_true",
        help="for detect, a better box suppresses those of every class, not only of its own",
    )
    group.add_argument(
        "--model",
        metavar="NAME",
        help="`mobilens info` lists them (default: mobilenet_v3_small)",
    )
    group.add_argument(
        "--width", type=positive_float, metavar="W", help="width multiplier (default: 1)"
    )
    group.add_argument("--width-rule", choices=WIDTH_RULES, help="rounding of V3 (default: paper)")
    group.add_argument(
        "--resolution",
        type=image_size,
        metavar="R|HxW",
        help="input side, or height and width, pixels (default: the paper's; detect: 320; "
        "segment: 384; keypoints: 256)",
    )
    group.add_argument(
        "--output-stride",
        type=positive_int,
        metavar="S",
        help="input size over that of the last feature, 8, 16 or 32 (default: 32; segment: 16)",
    )
    group.add_argument(
        "--reduced-tail",
        action="store_true",
        help="of V3, half as many channels after the last stride, as the paper's detectors have",
    )
    group.add_argument(
        "--weights",
        metavar="auto|none|NAME|FILE",
        help="what training begins with (default: auto, the best that can be had)",
    )


def _add_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--val-fraction",
        type=share,
        metavar="F",
        help="share of the data that is held out to measure on, where it is not divided, above 0 "
        "and below 1 (default: 0.2)",
    )
    recipe = "(default: the recipe's)"
    group.add_argument("--epochs", type=positive_int, metavar="N", help=f"epochs {recipe}")
    group.add_argument(
        "--batch-size", type=positive_int, metavar="B", help=f"images a step {recipe}"
    )
    group.add_argument(
        "--lr", type=positive_float, metavar="L", help=f"highest learning rate {recipe}"
    )
    group.add_argument("--seed", type=int, metavar="S", help="random seed (default: 0)")
    group.add_argument(
        "--minutes", type=positive_float, metavar="M", help="cut the epochs to fit into this time"
    )
    group.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, mps (default: auto, which prefers a GPU)"
    )
    group.add_argument(
        "--data-licence", metavar="TEXT", help="terms of the photos, for the model file"
    )
    group.add_argument("--offline", action="store_true", help="use no network for weights")
    group.add_argument(
        "--strict", action="store_true", help="end when a file does not decode, instead of skipping"
    )


def run(args: argparse.Namespace) -> int:
    """Train, export, prove, report."""
    from mobilens.extras import require_train_extra

    require_train_extra("training")
    settings, folder = _resumed(args) if args.resume else _fresh(args)
    delivered = run_and_deliver(settings, folder)
    if delivered is None:
        return 0
    if args.json:
        print_json(_json(delivered))
    else:
        print(_text(delivered))
    return 0


def run_and_deliver(settings: TrainSettings, folder: Path) -> Delivered | None:
    """Train and deliver; None in a process that only helps another.

    Raises:
        InterruptedRunError: Ctrl-C; the run can be resumed.
    """
    give_way()
    from mobilens.deliver import train_and_deliver
    from mobilens.errors import InterruptedRunError
    from mobilens.training.settings import SETTINGS_FILE

    try:
        return train_and_deliver(settings, folder, TerminalObserver())
    except KeyboardInterrupt:
        if not (folder / SETTINGS_FILE).is_file():
            raise
        raise InterruptedRunError(
            f"stopped; {folder} holds what is done",
            remedy=shlex.join(["mobilens", "train", "--resume", str(folder)]),
        ) from None


def _fresh(args: argparse.Namespace) -> tuple[TrainSettings, Path]:
    from mobilens.errors import UsageError
    from mobilens.training.folder import run_folder
    from mobilens.training.recipe import build_recipe
    from mobilens.training.settings import TrainSettings

    repeated = TrainSettings(source=())
    if args.recipe:
        if args.recipe.endswith(".json"):
            repeated = TrainSettings.load(Path(args.recipe)).located()
        else:
            repeated = replace(repeated, recipe=build_recipe(args.recipe))
    if not args.data and not repeated.source:
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
    settings = replace(
        repeated,
        source=tuple(args.data) or repeated.source,
        command=_command(args.words),
        directory=str(Path.cwd()),
        **_given(args),
    )
    return settings, run_folder(args.out, settings.source[0], settings.model)


def _command(words: list[str]) -> str:
    """The line that started this run, that of several processes too."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    launcher = ["torchrun", "--nproc-per-node", str(processes), "-m"] if processes > 1 else []
    return shlex.join([*launcher, "mobilens", *words])


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that options name."""
    from mobilens.training.settings import TrainSettings

    names = [field.name for field in fields(TrainSettings) if field.name != "recipe"]
    return {name: getattr(args, name) for name in names if hasattr(args, name)}


def _resumed(args: argparse.Namespace) -> tuple[TrainSettings, Path]:
    from mobilens.errors import UsageError
    from mobilens.training.folder import settings_to_resume

    others = (["--recipe"] if args.recipe else []) + [_option(name) for name in _given(args)]
    remedy = f"mobilens train --resume {args.resume}"
    if others:
        raise UsageError(
            f"--resume was given with {', '.join(others)}",
            expected="the folder, whose recipe.json says the rest",
            remedy=remedy,
        )
    settings = settings_to_resume(args.resume)
    source = settings.located().source
    # Data and folder may stand again, as in the line that began the run, if they are the same.
    for given, known in ((args.data, source), ([args.out] if args.out else [], (args.resume,))):
        if given and _places(given) != _places(known):
            raise UsageError(
                f"--resume was given with {' '.join(map(str, given))}",
                expected=f"that of the run, {' '.join(map(str, known))}, or nothing",
                remedy=remedy,
            )
    return settings, args.resume


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _places(paths: Iterable[str | Path]) -> list[Path]:
    return [Path(path).expanduser().resolve() for path in paths]


def _text(delivered: Delivered) -> str:
    from mobilens.vision.tasks import task_vision

    scores = delivered.evaluation.scores
    recipe = str(delivered.folder / "recipe.json")
    size = delivered.file.stat().st_size / 1e6
    return "\n".join(
        [
            "",
            f"{delivered.file}: {size:.1f} MB, verified: every answer is the checkpoint's",
            f"{task_vision(scores.kind).MAIN_TITLE} {scores.main.percent()} % on "
            f"{delivered.evaluation.num_images} validation images",
            f"report   {delivered.report}",
            f"predict  {shlex.join(['mobilens', 'predict', str(delivered.file), 'PHOTO.jpg'])}",
            f"repeat   {shlex.join(['mobilens', 'train', '--recipe', recipe])}",
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
        "problems": [one.message for one in delivered.findings if one.severity == "problem"],
    }
