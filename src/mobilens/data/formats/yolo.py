"""YOLO: a text file for each image, with a row for each box: class, centre, width and height.

Either a YAML file with ``names`` and ``train``, ``val`` and ``test``, or the folder that it lies
in; or ``images/`` and ``labels/`` side by side, both divided into ``train/`` and ``val/``, or both
below them, and then with the names in ``classes.txt``. Numbers are shares of the image's sides. A
row of more numbers is an outline, of which the box around it counts.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from mobilens.data.files import find_images, has_image_suffix, visible_folders
from mobilens.data.formats.drawn_boxes import DrawnBoxes, counted, labelled, unused_classes
from mobilens.data.listing import SPLIT_NAMES, Listing, Part, Split, some, split_named
from mobilens.data.names import clean_name, is_hidden
from mobilens.errors import DataError

EXPECTED = "names, a list of classes, and train, a folder of images or a list of them"
EXPECTED_ROW = "class, centre x, centre y, width and height, each but the first a share, 0 to 1"

SUFFIXES = (".yaml", ".yml")
CLASSES_FILE = "classes.txt"
# Where no file names them, classes are their numbers; more of them are no classes.
MOST_UNNAMED = 1000
# A share of a side further out is a number of pixels, or a mistake.
FURTHEST_SHARE = 2.0
# More of all rows, and the files are of another kind.
MOST_BAD_ROWS = 0.1

# Folders that hold the labels of the images in a folder.
_LABEL_FOLDERS = {"images": "labels", "Images": "Labels", "IMAGES": "LABELS"}


@dataclass(frozen=True)
class _Plan:
    """What lies where.

    Attributes:
        root: Folder that files are named from.
        images: The images of each part.
        names: Classes by their numbers; None where nothing names them.
        with_keypoints: Whether rows have points behind their boxes, which are no outlines.
        notes: What is odd so far.
    """

    root: Path
    images: dict[Split | None, list[Path]]
    names: dict[int, str] | None
    with_keypoints: bool = False
    notes: tuple[str, ...] = ()


@dataclass
class _Rows:
    """What became of the rows of label files.

    Attributes:
        total: How many there are.
        bad: Where those lie that were left out, and why.
        classes: Numbers of classes of the others.
    """

    total: int = 0
    bad: list[str] = field(default_factory=list)
    classes: Counter[int] = field(default_factory=Counter)


def recognises(arguments: tuple[str, ...]) -> bool:
    """Whether the source is a YAML file, or a folder with label files where YOLO has them."""
    if len(arguments) != 1:
        return False
    path = Path(arguments[0]).expanduser()
    if path.is_file():
        return path.suffix.lower() in SUFFIXES
    return path.is_dir() and (bool(_fitting(path)) or _has_labels(_folders_of(path)))


def read(arguments: tuple[str, ...]) -> Listing:
    """List the images with the boxes of their label files.

    Raises:
        DataError: A file cannot be read as one of this kind, the images for training do not exist
            or have no labels, or more than a tenth of all rows are wrong; the message names it.
    """
    source = Path(arguments[0]).expanduser()
    plan = _plan(source)
    rows, notes, parts = _Rows(), list(plan.notes), []
    for split, images in plan.images.items():
        label_files = [_label_file(image) for image in images]
        if not any(label_files):
            if split in ("train", None):
                raise _without_labels(images)
            notes.append(f"{split}: none of {len(images)} images has a label file: left out")
            continue
        files, odd = labelled(
            [
                _drawn(image, file, plan, rows)
                for image, file in zip(images, label_files, strict=True)
            ]
        )
        notes += [f"{split}: {note}" if split else note for note in odd]
        parts.append(Part(split, plan.root, files))
    if not parts:
        raise _without_labels([image for images in plan.images.values() for image in images])
    notes += _told(rows)
    class_names = _class_names(plan, rows)
    if plan.names:
        label = f"{parts[0].split}: " if parts[0].split else ""
        notes += [label + note for note in unused_classes(parts[0], class_names)]
    return Listing(str(source), tuple(parts), tuple(notes), "boxes", class_names)


def _plan(source: Path) -> _Plan:
    if source.is_file():
        return _plan_of_file(source, _content(source))
    fitting = _fitting(source)
    if not fitting:
        return _plan_of_folder(source)
    plan = _plan_of_file(fitting[0], _content(fitting[0]))
    if len(fitting) == 1:
        return plan
    unused = some([path.name for path in fitting[1:]])
    return replace(plan, notes=(f"{fitting[0].name} is used, not {unused}", *plan.notes))


# A YAML file


def _fitting(root: Path) -> list[Path]:
    """The YAML files of a folder that say where images with label files lie."""
    fitting = []
    for path in _yaml_files(root):
        try:
            plan = _plan_of_file(path, _content(path))
        except (DataError, OSError):
            continue  # it is of something else
        if any(_label_file(image) for images in plan.images.values() for image in images):
            fitting.append(path)
    return fitting


def _yaml_files(root: Path) -> list[Path]:
    with os.scandir(root) as entries:
        names = [entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES)]
    return [root / name for name in sorted(names) if not is_hidden(name)]


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataError(f"line {line} of {path} is not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not YAML: {error}", expected=EXPECTED) from None
    if not isinstance(content, dict) or "names" not in content:
        raise DataError(f"{path} has no names", expected=EXPECTED)
    return {str(key): value for key, value in content.items()}


def _plan_of_file(path: Path, content: Mapping[str, Any]) -> _Plan:
    inner = _forward(str(content.get("path") or ""))
    bases = [path.parent / inner, Path(inner), path.parent, Path()]
    images: dict[Split | None, list[Path]] = {}
    notes: list[str] = []
    for split in SPLIT_NAMES:
        keys = [key for key, value in content.items() if value and split_named(key) == split]
        if not keys:
            continue
        where = f"{keys[0]} of {path.name}"
        entries = _entries(content[keys[0]], f"{keys[0]} of {path}")
        found, missing = _images_of(entries, bases)
        if not found and split == "train":
            raise DataError(
                f"{keys[0]} of {path} leads to no image: {some(entries)}",
                expected=f"a folder of images or a list of them, from {bases[0]}",
            )
        if not found:
            notes.append(f"{where} leads to no image and is left out: {some(entries)}")
        elif set(found) == set(images.get("train", ())):
            notes.append(f"{where} names the same images as train and is left out")
        else:
            images[split] = found
            notes += _missing(where, missing)
    if not images:
        raise DataError(f"{path} names no images", expected=EXPECTED)
    return _Plan(
        next(base for base in bases if base.is_dir()),
        images,
        _names(content["names"], path),
        "kpt_shape" in content,
        tuple(notes),
    )


def _missing(where: str, missing: Sequence[str]) -> list[str]:
    if not missing:
        return []
    words = (f"file that {where} names does not exist", f"files that {where} names do not exist")
    return [counted(len(missing), words, [name[:100] for name in missing])]


def _entries(value: object, where: str) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    names = [_forward(entry) for entry in entries if isinstance(entry, str)]
    if len(names) != len(entries):
        raise DataError(f"{where} is {value!r:.60}", expected="a folder, a text file, or several")
    return names


def _images_of(entries: Sequence[str], bases: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The images that folders and lists lead to, each once, and what does not exist of them."""
    images: dict[Path, None] = {}
    missing = []
    for entry in entries:
        place = _find(entry, bases)
        if place is None:
            missing.append(entry)
        elif place.is_dir():
            images |= dict.fromkeys(sorted(find_images(place).images))
        elif has_image_suffix(place.name):
            images[place] = None
        else:
            for line in filter(None, map(str.strip, _text(place).splitlines())):
                image = _find(_forward(line), [place.parent, *bases])
                if image is None:
                    missing.append(line)
                else:
                    images[image] = None
    return list(images), missing


def _find(name: str, bases: Sequence[Path]) -> Path | None:
    """What a name leads to from the first folder where it leads anywhere.

    Where it leads nowhere, its outer folders may be those of another machine, or the ``..`` that
    Roboflow writes: with two of its own parts left it still says what is meant.
    """
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    shorter = ["/".join(parts[start:]) for start in range(max(1, len(parts) - 1))]
    for variant in (name, *shorter):
        for base in bases:
            path = base / variant
            if path.exists():
                return path
    return None


def _forward(name: str) -> str:
    """A name that Windows wrote, as other systems read it."""
    return name.strip().replace("\\", "/") if os.sep == "/" else name.strip()


def _names(value: object, path: Path) -> dict[int, str]:
    pairs = list(value.items() if isinstance(value, dict) else enumerate(_listed(value, path)))
    names: dict[int, str] = {}
    for key, name in pairs:
        if not str(key).isdecimal():
            raise DataError(f"names of {path} has {key!r}", expected="numbers from 0 on")
        if (
            isinstance(name, bool)
            or not isinstance(name, str | int | float)
            or not f"{name}".strip()
        ):
            raise DataError(
                f"class {key} of {path} is {name!r}",
                expected="a name",
                remedy="put it in quotes: YAML takes yes, no, on and off for something else",
            )
        names[int(key)] = clean_name(str(name).strip())
    _require_different(names, path)
    return names


def _listed(value: object, path: Path) -> list[object]:
    if not isinstance(value, list):
        raise DataError(f"names of {path} is {value!r:.60}", expected="a list of classes")
    return value


def _require_different(names: Mapping[int, str], path: Path) -> None:
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice or not names:
        raise DataError(
            f"{path} names {some(twice)} twice" if twice else f"{path} names no classes",
            expected="a name of its own for each class",
        )


# A folder without one that fits


def _plan_of_folder(root: Path) -> _Plan:
    folders = _folders_of(root)
    images: dict[Split | None, list[Path]] = {
        split: sorted(find_images(folder).images) for split, folder in folders.items()
    }
    return _Plan(root, images, _names_beside(root, list(folders.values())))


def _folders_of(root: Path) -> dict[Split | None, Path]:
    """The folder of each part's images."""
    for images in filter(_has_twin, (root / name for name in _LABEL_FOLDERS)):
        divided = _divided(visible_folders(images))
        return divided or {None: images}
    below = [folder / name for folder in visible_folders(root) for name in _LABEL_FOLDERS]
    divided = {
        _split_of_folder(images.parent): images
        for images in reversed(below)
        if _split_of_folder(images.parent) and _has_twin(images)
    }
    if divided:
        return {split: divided[split] for split in SPLIT_NAMES if split in divided}
    return {None: root} if (root / CLASSES_FILE).is_file() else {}


def _divided(folders: Sequence[Path]) -> dict[Split | None, Path]:
    by_split = {_split_of_folder(folder): folder for folder in reversed(folders)}
    return {split: by_split[split] for split in SPLIT_NAMES if split in by_split}


def _has_twin(images: Path) -> bool:
    return images.is_dir() and images.with_name(_LABEL_FOLDERS[images.name]).is_dir()


def _split_of_folder(folder: Path) -> Split | None:
    """The part that a folder is named after, such as ``train2017``."""
    return split_named(folder.name.rstrip("0123456789"))


def _has_labels(folders: Mapping[Split | None, Path]) -> bool:
    return any(
        _label_file(image) for folder in folders.values() for image in find_images(folder).images
    )


def _names_beside(root: Path, folders: Sequence[Path]) -> dict[int, str] | None:
    # Where the labels of an image of this name would be.
    inner = [_label_file(folder / CLASSES_FILE) for folder in (root / "images", *folders)]
    above = [folder.parent / CLASSES_FILE for folder in folders]
    for path in (root / CLASSES_FILE, *filter(None, inner), *above):
        if path.is_file():
            lines = filter(None, map(str.strip, _text(path).splitlines()))
            names = {number: clean_name(line) for number, line in enumerate(lines)}
            _require_different(names, path)
            return names
    for path in _yaml_files(root):  # its folders may be those of another machine
        with contextlib.suppress(DataError):
            return _names(_content(path)["names"], path)
    return None


# Labels


def _label_file(image: Path) -> Path | None:
    """The label file of an image: in the folder beside ``images``, or beside the image."""
    parts = list(image.with_suffix(".txt").parts)
    inside = [at for at, part in enumerate(parts[:-1]) if part in _LABEL_FOLDERS]
    beside = Path(*parts)
    if inside:
        parts[inside[-1]] = _LABEL_FOLDERS[parts[inside[-1]]]
    return next((path for path in (Path(*parts), beside) if path.is_file()), None)


def _drawn(image: Path, label_file: Path | None, plan: _Plan, rows: _Rows) -> DrawnBoxes:
    things = []
    lines = _text(label_file).splitlines() if label_file else []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        rows.total += 1
        try:
            things.append(_row(line, plan))
        except ValueError as reason:
            rows.bad.append(f"line {number} of {label_file}: {reason}")
    rows.classes.update(kind for kind, _ in things)
    return DrawnBoxes(
        image,
        tuple(plan.names[kind] if plan.names else str(kind) for kind, _ in things),
        np.array([box for _, box in things], np.float64).reshape(-1, 4),
        np.zeros(len(things), bool),
        relative=True,
    )


def _row(line: str, plan: _Plan) -> tuple[int, tuple[float, float, float, float]]:
    """Class and corners of a row.

    Raises:
        ValueError: It is none; the message says why.
    """
    try:
        kind, *shares = [float(word) for word in line.split()]
    except ValueError:
        raise ValueError(f"{line.strip()[:60]!r} is not numbers") from None
    known = plan.names or range(MOST_UNNAMED)
    if not kind.is_integer() or int(kind) not in known:
        raise ValueError(f"class {kind:g} is none of the {len(known)}")
    if plan.with_keypoints:
        shares = shares[:4]
    wrong = [share for share in shares if not math.isfinite(share) or abs(share) > FURTHEST_SHARE]
    if wrong:
        raise ValueError(f"{wrong[0]:g} is no share of a side")
    if len(shares) == 4:
        across, down, width, height = shares
        left, top = across - width / 2, down - height / 2
        return int(kind), (left, top, left + width, top + height)
    if len(shares) < 6 or len(shares) % 2:
        raise ValueError(f"it has {len(shares) + 1} numbers")
    across_all, down_all = shares[0::2], shares[1::2]
    return int(kind), (min(across_all), min(down_all), max(across_all), max(down_all))


def _class_names(plan: _Plan, rows: _Rows) -> tuple[str, ...]:
    if plan.names:
        return tuple(plan.names[number] for number in sorted(plan.names))
    return tuple(str(number) for number in range(max(rows.classes, default=-1) + 1))


def _told(rows: _Rows) -> list[str]:
    if not rows.bad:
        return []
    if len(rows.bad) > MOST_BAD_ROWS * rows.total:
        raise DataError(
            f"{len(rows.bad)} of {rows.total} rows are wrong, first {rows.bad[0]}",
            expected=EXPECTED_ROW,
        )
    words = ("row is wrong and is left out", "rows are wrong and are left out")
    return [f"{counted(len(rows.bad), words)}, first {rows.bad[0]}"]


def _without_labels(images: Sequence[Path]) -> DataError:
    return DataError(
        f"none of {len(images)} images has a label file, such as {images[0]}",
        expected="labels in place of images in its path, and .txt in place of its suffix",
    )


def _text(path: Path) -> str:
    # Bytes that are no text stand in rows that are no numbers, and are told there.
    return path.read_text("utf-8-sig", errors="replace")
