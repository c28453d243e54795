"""``mobilens predict``: answer for images with a model file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from mobilens.cli.arguments import add_foreign, named_path, positive_int, share
from mobilens.cli.drawn import MASK_STYLES
from mobilens.cli.terminal import progress, say
from mobilens.errors import UsageError

if TYPE_CHECKING:
    from mobilens.cli.drawn import Drawings
    from mobilens.cli.predict_rows import Rows
    from mobilens.vision.files import FileResult
    from mobilens.vision.predictor import Predictor
    from mobilens.vision.tasks import Shown

    # Paths, and how many at once, to results.
    Answer = Callable[..., Iterable[FileResult]]

# What is shown of an answer: the option, and what a task calls it.
SHOW_OPTIONS = {"top": "--top", "min_score": "--min-score"}

EPILOG = """\
images:
  A file is tried whatever its name; in folders, and the folders in them, files
  with the suffix of an image are taken and hidden ones are not. Patterns such as
  'photos/**/*.jpg' are for the shell or, in quotes, for this command. With - a
  list of files is read from standard input, one a line.

output of a classifier, one line an image, in the order given:
  text     path: label 97.3 %, label 1.2 %, ...
  --json   {"path": ..., "label": ..., "probability": ..., "top": [{"label": ...,
           "probability": ...}, ...]}, or {"path": ..., "error": ...}
  --csv    path,label_1,probability_1,label_2,probability_2,...,error

output of a detector; boxes are left, top, right, bottom in pixels of the image:
  text     path: label 97 % at 12 40 310 288, label 41 % at ..., or nothing
  --json   {"path": ..., "objects": [{"label": ..., "score": ..., "box_xyxy":
           [...]}, ...]}, or {"path": ..., "error": ...}
  --csv    path,label,score,left,top,right,bottom,error: a row for each thing, and
           one with empty cells for an image without any

output of a segmenter: the share of the pixels of each class, the largest first
  text     path: road 41.3 %, sky 30.2 %, ...
  --json   {"path": ..., "height": ..., "width": ..., "shares": {label: 0.413,
           ...}}, or {"path": ..., "error": ...}
  --csv    path,label,share,error: a row for each class that occurs
  --masks  the class of every pixel, as PNG files of the size of the images

output of a model of keypoints, which takes an image for one thing:
  text     path: nose 97 % at 120 40, left_eye 95 % at ..., or nothing
  --json   {"path": ..., "points": [{"label": ..., "score": ..., "x": ..., "y":
           ...}, ...]}, or {"path": ..., "error": ...}
  --csv    path,label,score,x,y,error: a row for each point
  with --detector, which finds the things that are looked at:
  text     path: person 97 % at 12 40 310 288: nose 97 % at 120 40, ...; person ...
  --json   {"path": ..., "objects": [{"label": ..., "score": ..., "box_xyxy":
           [...], "points": [...]}, ...]}, or {"path": ..., "error": ...}
  --csv    path,thing,thing_score,left,top,right,bottom,label,score,x,y,error: a
           row for each point

output of a model of embeddings, a vector of length 1:
  text     path: its first numbers, and how many there are
  --json   {"path": ..., "embedding": [...]}, or {"path": ..., "error": ...}
  --csv    path,embedding,error: the numbers with blanks between them

An image that cannot be read is a line with its error. The exit code is 0 when at
least one image was answered.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EPILOG
    parser.add_argument("file", metavar="FILE", help="model file or checkpoint")
    parser.add_argument(
        "images", nargs="+", metavar="IMAGES", help="files, folders, patterns, or - for a list"
    )
    parser.add_argument(
        "--top",
        type=positive_int,
        metavar="K",
        help="of a classifier, most probable classes shown (default: 5; drawn: 3)",
    )
    parser.add_argument(
        "--min-score",
        type=share,
        metavar="S",
        help="of a detector or of keypoints, least score of what is shown, 0 to 1 (default: 0.3; "
        "keypoints: 0.2)",
    )
    parser.add_argument(
        "--detector",
        metavar="FILE",
        help="of keypoints, a model file of --task detect that finds the things, each of which is "
        "then looked at by itself; those with a score of 0.3 or more",
    )
    parser.add_argument(
        "--thing",
        action="append",
        metavar="LABEL",
        help="of what --detector finds, look at these alone; may be given several times",
    )
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="print a JSON object per line")
    style.add_argument("--csv", action="store_true", help="print CSV with a header")
    _add_pictures(parser)
    parser.add_argument(
        "--batch-size", type=positive_int, default=8, metavar="N", help="images answered at once"
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="threads to use (default: what the file was made for, or every core)",
    )
    add_foreign(parser)


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    """Options that name folders for pictures."""
    parser.add_argument(
        "--draw",
        type=named_path,
        metavar="DIR",
        help="write each image with its answer drawn into this folder, under its name; a name that "
        "is taken gets a number",
    )
    parser.add_argument(
        "--masks",
        type=named_path,
        metavar="DIR",
        help="of a segmenter, write the class of every pixel into this folder, a PNG file for each "
        "image, named likewise, and the classes' names as classes.txt",
    )
    parser.add_argument(
        "--mask-style",
        choices=MASK_STYLES,
        help="palette: values are the numbers of classes, shown in their colours, as train reads "
        "them (default); alpha: of two classes, how probable the second is, black to white",
    )
    parser.add_argument(
        "--cutout",
        type=named_path,
        metavar="DIR",
        help="of a segmenter, write each image without its background, the first class, into this "
        "folder as PNG; of two classes edges are soft",
    )


def run(args: argparse.Namespace) -> int:
    """Answer the images one after another; exit code 1 when none could be."""
    from mobilens.cli.drawn import Drawings
    from mobilens.cli.image_paths import image_paths
    from mobilens.cli.odd_names import keep_odd_names
    from mobilens.cli.predict_rows import Rows
    from mobilens.model import open_predictor

    keep_odd_names()
    predictor = open_predictor(
        args.file, threads=args.threads, preprocess=args.preprocess, labels=args.labels
    )
    task = predictor.task
    answer, vision = _answering(args, predictor)
    show = _show(args, vision, task.kind)
    drawings = Drawings(args, task, vision, show)
    paths = drawings.others(image_paths(args.images, sys.stdin))
    results = answer(paths, batch_size=args.batch_size, threads=args.threads)
    rows = Rows("json" if args.json else "csv" if args.csv else "text", task, vision, show)
    answered, failed = _print_rows(results, rows, drawings)
    if not answered and not failed:
        say("no image was given")
    if failed:
        say(f"{answered:,} image{'s' * (answered != 1)} answered, {failed:,} could not be read")
    for line in drawings.lines():
        say(line)
    return 0 if answered else 1


def _answering(args: argparse.Namespace, predictor: Predictor) -> tuple[Answer, Shown]:
    """What answers for files, and how its answers are shown.

    Raises:
        UsageError: A detector beside a model that does not look at things, or something else
            beside one that does.
    """
    from mobilens.vision.files import predict_files
    from mobilens.vision.tasks import task_vision

    vision = task_vision(predictor.task.kind)
    if not args.detector:
        if args.thing:
            raise UsageError(
                f"--thing {args.thing[0]} without --detector: no things are looked for",
                expected="--detector FILE beside it",
            )
        return partial(predict_files, predictor), vision
    from mobilens.model import open_predictor
    from mobilens.vision import top_down

    if vision.LABELS != "points":
        raise UsageError(
            f"--detector means nothing to {args.file}, whose task is {predictor.task.kind!r}",
            expected="a model of keypoints, which looks at one thing after another",
            remedy="leave it out",
        )
    detector = open_predictor(args.detector, threads=args.threads)
    if task_vision(detector.task.kind).LABELS != "boxes":
        raise UsageError(
            f"--detector {args.detector} answers no boxes: its task is {detector.task.kind!r}",
            expected="a model file or checkpoint of train --task detect",
        )
    return partial(top_down.predict_points, detector, predictor, things=args.thing or ()), top_down


def _show(args: argparse.Namespace, vision: Shown, kind: str) -> dict[str, Any]:
    """How much of each answer is shown, as far as options say it.

    Raises:
        UsageError: One of them means nothing to the task.
    """
    given = {name: getattr(args, name) for name in SHOW_OPTIONS}
    show = {name: value for name, value in given.items() if value is not None}
    for name in show:
        if name not in vision.SHOW_OPTIONS:
            options = [SHOW_OPTIONS[one] for one in vision.SHOW_OPTIONS if one in SHOW_OPTIONS]
            raise UsageError(
                f"{SHOW_OPTIONS[name]} means nothing to {args.file}, whose task is {kind!r}",
                expected=" or ".join(options) or f"none of {', '.join(SHOW_OPTIONS.values())}",
                remedy="leave it out",
            )
    return show


def _print_rows(results: Iterable[FileResult], rows: Rows, drawings: Drawings) -> tuple[int, int]:
    """Print and draw every result; the counts of those answered and those that failed."""
    answered = failed = 0
    for line in rows.header():
        print(line)
    # On one terminal, a bar and the rows would write over each other.
    shown = results if sys.stdout.isatty() else progress(results, label="predict")
    for result in shown:
        for line in rows.of(result):
            print(line, flush=True)
        drawings.write(result)
        failed += result.prediction is None
        answered += result.prediction is not None
    return answered, failed
