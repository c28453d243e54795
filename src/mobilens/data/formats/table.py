"""Tables that name files: what formats of CSV share, whatever else their columns say.

Comma, semicolon or tab; UTF-8 with or without a byte order mark. Columns are found by their names.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mobilens.data.listing import SPLIT_NAMES, Split, some, split_named
from mobilens.errors import DataError

SUFFIXES = (".csv", ".tsv", ".txt")
PATH_COLUMNS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path"),
    *("image", "image_path", "image_name"),
)
SPLIT_COLUMNS = ("split", "subset", "fold")
DELIMITERS = (",", ";", "\t")


def is_table(arguments: tuple[str, ...]) -> bool:
    """Whether the source is one file of a suffix that tables have."""
    if len(arguments) != 1:
        return False
    path = Path(arguments[0]).expanduser()
    return path.suffix.lower() in SUFFIXES and path.is_file()


def lines_of(table: Path) -> list[str]:
    """Read a table's lines, with their ends.

    Raises:
        DataError: It is not UTF-8; the message names the line.
    """
    data = table.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"line {line} of {table} is not UTF-8 text",
            expected="a CSV file in UTF-8",
            remedy="save it as 'CSV UTF-8'",
        ) from None
    return list(io.StringIO(text, newline=""))


def cells_of(line: str, delimiter: str) -> list[str]:
    """Divide the first line of a table."""
    cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    return [cell.strip() for cell in cells]


def column_of(known: Sequence[str], cells: Sequence[str]) -> int | None:
    """Find the column that has the first of the known names; case does not count."""
    names = [cell.casefold() for cell in cells]
    return next((names.index(name) for name in known if name in names), None)


def rows_of(
    table: Path, lines: Sequence[str], delimiter: str, needed: int, *, has_header: bool = True
) -> Iterator[tuple[str, list[str]]]:
    """Divide the rows of a table; empty ones are passed over.

    Args:
        table: For messages.
        lines: All of it.
        delimiter: Between cells.
        needed: How many columns a row has at least.
        has_header: Whether the first line names the columns.

    Yields:
        Where a row stands, for messages, and its cells.

    Raises:
        DataError: A row has fewer columns, or cannot be read; the message names the line.
    """
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for index, cells in enumerate(reader):
            if (has_header and index == 0) or not any(map(str.strip, cells)):
                continue
            where = f"line {reader.line_num} of {table}"
            if len(cells) < needed:
                raise DataError(f"{where} has {len(cells)} columns", expected=f"{needed} or more")
            yield where, cells
    except csv.Error as error:
        raise DataError(f"line {reader.line_num} of {table} cannot be read: {error}") from None


def split_of(where: str, cells: Sequence[str], column: int | None) -> Split | None:
    """Read which part of the data a row belongs to; None where no column says so.

    Raises:
        DataError: It is the name of none.
    """
    if column is None:
        return None
    split = split_named(cells[column])
    if split is None:
        known = ", ".join(name for names in SPLIT_NAMES.values() for name in names)
        raise DataError(f"{where} has the split {cells[column]!r}", expected=f"one of {known}")
    return split


def locate(folders: Sequence[Path], name: str) -> tuple[Path, bool]:
    """Find a file that a table names.

    Args:
        folders: Where names start unless they are absolute, the likeliest first.
        name: As it stands.

    Returns:
        Its path, in the first folder where it is in none, and whether it exists.
    """
    # Tables written on Windows keep its backslashes.
    other = name.replace("\\", "/") if os.sep == "/" else name
    for folder in folders:
        for path in (folder / name, folder / other):
            with contextlib.suppress(OSError):  # a name that is too long
                if path.exists():
                    return path, True
    return folders[0] / name, False


def of_missing(
    table: Path, total: int, missing: Sequence[str], folders: Sequence[Path]
) -> list[str]:
    """Say in a sentence, or in none, which files a table names in vain.

    Args:
        table: Names them.
        total: How many files it names.
        missing: Those that do not exist, by their names there.
        folders: Where names start.

    Raises:
        DataError: None exists.
    """
    if total and len(missing) >= total:
        places = " or ".join(map(str, folders))
        raise DataError(
            f"none of the {total} files that {table} names exists, such as {missing[0][:100]}",
            expected=f"absolute paths, or paths that start at {places}",
        )
    if not missing:
        return []
    shown = some([name[:100] for name in missing])
    return [f"{len(missing)} files that {table.name} names do not exist: {shown}"]
