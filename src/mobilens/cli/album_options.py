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


def one_line(name: str) -> str:
    """Write a name, which may hold any character, in a line."""
    return name.replace("\n", "\\n").replace("\r", "\\r")
