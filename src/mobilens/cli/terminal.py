"""What the verbs share on the terminal: tables, progress, JSON."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from mobilens.observer import TerminalObserver

T = TypeVar("T")


def say(text: str = "") -> None:
    """Print a line for a person to stderr, so that stdout stays for results."""
    TerminalObserver().say(text)


def print_json(value: Any) -> None:
    """Print one JSON value to stdout."""
    print(json_text(value, indent=2))


def json_text(value: Any, indent: int | None = None) -> str:
    """Give JSON as readable as stdout's encoding allows: its escapes stand for other characters."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Align columns: numbers to the right, words to the left.

    Args:
        header: Column names.
        rows: Cells; floats are shown as they are given, so format them before.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(header, *cells, strict=True)]
    numeric = [
        bool(cells) and all(_is_number(row[index]) for row in cells) for index in range(len(header))
    ]

    def line(row: Sequence[str]) -> str:
        padded = []
        for cell, width, right in zip(row, widths, numeric, strict=True):
            space = " " * (width - _width(cell))
            padded.append(space + cell if right else cell + space)
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, cells)])


def progress(items: Iterable[T], *, total: int | None = None, label: str = "") -> Iterable[T]:
    """Show a bar with the time left on stderr, after two seconds, and only on a terminal."""
    return TerminalObserver().progress(items, total, label)


def _width(text: str) -> int:
    """Columns that a terminal needs: two for wide characters, none for accents of their own."""
    return sum(
        0 if unicodedata.combining(mark) else 1 + (unicodedata.east_asian_width(mark) in "WF")
        for mark in text
    )


def _is_number(cell: str) -> bool:
    return (bool(cell) and cell.strip().lstrip("+-")[:1].isdigit()) or cell in ("", "-")
