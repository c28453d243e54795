"""``mobilens demo``: the whole way, on digits that ship inside."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.arguments import named_path, positive_int
from mobilens.cli.terminal import say, table

if TYPE_CHECKING:
    from mobilens.training.recipe import Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--out", type=named_path, metavar="DIR", help="folder for the results (default: runs/demo)"
    )
    parser.add_argument(
        "--epochs", type=positive_int, default=12, metavar="N", help="epochs of training"
    )


def run(args: argparse.Namespace) -> int:
    """Write the digits, train, export, verify, predict, and say how to do it with own photos."""
    from mobilens.extras import require_train_extra

    require_train_extra("the demo")
    from mobilens.cli.train import run_and_deliver
    from mobilens.demo import write_photos
    from mobilens.runtime.verify import verify_bundle
    from mobilens.training.settings import TrainSettings
    from mobilens.vision.tasks import task_vision

    started = time.monotonic()
    folder = _new_folder(args.out)
    photos = folder / "digits"
    count = write_photos(photos)
    say(f"{count} handwritten digits (UCI, CC BY 4.0; scans of 8x8 pixels, enlarged): {photos}")
    settings = TrainSettings(
        source=(str(photos),),
        recipe=_recipe(args.epochs),
        width=0.5,
        resolution=64,
        weights="none",
        data_licence="CC BY 4.0 (handwritten digits: E. Alpaydin and C. Kaynak, UCI, 1998)",
        command=shlex.join(["mobilens", *args.words]),
        directory=str(Path.cwd()),
    )
    delivered = run_and_deliver(settings, folder)
    assert delivered is not None
    verify_bundle(delivered.file)
    say(f"verified {delivered.file}: {delivered.file.stat().st_size / 1e6:.1f} MB")
    print(_answers(delivered.file, photos))
    scores = delivered.evaluation.scores
    print(
        f"\n{task_vision(scores.kind).MAIN_TITLE} {scores.main.percent()} % on "
        f"{delivered.evaluation.num_images} digits that it did not learn from, "
        f"{time.monotonic() - started:.0f} s in all\n"
        f"report: {delivered.report}\n\n"
        "the same for your photos, one folder for each class:\n"
        "  mobilens train PHOTOS"
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


def _recipe(epochs: int) -> Recipe:
    from mobilens.training.augment import Augmentation
    from mobilens.training.recipe import Recipe

    # Digits have a right way up: no flips, no colours, crops that lose little.
    gentle = Augmentation(crop_scale=(0.7, 1.0), flip=False, policy="none")
    return Recipe("digits", epochs, batch_size=64, lr=4e-3, ema_epochs=1, augmentation=gentle)


def _answers(file: Path, photos: Path) -> str:
    """What the file says of the first digit of every class."""
    from mobilens.runtime.predictor import load_predictor
    from mobilens.vision.classification import ClassificationPrediction
    from mobilens.vision.files import predict_files

    paths = [sorted(folder.iterdir())[0] for folder in sorted((photos / "validation").iterdir())]
    rows = []
    for result in predict_files(load_predictor(file), paths):
        assert isinstance(result.prediction, ClassificationPrediction)
        name = Path(result.path).relative_to(photos / "validation").as_posix()
        label, confidence = result.prediction.label, result.prediction.confidence
        remark = "" if label == Path(result.path).parent.name else "wrong"
        rows.append((name, label, f"{confidence:.3f}", remark))
    return table(("digit", "answer", "probability", ""), rows)
