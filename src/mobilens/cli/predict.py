"""``mobilens predict``: label images with a model file."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mobilens.cli.arguments import add_foreign, positive_int
from mobilens.cli.terminal import json_text, progress, say

if TYPE_CHECKING:
    from mobilens.vision.files import FileResult

Answer = dict[str, Any]

EPILOG = """\
images:
  A file is tried whatever its name; in folders, and the folders in them, files
  with the suffix of an image are taken and hidden ones are not. Patterns such as
  'photos/**/*.jpg' are for the shell or, in quotes, for this command. With - a
  list of files is read from standard input, one a line.

output, one line an image, in the order given:
  text     path: label 97.3 %, label 1.2 %, ...
  --json   {"path": ..., "label": ..., "probability": ..., "top": [{"label": ...,
           "probability": ...}, ...]}, or {"path": ..., "error": ...}
  --csv    path,label_1,probability_1,label_2,probability_2,...,error

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
        "--top", type=positive_int, default=5, metavar="K", help="most probable classes shown"
    )
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="print a JSON object per line")
    style.add_argument("--csv", action="store_true", help="print CSV with a header")
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


def run(args: argparse.Namespace) -> int:
    """Answer the images one after another; exit code 1 when none could be."""
    from mobilens.cli.image_paths import image_paths
    from mobilens.model import open_predictor
    from mobilens.vision.files import predict_files

    _keep_odd_names()
    predictor = open_predictor(
        args.file, threads=args.threads, preprocess=args.preprocess, labels=args.labels
    )
    results = predict_files(
        predictor,
        image_paths(args.images, sys.stdin),
        batch_size=args.batch_size,
        threads=args.threads,
    )
    classes = min(args.top, len(predictor.task.class_names))
    if args.csv:
        print(_csv_line(_csv_header(classes)))
    style = _csv_row(classes) if args.csv else _json_row if args.json else _text_row
    answered, failed = _print_rows(results, style, args.top)
    if not answered and not failed:
        say("no image was given")
    if failed:
        say(f"{answered:,} image{'s' * (answered != 1)} answered, {failed:,} could not be read")
    return 0 if answered else 1


def _print_rows(
    results: Iterable[FileResult], style: Callable[[str, Answer], str], top: int
) -> tuple[int, int]:
    """Print every result; the counts of those answered and those that failed."""
    answered = failed = 0
    # On one terminal, a bar and the rows would write over each other.
    shown = results if sys.stdout.isatty() else progress(results, label="predict")
    for result in shown:
        answer = _answer(result, top)
        print(style(result.path, answer), flush=True)
        failed += "error" in answer
        answered += "error" not in answer
    return answered, failed


def _answer(result: FileResult, top: int) -> Answer:
    from mobilens.vision.classification import ClassificationPrediction

    if result.prediction is None:
        return {"error": " ".join((result.error or "").split())}
    if isinstance(result.prediction, ClassificationPrediction):
        return result.prediction.to_json(top)
    return dict(result.prediction.to_json())


def _text_row(path: str, answer: Answer) -> str:
    # A name may hold any character, and a row is one line.
    path = path.replace("\n", "\\n").replace("\r", "\\r")
    if "error" in answer:
        return f"{path}: error: {answer['error']}"
    if "top" not in answer:
        return f"{path}: {json.dumps(answer, ensure_ascii=False)}"
    shown = (f"{one['label']} {100 * one['probability']:.1f} %" for one in answer["top"])
    return f"{path}: {', '.join(shown)}"


def _json_row(path: str, answer: Answer) -> str:
    return json_text({"path": path} | answer)


def _csv_header(classes: int) -> list[str]:
    names = [f"{name}_{i}" for i in range(1, classes + 1) for name in ("label", "probability")]
    return ["path", *names, "error"]


def _csv_row(classes: int) -> Callable[[str, Answer], str]:
    def row(path: str, answer: Answer) -> str:
        cells = []
        for one in answer.get("top", ()):
            cells += [one["label"], f"{one['probability']:.6g}"]
        cells += [""] * (2 * classes - len(cells))
        return _csv_line([path, *cells, answer.get("error", "")])

    return row


def _csv_line(cells: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().removesuffix("\n")


def _keep_odd_names() -> None:
    """Let names of files that are not text pass through unchanged, from stdin and to stdout."""
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
