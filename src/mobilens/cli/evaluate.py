"""``mobilens evaluate``: measure a checkpoint or a model file on a data set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.arguments import add_foreign, positive_int
from mobilens.cli.terminal import print_json, say, table
from mobilens.errors import UsageError
from mobilens.observer import TerminalObserver

if TYPE_CHECKING:
    from mobilens.evaluation import Evaluation
    from mobilens.vision.drawing import Tile

GRID_PICTURES, GRID_SIDE = 24, 240
# Of a task that draws on them, pictures are larger.
DRAWN_PICTURES = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", metavar="MODEL", help="model file or checkpoint")
    parser.add_argument(
        "data",
        nargs="+",
        metavar="DATA",
        help="folder of class folders, CSV file, or patterns; for boxes Pascal VOC, COCO or YOLO",
    )
    parser.add_argument(
        "--split", default="val", choices=("val", "train", "test", "all"), help="part to measure on"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--grid", type=Path, metavar="FILE.png", help="write the worst mistakes as a picture"
    )
    parser.add_argument(
        "--batch-size", type=positive_int, default=32, metavar="N", help="images answered at once"
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="threads to use (default: one for each core)",
    )
    add_foreign(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print, and draw the worst mistakes if asked."""
    from mobilens.api import evaluate

    if args.grid and (
        args.grid.suffix.lower() != ".png"
        or args.grid.is_dir()
        or not args.grid.absolute().parent.is_dir()
    ):
        raise UsageError(
            f"--grid {args.grid} cannot be written",
            expected="a .png file in a folder that exists",
        )
    evaluation = evaluate(
        args.model,
        args.data,
        split=args.split,
        batch_size=args.batch_size,
        threads=args.threads,
        preprocess=args.preprocess,
        labels=args.labels,
        observer=TerminalObserver(),
    )
    if args.grid:
        _write_grid(args.grid, evaluation)
    if args.json:
        print_json(evaluation.to_json())
    else:
        print(_text(args.model, evaluation))
    return 0


def _text(model: str, evaluation: Evaluation) -> str:
    from mobilens.evaluation import dataset_name
    from mobilens.vision.tasks import task_vision

    data = evaluation.dataset
    parts = [f"{model} on {dataset_name(data)} ({data.split}), {evaluation.seconds:.1f} s"]
    for one in evaluation.scores.tables():
        parts.append(f"{one.title}\n{table(one.header, one.rows)}")
    if evaluation.wrong:
        rows = [
            (one.path, one.mistake.expected, one.mistake.answered, f"{one.mistake.severity:.2f}")
            for one in evaluation.wrong[:10]
        ]
        words = task_vision(evaluation.scores.kind).WORDS
        header = ("file", "truth", "answered", words.severity)
        parts.append(f"Worst of {len(evaluation.wrong):,} mistakes\n{table(header, rows)}")
    if evaluation.skipped:
        rows_skipped = [(file.path, file.reason) for file in evaluation.skipped]
        parts.append(
            f"Skipped, {len(evaluation.skipped):,} unreadable\n"
            + table(("file", "reason"), rows_skipped)
        )
    return "\n\n".join(parts)


def _write_grid(path: Path, evaluation: Evaluation) -> None:
    from mobilens.vision.drawing import picture_grid, save_png
    from mobilens.vision.tasks import task_vision

    vision = task_vision(evaluation.scores.kind)
    tiles = _worst_tiles(evaluation)
    if not tiles:
        say(f"no mistakes to draw: {path} is not written")
        return
    columns, side = 6 if len(tiles) > 12 else 4, vision.MISTAKE_SIDE or GRID_SIDE
    save_png(path, picture_grid(tiles, columns=columns, side=side))
    say(f"the {len(tiles)} worst of {len(evaluation.wrong):,} mistakes: {path}")
    if legend := vision.WORDS.legend():
        say(f"in it, {legend}")


def _worst_tiles(evaluation: Evaluation) -> list[Tile]:
    from mobilens.vision.drawing import GREY, INK, RED, Tile
    from mobilens.vision.pictures import mistake_picture
    from mobilens.vision.tasks import task_vision

    vision = task_vision(evaluation.scores.kind)
    words = vision.WORDS
    shown = GRID_PICTURES if vision.MISTAKE_SIDE is None else DRAWN_PICTURES
    return [
        Tile(
            mistake_picture(vision, one.sample.path, one.prediction, one.sample.target, GRID_SIDE),
            (
                (f"{words.answer_of(one.mistake)}  {words.severity_of(one.mistake)}", RED),
                (words.truth_of(one.mistake), INK),
                (Path(one.path).name, GREY),
            ),
        )
        for one in evaluation.wrong[:shown]
    ]
