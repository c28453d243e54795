"""What the verbs share on the terminal: tables, progress, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from mobilens.observer import TerminalObserver

T = TypeVar("T")


def say(text: str = "") -> None:
    """Print a line for a person to stderr, so that stdout stays for results."""
    TerminalObserver().say(text)


def print_json(value: Any) -> None:
    """Print one JSON value to stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Align columns: numbers to the right, words to the left.

    Args:
        header: Column names.
        rows: Cells; floats are shown as they are given, so format them before.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    numeric = [
        bool(cells) and all(_is_number(row[index]) for row in cells) for index in range(len(header))
    ]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, cells)])


def progress(items: Iterable[T], *, total: int | None = None, label: str = "") -> Iterable[T]:
    """Show a bar with the time left on stderr, after two seconds, and only on a terminal."""
    return TerminalObserver().progress(items, total, label)


def _is_number(cell: str) -> bool:
    return (bool(cell) and cell.strip().lstrip("+-")[:1].isdigit()) or cell in ("", "-")
