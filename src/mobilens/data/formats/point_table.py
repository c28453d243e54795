"""A table of points: what its columns are, and what its rows say.

Columns are found by their names: a path; ``NAME_x``, ``NAME_y`` and perhaps ``NAME_v`` of each
point, where a dot, a space or a hyphen do as well; perhaps a part of the data, and a box.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilens.data.formats.table import (
    DELIMITERS,
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    cells_of,
    column_of,
    lines_of,
    rows_of,
    split_of,
)
from mobilens.data.listing import Split
from mobilens.data.names import clean_name
from mobilens.errors import DataError
from mobilens.vision.orientation import Box

EXPECTED = (
    f"a header with a path column ({', '.join(PATH_COLUMNS)}), and NAME_x and NAME_y for each point"
)
# Of a box: the names of its columns, and whether the last two are width and height.
BOX_COLUMNS = (
    (("left", "top", "right", "bottom"), False),
    (("xmin", "ymin", "xmax", "ymax"), False),
    (("box_x", "box_y", "box_w", "box_h"), True),
    (("box_x", "box_y", "box_width", "box_height"), True),
)
_POINT = re.compile(r"(.*[^\s_.-])[\s_.-]+([xyv])", re.IGNORECASE)
# No header is longer; a file that is no table may be one line.
_LONGEST_HEADER = 1 << 20


class Row(NamedTuple):
    """What is said of a thing.

    Attributes:
        image: Its file, as the table names it.
        split: Which part of the data it is in, where a column says so.
        points: (K, 2), float64, x, y; NaN where the cell is empty.
        marks: (K,), float64: 0, 1 or 2; NaN where the point has no column for it.
        box: Around it, where columns say so.
    """

    image: str
    split: Split | None
    points: NDArray[np.float64]
    marks: NDArray[np.float64]
    box: Box | None


@dataclass(frozen=True)
class PointTable:
    """What a table says.

    Attributes:
        path: The file.
        names: Of the points.
        has_boxes: Whether it has columns for them.
        rows: In its order.
    """

    path: Path
    names: tuple[str, ...]
    has_boxes: bool
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class _Columns:
    header: list[str]
    delimiter: str
    path: int
    split: int | None
    points: dict[str, dict[str, int]]  # by name, the columns of its "x", "y" and perhaps "v"
    box: list[int]  # none, or four
    has_sides: bool


def is_point_table(path: Path) -> bool:
    """Tell by its header whether a file is a table of points."""
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_HEADER).decode("utf-8-sig", "replace")
    except OSError:
        return False
    return _header(line) is not None


def read_point_table(path: Path) -> PointTable:
    """Read a table.

    Raises:
        DataError: It lacks a column, or a cell holds what it should not; the message names the
            line.
    """
    lines = lines_of(path)
    columns = _columns(path, lines[0] if lines else "")
    axes = [index for point in columns.points.values() for index in point.values()]
    needed = max(columns.path, columns.split or 0, *axes, *columns.box) + 1
    rows = tuple(
        _row(where, cells, columns)
        for where, cells in rows_of(path, lines, columns.delimiter, needed)
    )
    if not rows:
        raise DataError(f"{path} names no images", expected=EXPECTED + " and a row for each thing")
    return PointTable(path, tuple(columns.points), bool(columns.box), rows)


# Columns


def _header(line: str) -> tuple[str, list[str]] | None:
    """Delimiter and names of the columns; None where there is no path, or no point."""
    for delimiter in DELIMITERS:
        cells = cells_of(line, delimiter)
        if column_of(PATH_COLUMNS, cells) is not None and any(map(_POINT.fullmatch, cells)):
            return delimiter, cells
    return None


def _columns(table: Path, line: str) -> _Columns:
    divided = _header(line)
    if divided is None:
        raise DataError(f"line 1 of {table} is {line.strip()[:200]!r}", expected=EXPECTED)
    delimiter, header = divided
    box, has_sides = _box_columns(header)
    points = _points(table, header, box)
    path = column_of(PATH_COLUMNS, header)
    if path is None or not points:
        raise DataError(f"line 1 of {table} is {line.strip()[:200]!r}", expected=EXPECTED)
    split = column_of(SPLIT_COLUMNS, header)
    return _Columns(header, delimiter, path, split, points, box, has_sides)


def _box_columns(header: Sequence[str]) -> tuple[list[int], bool]:
    for names, has_sides in BOX_COLUMNS:
        found = [column_of([name], header) for name in names]
        columns = [column for column in found if column is not None]
        if len(columns) == len(names):
            return columns, has_sides
    return [], False


def _points(table: Path, header: Sequence[str], box: Sequence[int]) -> dict[str, dict[str, int]]:
    """Columns of each point, by its name, in the order of the first of them."""
    names: dict[str, str] = {}
    points: dict[str, dict[str, int]] = {}
    for index, cell in enumerate(header):
        match = _POINT.fullmatch(cell)
        if match is None or index in box:
            continue
        written, axis = clean_name(match[1]), match[2].casefold()
        axes = points.setdefault(names.setdefault(written.casefold(), written), {})
        if axis in axes:
            raise DataError(
                f"line 1 of {table} has two columns for the {axis} of {written}: "
                f"{header[axes[axis]]} and {cell}",
                expected="one",
            )
        axes[axis] = index
    for name, axes in points.items():
        if len(axes.keys() & {"x", "y"}) == 1:
            has, lacks = ("x", "y") if "x" in axes else ("y", "x")
            raise DataError(
                f"line 1 of {table} has the {has} of {name} and not its {lacks}",
                expected="NAME_x and NAME_y for each point",
            )
    return {name: axes for name, axes in points.items() if "x" in axes}


# Rows


def _row(where: str, cells: Sequence[str], columns: _Columns) -> Row:
    image = cells[columns.path].strip()
    if not image:
        raise DataError(f"{where} has no path", expected="the image that the points are in")
    points = [
        [_number(where, cells, axes[axis], columns) for axis in "xy"]
        for axes in columns.points.values()
    ]
    marks = [
        _mark(where, cells, axes["v"], columns) if "v" in axes else math.nan
        for axes in columns.points.values()
    ]
    return Row(
        image,
        split_of(where, cells, columns.split),
        np.array(points, np.float64),
        np.array(marks, np.float64),
        _box(where, cells, columns),
    )


def _number(where: str, cells: Sequence[str], column: int, columns: _Columns) -> float:
    """A cell's number; NaN where it is empty."""
    text = cells[column].strip()
    try:
        number = float(text or "nan")
    except ValueError:
        number = math.inf
    if math.isinf(number):
        raise DataError(
            f"{where} has {text[:60]!r} for {columns.header[column]}",
            expected="a number, or nothing where it is not known",
        )
    return number


def _mark(where: str, cells: Sequence[str], column: int, columns: _Columns) -> float:
    number = _number(where, cells, column, columns)
    if math.isnan(number):
        return 0.0
    if number not in (0, 1, 2):
        raise DataError(
            f"{where} has {cells[column].strip()[:60]!r} for {columns.header[column]}",
            expected="0 for a point that is not labelled, 1 for a hidden one, 2 for a visible one",
        )
    return number


def _box(where: str, cells: Sequence[str], columns: _Columns) -> Box | None:
    if not columns.box:
        return None
    left, top, right, bottom = (_number(where, cells, column, columns) for column in columns.box)
    if columns.has_sides:
        right, bottom = left + right, top + bottom
    return left, top, right, bottom
