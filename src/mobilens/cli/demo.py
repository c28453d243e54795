"""``mobilens demo``: the whole way, on digits that ship inside."""

from __future__ import annotations

import argparse
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.arguments import named_path, positive_int
from mobilens.cli.terminal import say, table

if TYPE_CHECKING:
    from mobilens.deliver import Delivered
    from mobilens.training.recipe import Recipe

SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--out", type=named_path, metavar="DIR", help="folder for the results (default: runs/demo)"
    )
    parser.add_argument(
        "--task",
        default="classify",
        metavar="NAME",
        help="classify, detect, segment, keypoints or embed (default: classify)",
    )
    parser.add_argument(
        "--epochs", type=positive_int, metavar="N", help="epochs of training (default: the task's)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the digits, train, export, verify, predict, and say how to do it with own photos."""
    from mobilens.extras import require_train_extra

    require_train_extra("the demo")
    from mobilens.cli.train import run_and_deliver
    from mobilens.demo.scenes import DEMOS
    from mobilens.errors import UnknownNameError
    from mobilens.runtime.verify import verify_bundle
    from mobilens.training.settings import TrainSettings
    from mobilens.vision.tasks import task_vision

    if args.task not in DEMOS:
        raise UnknownNameError.among("demo", args.task, DEMOS)
    demo = DEMOS[args.task]
    started = time.monotonic()
    folder = _new_folder(args.out)
    photos = folder / "digits"
    count = demo.write(photos)
    say(f"{count} {demo.what} (UCI, CC BY 4.0; scans of 8x8 pixels, enlarged): {photos}")
    settings = TrainSettings(
        source=(str(photos),),
        task=args.task,
        recipe=_recipe(args.task, args.epochs or demo.epochs, demo.lr),
        width=0.5,
        resolution=demo.resolution,
        weights="none",
        data_licence="CC BY 4.0 (handwritten digits: E. Alpaydin and C. Kaynak, UCI, 1998)",
        command=shlex.join(["mobilens", *args.words]),
        directory=str(Path.cwd()),
    )
    delivered = run_and_deliver(settings, folder)
    assert delivered is not None
    verify_bundle(delivered.file)
    say(f"verified {delivered.file}: {delivered.file.stat().st_size / 1e6:.1f} MB")
    print(_answers(delivered))
    scores = delivered.evaluation.scores
    print(
        f"\n{task_vision(scores.kind).MAIN_TITLE} {scores.main.percent()} % on "
        f"{delivered.evaluation.num_images} {demo.what} that it did not learn from, "
        f"{time.monotonic() - started:.0f} s in all\n"
        f"report: {delivered.report}\n\n{demo.own}"
    )
    return 0


def _new_folder(out: Path | None) -> Path:
    """A folder that holds nothing yet: the demo never writes into another run."""
    from mobilens.errors import UsageError
    from mobilens.training.folder import free_folder

    if out is None:
        return free_folder(Path("runs/demo"))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already", expected="a new or an empty folder for --out")
    return out


def _recipe(task: str, epochs: int, lr: float) -> Recipe:
    from mobilens.training.augment import Augmentation
    from mobilens.training.recipe import Recipe, default_recipe

    # Digits have a right way up: no flips, no colours, crops that lose little.
    gentle = Augmentation(crop_scale=(0.7, 1.0), flip=False, policy="none")
    if task == "classify":
        return Recipe("digits", epochs, batch_size=64, lr=lr, ema_epochs=1, augmentation=gentle)
    usual = default_recipe(task, "", has_weights=False).with_epochs(epochs)
    plain = replace(
        usual.augmentation, flip=False, policy="none", mosaic=0.0, jitter_scale=(0.7, 1.3)
    )
    return replace(usual, name="digits", lr=lr, augmentation=plain)


def _answers(delivered: Delivered) -> str:
    """What the file says of a few images, from the first to the last."""
    from mobilens.evaluation import dataset_name
    from mobilens.vision.tasks import task_vision

    evaluation = delivered.evaluation
    vision = task_vision(evaluation.scores.kind)
    step = max(1, evaluation.num_images // SHOWN)
    wrong = {id(one.sample): one.mistake for one in evaluation.wrong}
    rows = []
    for sample, prediction in list(zip(evaluation.samples, evaluation.predictions, strict=True))[
        ::step
    ][:SHOWN]:
        mistake = wrong.get(id(sample))
        name = f"{dataset_name(evaluation.dataset)}/{evaluation.dataset.name_of(sample)}"
        rows.append(
            (name, vision.text(prediction), vision.WORDS.truth_of(mistake) if mistake else "")
        )
    return table(("image", "answer", ""), rows)
