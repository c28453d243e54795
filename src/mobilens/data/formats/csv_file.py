"""CSV: a path and a label column, and a split column if there is one.

Comma, semicolon or tab; UTF-8 with or without a byte order mark. Columns are found by their names;
without a header, the first column is the path and the second the label. Paths start at the CSV
file's own folder unless they are absolute.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mobilens.data.files import has_image_suffix
from mobilens.data.listing import SPLIT_NAMES, Listing, Part, Split, some, split_named
from mobilens.data.names import clean_name
from mobilens.errors import DataError

PATH_COLUMNS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path"),
    *("image", "image_path", "image_name"),
)
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target")
SPLIT_COLUMNS = ("split", "subset", "fold")
DELIMITERS = (",", ";", "\t")

EXPECTED = (
    f"a header with a path column ({', '.join(PATH_COLUMNS)}) and a label column "
    f"({', '.join(LABEL_COLUMNS)})"
)


@dataclass(frozen=True)
class _Columns:
    delimiter: str
    path: int
    label: int
    split: int | None
    has_header: bool


def recognises(arguments: tuple[str, ...]) -> bool:
    """Whether the source is one file of a suffix that tables have."""
    if len(arguments) != 1:
        return False
    path = Path(arguments[0]).expanduser()
    return path.suffix.lower() in (".csv", ".tsv", ".txt") and path.is_file()


def read(arguments: tuple[str, ...]) -> Listing:
    """List the files that the rows name; those that do not exist are listed and noted.

    Raises:
        DataError: The file is no table with the columns needed, a row is incomplete, or none of
            the files exists; the message names the line.
    """
    table = Path(arguments[0]).expanduser()
    lines = _lines(table)
    columns = _find_columns(table, lines[0] if lines else "")
    grouped: dict[Split | None, dict[tuple[Path, str], None]] = defaultdict(dict)
    missing, repeated = [], 0
    for name, label, split in _rows(table, lines, columns):
        path, exists = _locate(table.parent, name)
        if (path, label) in grouped[split]:
            repeated += 1
            continue
        grouped[split][path, label] = None
        if not exists:
            missing.append(name)
    total = sum(map(len, grouped.values()))
    if not total:
        raise DataError(f"{table} names no images", expected=EXPECTED + " and a row per image")
    if len(missing) >= total:
        raise DataError(
            f"none of the {total} files that {table} names exists, such as {missing[0][:100]}",
            expected=f"absolute paths, or paths that start at {table.parent}",
        )
    notes = []
    if missing:
        shown = some([name[:100] for name in missing])
        notes.append(f"{len(missing)} files that {table.name} names do not exist: {shown}")
    if repeated:
        notes.append(f"{repeated} rows of {table.name} repeat an earlier one and count once")
    parts = tuple(
        Part(split, table.parent, tuple(grouped[split]))
        for split in (None, *SPLIT_NAMES)
        if split in grouped
    )
    return Listing(str(table), parts, tuple(notes))


def _lines(table: Path) -> list[str]:
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


def _find_columns(table: Path, first_line: str) -> _Columns:
    for delimiter in DELIMITERS:
        cells = next(csv.reader([first_line], delimiter=delimiter, skipinitialspace=True), [])
        names = [cell.strip().casefold() for cell in cells]
        path, label, split = (
            next((names.index(name) for name in known if name in names), None)
            for known in (PATH_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS)
        )
        if path is not None and label is not None:
            return _Columns(delimiter, path, label, split, has_header=True)
        if len(cells) == 2 and has_image_suffix(cells[0].strip()):
            return _Columns(delimiter, 0, 1, None, has_header=False)
    raise DataError(f"line 1 of {table} is {first_line.strip()!r}", expected=EXPECTED)


def _rows(
    table: Path, lines: list[str], columns: _Columns
) -> Iterator[tuple[str, str, Split | None]]:
    """Path, label and split of each row, checked."""
    reader = csv.reader(lines, delimiter=columns.delimiter, skipinitialspace=True, strict=True)
    needed = max(columns.path, columns.label, columns.split or 0)
    try:
        for index, cells in enumerate(reader):
            if (columns.has_header and index == 0) or not any(map(str.strip, cells)):
                continue
            where = f"line {reader.line_num} of {table}"
            if len(cells) <= needed:
                raise DataError(
                    f"{where} has {len(cells)} columns", expected=f"{needed + 1} or more"
                )
            name, label = cells[columns.path].strip(), clean_name(cells[columns.label].strip())
            if not name or not label:
                what = "path" if not name else "label"
                raise DataError(f"{where} has no {what}", expected="a path and a label")
            yield name, label, _split(where, cells, columns.split)
    except csv.Error as error:
        raise DataError(f"line {reader.line_num} of {table} cannot be read: {error}") from None


def _split(where: str, cells: list[str], column: int | None) -> Split | None:
    if column is None:
        return None
    split = split_named(cells[column])
    if split is None:
        known = ", ".join(name for names in SPLIT_NAMES.values() for name in names)
        raise DataError(f"{where} has the split {cells[column]!r}", expected=f"one of {known}")
    return split


def _locate(folder: Path, name: str) -> tuple[Path, bool]:
    # Tables written on Windows keep its backslashes.
    other = name.replace("\\", "/") if os.sep == "/" else name
    for path in (folder / name, folder / other):
        with contextlib.suppress(OSError):  # a name that is too long
            if path.exists():
                return path, True
    return folder / name, False
