"""``mobilens index``: photos to an album that can be searched."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.cli.album_options import one_line
from mobilens.cli.arguments import named_path, positive_int
from mobilens.cli.odd_names import keep_odd_names
from mobilens.cli.terminal import print_json, say
from mobilens.observer import TerminalObserver

if TYPE_CHECKING:
    from mobilens.album.index import IndexReport

SUFFIX = ".index"

EPILOG = """\
photos:
  Files, folders with the folders in them, patterns, or - for a list, as for
  predict. The index then holds these photos and no others: run again, only those
  that are new or whose content has changed are answered, and those that are gone
  are dropped.

the index:
  A folder with the vectors of the photos and, in index.json, their names and
  hashes. Without --out it lies in the current folder under the name of the first
  of PHOTOS: album.index for the folder album. It names photos and model by their way from
  there, so all may move together. Vectors of two models cannot be compared: an
  index that another model file made is refused.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EPILOG
    parser.add_argument(
        "photos", nargs="+", metavar="PHOTOS", help="files, folders, patterns, or - for a list"
    )
    parser.add_argument(
        "--model",
        type=named_path,
        required=True,
        metavar="FILE",
        help="model file or checkpoint of the task embed",
    )
    parser.add_argument(
        "--out",
        type=named_path,
        metavar="DIR",
        help="the index, new or from before (default: PHOTOS.index in the current folder)",
    )
    parser.add_argument(
        "--batch-size", type=positive_int, default=8, metavar="N", help="photos answered at once"
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="threads to use (default: what the file was made for, or every core)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON: counts, and what is skipped"
    )


def run(args: argparse.Namespace) -> int:
    """Index the photos and say what became of them."""
    from mobilens.api import index
    from mobilens.cli.image_paths import image_paths

    keep_odd_names()
    report = index(
        image_paths(args.photos, sys.stdin),
        args.model,
        args.out or default_folder(args.photos[0]),
        batch_size=args.batch_size,
        threads=args.threads,
        observer=TerminalObserver(),
    )
    for one in report.skipped:
        say(f"{one_line(one.path)}: error: {one.reason}")
    if args.json:
        print_json(report.to_json())
    else:
        print(_text(report))
    return 0


def default_folder(first: str) -> Path:
    """Name the index after a folder of photos; after nothing where there is none."""
    path = Path(first)
    # The name of "." and ".." is that of the folder itself.
    name = path.resolve().name if path.is_dir() else ""
    return Path(f"{name or 'photos'}{SUFFIX}")


def _text(report: IndexReport) -> str:
    counts = [
        f"{report.answered:,} answered",
        f"{report.dropped:,} dropped",
        f"{len(report.skipped):,} could not be read",
    ]
    return (
        f"{report.folder}: {report.photos:,} photos, {report.dimension:,} numbers each\n"
        f"  {', '.join(counts)}\n"
        f"  try: mobilens search IMAGE --index {report.folder}"
    )
