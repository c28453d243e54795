"""CSV: a path and a label column, and a split column if there is one.

Comma, semicolon or tab; UTF-8 with or without a byte order mark. Columns are found by their names;
without a header, the first column is the path and the second the label. Paths start at the CSV
file's own folder unless they are absolute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mobilens.data.files import has_image_suffix
from mobilens.data.formats.table import (
    DELIMITERS,
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    cells_of,
    column_of,
    is_table,
    lines_of,
    locate,
    of_missing,
    rows_of,
    split_of,
)
from mobilens.data.listing import SPLIT_NAMES, Listing, Part, Split
from mobilens.data.names import clean_name
from mobilens.errors import DataError

LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target")

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
    return is_table(arguments)


def read(arguments: tuple[str, ...]) -> Listing:
    """List the files that the rows name; those that do not exist are listed and noted.

    Raises:
        DataError: The file is no table with the columns needed, a row is incomplete, or none of
            the files exists; the message names the line.
    """
    table = Path(arguments[0]).expanduser()
    lines = lines_of(table)
    columns = _find_columns(table, lines[0] if lines else "")
    grouped: dict[Split | None, dict[tuple[Path, str], None]] = defaultdict(dict)
    missing, repeated = [], 0
    for name, label, split in _rows(table, lines, columns):
        path, exists = locate([table.parent], name)
        if (path, label) in grouped[split]:
            repeated += 1
            continue
        grouped[split][path, label] = None
        if not exists:
            missing.append(name)
    total = sum(map(len, grouped.values()))
    if not total:
        raise DataError(f"{table} names no images", expected=EXPECTED + " and a row per image")
    notes = of_missing(table, total, missing, [table.parent])
    if repeated:
        notes.append(f"{repeated} rows of {table.name} repeat an earlier one and count once")
    parts = tuple(
        Part(split, table.parent, tuple(grouped[split]))
        for split in (None, *SPLIT_NAMES)
        if split in grouped
    )
    return Listing(str(table), parts, tuple(notes))


def _find_columns(table: Path, first_line: str) -> _Columns:
    for delimiter in DELIMITERS:
        cells = cells_of(first_line, delimiter)
        path, label, split = (
            column_of(known, cells) for known in (PATH_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS)
        )
        if path is not None and label is not None:
            return _Columns(delimiter, path, label, split, has_header=True)
        if len(cells) == 2 and has_image_suffix(cells[0]):
            return _Columns(delimiter, 0, 1, None, has_header=False)
    raise DataError(f"line 1 of {table} is {first_line.strip()!r}", expected=EXPECTED)


def _rows(
    table: Path, lines: list[str], columns: _Columns
) -> Iterator[tuple[str, str, Split | None]]:
    """Path, label and split of each row, checked."""
    needed = max(columns.path, columns.label, columns.split or 0) + 1
    rows = rows_of(table, lines, columns.delimiter, needed, has_header=columns.has_header)
    for where, cells in rows:
        name, label = cells[columns.path].strip(), clean_name(cells[columns.label].strip())
        if not name or not label:
            what = "path" if not name else "label"
            raise DataError(f"{where} has no {what}", expected="a path and a label")
        yield name, label, split_of(where, cells, columns.split)
