"""CSV with points: a row for each thing, in a table or in one for each part (``point_table``).

``NAME_v`` says 0 where a point is not labelled, 1 where it is hidden and 2 where it is visible;
where no 2 occurs, 1 means visible. A point without numbers is not labelled either. Paths start at
the table's own folder, or at ``images/`` in it. A folder may hold one such table, or one for each
part, such as ``train.csv`` and ``val.csv``.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from mobilens.data.formats.drawn_masks import of_part
from mobilens.data.formats.drawn_points import (
    HIDDEN,
    UNKNOWN,
    VISIBLE,
    DrawnPoints,
    Thing,
    different,
    labelled,
    unused_points,
)
from mobilens.data.formats.limbs import limbs
from mobilens.data.formats.point_table import (
    EXPECTED,
    PointTable,
    Row,
    is_point_table,
    read_point_table,
)
from mobilens.data.formats.table import is_table, locate, of_missing
from mobilens.data.listing import SPLIT_NAMES, Listing, Part, Split, some, split_named
from mobilens.data.names import is_hidden
from mobilens.errors import DataError

# The first is the one to learn from, whose order of points counts.
_ORDER: tuple[Split | None, ...] = (None, *SPLIT_NAMES)
_IMAGES = "images"


def recognises(arguments: tuple[str, ...]) -> bool:
    """Whether the source is a table, or a folder that holds one of points."""
    if len(arguments) != 1:
        return False
    path = Path(arguments[0]).expanduser()
    return is_table(arguments) or (path.is_dir() and bool(_tables_in(path)))


def read(arguments: tuple[str, ...]) -> Listing:
    """List the things that the rows name; images that do not exist are listed and noted.

    Raises:
        DataError: A table is none of points, tables have different points, several things of an
            image have no boxes, none of the images exists or nothing is labelled; the message
            names it.
    """
    source = Path(arguments[0]).expanduser()
    chosen, notes = _choose(source)
    tables = [read_point_table(path) for path in chosen.values()]
    names = tables[0].names
    for other in tables[1:]:
        _require_same_points(tables[0], other)
    has_hidden = any((row.marks == VISIBLE).any() for table in tables for row in table.rows)
    files: defaultdict[Split | None, list[tuple[Path, Any]]] = defaultdict(list)
    for split, table in zip(chosen, tables, strict=True):
        drawn, missing = _drawn(table, split, has_hidden)
        notes += missing
        for own_split, images in drawn.items():
            labels, odd = labelled(images)
            files[own_split] += labels
            notes += of_part(own_split, odd)
    root = source if source.is_dir() else source.parent
    parts = [Part(split, root, tuple(files[split])) for split in _ORDER if files.get(split)]
    if not parts:
        raise DataError(
            f"{source} labels nothing that can be used: " + "; ".join(notes), expected=EXPECTED
        )
    notes += of_part(parts[0].split, unused_points(parts[0], names))
    return Listing(str(source), tuple(parts), tuple(notes), "points", names, limbs(names))


# Which tables


def _tables_in(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.lower().endswith((".csv", ".tsv"))]
    paths = [folder / name for name in sorted(names) if not is_hidden(name)]
    return [path for path in paths if is_point_table(path)]


def _choose(source: Path) -> tuple[dict[Split | None, Path], list[str]]:
    """The table of each part, and what is said of others."""
    if source.is_file():
        return {None: source}, []
    by_split: defaultdict[Split | None, list[Path]] = defaultdict(list)
    for path in _tables_in(source):
        by_split[split_named(re.split("[^a-z]+", path.stem.casefold())[-1])].append(path)
    whole = by_split.pop(None, []) if "train" in by_split else []
    for paths in by_split.values():
        if len(paths) > 1:
            raise DataError(
                f"{source} holds several tables of points: {some([path.name for path in paths])}",
                expected="one, or one for each part, such as train.csv and val.csv",
                remedy=f"give one of them, such as {paths[0]}",
            )
    chosen = {split: by_split[split][0] for split in _ORDER if split in by_split}
    if not whole:
        return chosen, []
    used, unused = ([path.name for path in paths] for paths in (chosen.values(), whole))
    return chosen, [f"{some(used)} {'are' if len(used) > 1 else 'is'} used, not {some(unused)}"]


def _require_same_points(first: PointTable, other: PointTable) -> None:
    differences = [
        f"only in {table.path.name}: {some(only, 10)}"
        for table, only in (
            (first, [name for name in first.names if name not in other.names]),
            (other, [name for name in other.names if name not in first.names]),
        )
        if only
    ]
    if differences:
        raise DataError(
            f"{first.path.name} and {other.path.name} have different points; "
            + "; ".join(differences),
            expected="the same names in both",
        )


# What they say


def _drawn(
    table: PointTable, split: Split | None, has_hidden: bool
) -> tuple[dict[Split | None, list[DrawnPoints]], list[str]]:
    """The images of each part, and what is said of those that do not exist.

    Args:
        table: What a table says.
        split: The part of rows that name none.
        has_hidden: Whether 1 is the mark of hidden points.
    """
    folders = [table.path.parent, table.path.parent / _IMAGES]
    things: defaultdict[Split | None, defaultdict[Path, list[Thing]]]
    things = defaultdict(lambda: defaultdict(list))
    paths: dict[str, tuple[Path, bool]] = {}
    for row in table.rows:
        if row.image not in paths:
            paths[row.image] = locate(folders, row.image)
        things[row.split or split][paths[row.image][0]].append(_thing(table, row, has_hidden))
    missing = [image for image, (_, exists) in paths.items() if not exists]
    notes = of_missing(table.path, len(paths), missing, folders)
    if not table.has_boxes:
        for images in things.values():
            _require_one_each(table, images)
    drawn = {
        own_split: [
            DrawnPoints(path, tuple(own), whole=not table.has_boxes) for path, own in images.items()
        ]
        for own_split, images in things.items()
    }
    return drawn, notes


def _thing(table: PointTable, row: Row, has_hidden: bool) -> Thing:
    known = np.where(np.isnan(row.marks) | (row.marks == VISIBLE), VISIBLE, UNKNOWN)
    known[row.marks == HIDDEN] = HIDDEN if has_hidden else VISIBLE
    known[np.isnan(row.points).any(1)] = UNKNOWN
    return Thing(table.names, row.points, known, row.box)


def _require_one_each(table: PointTable, images: dict[Path, list[Thing]]) -> None:
    """Refuse several things in images of which all is looked at."""
    for path, things in images.items():
        count = len(different(things))
        if count > 1:
            raise DataError(
                f"{count} rows of {table.path} name {path.name}, and no columns say where in it "
                "each thing is",
                expected="one row for each image, or a box in each row",
                remedy="add columns left, top, right, bottom, or box_x, box_y, box_w, box_h",
            )
