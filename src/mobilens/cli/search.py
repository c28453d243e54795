"""``mobilens search``: the photos of an album that are most like an image."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.album_options import add_index, add_styles, one_line
from mobilens.cli.arguments import named_path, positive_int, similarity
from mobilens.cli.odd_names import keep_odd_names
from mobilens.cli.terminal import json_text, say

if TYPE_CHECKING:
    from mobilens.album.search import SearchResult

EPILOG = """\
output, one line an image, in the order given; the image itself is left out:
  text     image: photo 0.91, photo 0.87, ...
  --json   {"path": ..., "nearest": [{"path": ..., "similarity": ...}, ...]}, or
           {"path": ..., "error": ...}
  --csv    path,nearest,similarity,error: a row for each photo, and one with empty
           cells for an image without any

The similarity of two photos is -1 to 1; from which value on they show the same
one, mobilens evaluate says for the model. The exit code is 0 when at least one
image could be read.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EPILOG
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="files, folders, patterns, or - for a list"
    )
    add_index(parser)
    parser.add_argument(
        "--model",
        type=named_path,
        metavar="FILE",
        help="the model file of the index, where it has moved (default: where it was)",
    )
    parser.add_argument(
        "--top", type=positive_int, default=5, metavar="K", help="photos shown for each image"
    )
    parser.add_argument(
        "--min-similarity",
        type=similarity,
        default=-1.0,
        metavar="S",
        help="least similarity of what is shown, -1 to 1",
    )
    add_styles(parser, "a JSON object per line")
    parser.add_argument(
        "--draw",
        type=png_path,
        metavar="FILE.png",
        help="draw a row for each image, itself first",
    )
    parser.add_argument(
        "--batch-size", type=positive_int, default=8, metavar="N", help="images answered at once"
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="threads to use (default: what the file was made for, or every core)",
    )


def png_path(text: str) -> Path:
    """Read the name of a picture that can be written.

    Raises:
        ArgumentTypeError: It is no .png file, or lies in no folder.
    """
    path = named_path(text)
    if path.suffix.lower() != ".png" or path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no .png file in a folder that exists")
    return path


def run(args: argparse.Namespace) -> int:
    """Search for one image after another; exit code 1 when none could be read."""
    from mobilens.api import search
    from mobilens.cli.image_paths import image_paths

    keep_odd_names()
    results = search(
        image_paths(args.images, sys.stdin),
        args.index,
        model=args.model,
        top=args.top,
        min_similarity=args.min_similarity,
        batch_size=args.batch_size,
        threads=args.threads,
    )
    style = _json if args.json else _csv if args.csv else _text
    read, failed, drawn = 0, 0, []
    if args.csv:
        _print_csv([["path", "nearest", "similarity", "error"]])
    for result in results:
        style(result)
        failed += result.error is not None
        read += result.error is None
        if args.draw and result.error is None:
            drawn.append(result)
    if not read and not failed:
        say("no image was given")
    if failed:
        say(f"{read:,} image{'s' * (read != 1)} searched for, {failed:,} could not be read")
    if drawn:
        _draw(args.draw, drawn)
    return 0 if read else 1


def _text(result: SearchResult) -> None:
    found = ", ".join(f"{one_line(one.path)} {one.similarity:.2f}" for one in result.nearest)
    shown = found or "nothing" if result.error is None else f"error: {result.error}"
    print(f"{one_line(result.path)}: {shown}", flush=True)


def _json(result: SearchResult) -> None:
    print(json_text(result.to_json()), flush=True)


def _csv(result: SearchResult) -> None:
    rows = [[result.path, one.path, f"{one.similarity:.6f}", ""] for one in result.nearest]
    _print_csv(rows or [[result.path, "", "", result.error or ""]])


def _print_csv(rows: Iterable[list[str]]) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerows(rows)
    sys.stdout.flush()


def _draw(path: Path, results: list[SearchResult]) -> None:
    from mobilens.album.pictures import MAX_ROWS, search_picture
    from mobilens.vision.drawing import save_png

    save_png(path, search_picture(results[:MAX_ROWS]))
    more = len(results) - MAX_ROWS
    say(f"drawn: {path}" + (f", without the last {more:,} images" if more > 0 else ""))
