"""One file for each way in which labels lie on disk, and the one lookup that picks it.

A format is a module with two functions: ``recognises(arguments)`` looks at the source and
``read(arguments)`` lists its files. To add one, write the module and name it in ``FORMATS``.
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from mobilens.data.formats import globs
from mobilens.data.listing import Listing, Source
from mobilens.errors import DataError

# For each kind of labels, in the order in which they are asked.
FORMATS = {
    "class": ("image_folder", "csv_file", "globs"),
    "boxes": ("coco", "yolo", "voc"),
    "masks": ("mask_folder", "coco_masks"),
    "points": ("coco_points", "points_csv"),
    "identity": ("image_folder", "csv_file", "globs"),
}
EXPECTED = {
    "class": "a folder with one folder of images per class, a CSV file with a path and a label "
    "column, or patterns such as 'cats/*.jpg' 'dogs/*.jpg'",
    "boxes": "a folder with boxes as COCO's JSON, YOLO's text files or Pascal VOC's XML, or the "
    "JSON or YAML file itself",
    "masks": "a folder with images and masks side by side, such as images/ and masks/ (and a file "
    "that names the classes, beside them or after the folder), or COCO's JSON with outlines",
    "points": "COCO's JSON with keypoints, or a CSV file with a path column and NAME_x, NAME_y "
    "(and NAME_v: 0 where it is not known) for each point; or the folder that holds it",
    "identity": "a folder with one folder of images for each person or thing, or a CSV file with "
    "a path and a label column",
}


class Format(Protocol):
    """What a module of ``FORMATS`` offers."""

    def recognises(self, arguments: tuple[str, ...]) -> bool:
        """Tell by a look whether the source is of this format."""
        ...

    def read(self, arguments: tuple[str, ...]) -> Listing:
        """List the files with the names of their labels."""
        ...


def read_source(source: Source, labels: str = "class") -> Listing:
    """List the files of a source of any known format.

    Args:
        source: A folder, a CSV file, a pattern, or a list of patterns, folders and files.
        labels: Kind of labels to look for, one of ``data.labels.LABELS``.

    Raises:
        DataError: The source does not exist, is of no known format or cannot be used.
    """
    sources = [source] if isinstance(source, str | Path) else source
    arguments = tuple(str(item) for item in sources)
    if "" in arguments:
        raise DataError(
            "an empty name was given for the data",
            expected=EXPECTED[labels],
            remedy="look at the shell variable that it came from",
        )
    for name in FORMATS[labels]:
        module = cast(Format, importlib.import_module(f"mobilens.data.formats.{name}"))
        if module.recognises(arguments):
            try:
                # Kinds of labels may share a format.
                return replace(module.read(arguments), labels=labels)
            except OSError as error:
                raise DataError(f"{error.filename} cannot be read: {error.strerror}") from None
    raise _unrecognised(arguments, EXPECTED[labels])


def located(arguments: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Say the same source, named in ``folder``, for a process that runs in another one."""
    return tuple(globs.located(argument, folder) for argument in arguments)


def _unrecognised(arguments: tuple[str, ...], expected: str) -> DataError:
    if not arguments:
        return DataError("no data was given", expected=expected)
    path = Path(arguments[0]).expanduser()
    if path.is_file():
        kind = "an archive" if path.suffix.lower() in (".zip", ".gz", ".tar", ".tgz") else "a file"
        remedy = "unpack it and give the folder" if kind == "an archive" else ""
        return DataError(f"{path} is {kind}", expected=expected, remedy=remedy)
    if path.is_dir():
        return DataError(f"{path} holds no labels of a known form", expected=expected)
    folder = path.parent
    near = [item.name for item in folder.iterdir()] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, near, n=1)
    return DataError(
        f"there is nothing at {path}",
        expected=expected,
        remedy=str(folder / close[0]) if close else "",
    )
