"""Options that the verbs of albums share."""

from __future__ import annotations

import argparse

from mobilens.cli.arguments import named_path


def add_index(parser: argparse.ArgumentParser) -> None:
    """Declare the album that is asked."""
    parser.add_argument(
        "--index",
        type=named_path,
        required=True,
        metavar="DIR",
        help="the folder that mobilens index wrote",
    )


def add_styles(parser: argparse.ArgumentParser, as_json: str) -> None:
    """Declare what is printed.

    Args:
        parser: Of the verb.
        as_json: What ``--json`` prints.
    """
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help=f"print {as_json}")
    style.add_argument("--csv", action="store_true", help="print CSV with a header")


def similarity(text: str) -> float:
    """Read a number from -1 to 1.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -2.0
    if not -1 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from -1 to 1")
    return value


def one_line(name: str) -> str:
    """Write a name, which may hold any character, in a line."""
    return name.replace("\n", "\\n").replace("\r", "\\r")
