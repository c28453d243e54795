"""``mobilens groups``: photos of an album that belong together."""

from __future__ import annotations

import argparse
import csv
import sys
from typing import TYPE_CHECKING

from mobilens.cli.album_options import add_index, add_styles, one_line
from mobilens.cli.arguments import similarity
from mobilens.cli.odd_names import keep_odd_names
from mobilens.cli.terminal import print_json
from mobilens.observer import TerminalObserver

if TYPE_CHECKING:
    from mobilens.album.groups import Grouping

ORIGINS = {"given": "as asked", "model": "as the model file states", "default": "by default"}

EPILOG = """\
groups:
  Two groups become one while their photos are similar enough in the mean of all
  pairs (average linkage), so people who are a little like each other do not chain
  into one group. How similar is said by --min-similarity, else by the model file
  (from where on two photos show the same one), else it is 0.5.

duplicates:
  Pictures that were saved again, resized, toned, mirrored or slightly cropped:
  photos with a similarity of 0.9 or more are compared by their pictures, as check
  does it. The photos must lie where they were.

output; the largest group first, in a group the most typical photo:
  text     a line with the number of photos, then a line for each photo
  --json   {"min_similarity": ..., "groups": [{"photos": [...], "similarity":
           ...}, ...], "alone": [...]}; a group's similarity is the mean of all pairs
  --csv    group,path: a row for each photo; 0 for those in no group
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EPILOG
    add_index(parser)
    parser.add_argument(
        "--min-similarity",
        type=similarity,
        metavar="S",
        help="how similar photos of a group are, -1 to 1 (default: what the model file states, or "
        "0.5; 0.9 with --duplicates)",
    )
    parser.add_argument(
        "--duplicates", action="store_true", help="find photos that are nearly the same"
    )
    add_styles(parser, "one JSON object")


def run(args: argparse.Namespace) -> int:
    """Group the photos and print them."""
    from mobilens.api import groups

    keep_odd_names()
    grouping = groups(
        args.index,
        min_similarity=args.min_similarity,
        duplicates=args.duplicates,
        observer=TerminalObserver(),
    )
    if args.json:
        print_json(grouping.to_json())
    elif args.csv:
        _print_csv(grouping)
    else:
        print(_text(grouping))
    return 0


def _print_csv(grouping: Grouping) -> None:
    rows = [
        (number, path)
        for number, group in enumerate(grouping.groups, start=1)
        for path in group.photos
    ]
    alone = [(0, path) for path in grouping.alone]
    csv.writer(sys.stdout, lineterminator="\n").writerows([("group", "path"), *rows, *alone])


def _text(grouping: Grouping) -> str:
    lines = [
        f"{len(grouping.groups):,} group{'s' * (len(grouping.groups) != 1)}, "
        f"{len(grouping.alone):,} photo{'s' * (len(grouping.alone) != 1)} in none; similarity of "
        f"at least {grouping.min_similarity:.2f}, {ORIGINS[grouping.origin]}"
    ]
    for number, group in enumerate(grouping.groups, start=1):
        lines.append(
            f"\ngroup {number}: {len(group.photos):,} photos, similar {group.similarity:.2f}"
        )
        lines += [f"  {one_line(path)}" for path in group.photos]
    return "\n".join(lines)
