"""COCO's JSON files, whatever is learnt from them: which there are, what they say, their images.

``annotations/instances_train2017.json`` and its like, ``_annotations.coco.json`` in ``train/``,
``valid/`` and ``test/`` (as Roboflow exports them), or a JSON file in the root; or one such file
alone.
"""

from __future__ import annotations

import json
import mmap
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from mobilens.data.files import visible_folders
from mobilens.data.formats.drawn_boxes import counted
from mobilens.data.formats.drawn_masks import of_part
from mobilens.data.formats.image_finder import ImageFinder
from mobilens.data.listing import Listing, Part, Split, some, split_named
from mobilens.data.names import class_key, clean_name, is_hidden
from mobilens.errors import DataError
from mobilens.vision.orientation import Box

# The first is the one to learn from, whose order of classes counts.
_ORDER: tuple[Split | None, ...] = ("train", None, "val", "test")
_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_NO_ANNOTATIONS = re.compile(rb'"annotations"\s*:\s*\[\s*\]')
# Panoptic files have boxes too, but of segments.
_SEGMENTS = b'"segments_info"'
# COCO's own folder has files of other things beside the one that is meant.
_THINGS = {"instances", "keypoints", "stuff", "panoptic", "captions", "densepose"}
# Roboflow's category above all others.
_UMBRELLA = "0"


class Thing(NamedTuple):
    """An annotation: its category's id, its shape as the kind reads it, whether it is a crowd."""

    category: str
    shape: Any
    crowd: bool


class ListedImage(NamedTuple):
    """An image as the file names it, its (height, width) where it says so, and its things."""

    name: str
    size: tuple[int, int] | None
    things: list[Thing]


class Category(NamedTuple):
    """A category: its name, that of what it is a kind of, its keypoints and skeleton as written."""

    name: str
    above: str
    keypoints: Any
    skeleton: Any


@dataclass(frozen=True)
class Instances:
    """What one JSON file says.

    Attributes:
        path: The file.
        split: Which part of the data it is.
        images: By id.
        categories: By id, in the order of ids.
        notes: What is odd about its annotations.
    """

    path: Path
    split: Split | None
    images: dict[str, ListedImage]
    categories: dict[str, Category]
    notes: tuple[str, ...]


Located = dict[Path, list[ListedImage]]


def _category_names(file: Instances) -> tuple[str, ...]:
    """Name the categories of a file.

    Raises:
        DataError: Two have the same name.
    """
    names = tuple(category.name for category in file.categories.values())
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"{file.path} has several categories of the name {some(twice)}",
            expected="a name of its own for each",
        )
    return names


def _no_links(file: Instances) -> tuple[tuple[str, str], ...]:  # noqa: ARG001
    return ()


@dataclass(frozen=True)
class Reading:
    """What is read of annotations, for one kind of labels.

    Attributes:
        labels: The kind, one of ``data.labels.LABELS``.
        key: Key of an annotation that it is read from.
        expected: What a file should be, for messages.
        shape: Gives the shape of an annotation; None where it has none.
        shapeless: Says of annotations without one what they are, such as ``"without a bbox"``.
        together: What an image that is listed twice gets of all, such as ``"boxes"``.
        label: Gives path and label of the images that exist, and what is odd about them.
        unused: Says which of all classes a part has nothing of.
        meant: Word in the name of the file that is meant, where others have the key as well.
        noun: What the classes of a file are called.
        names: Names the classes of a file.
        class_names: Gives all classes from these names.
        links: Gives the pairs of classes that belong together.
    """

    labels: str
    key: str
    expected: str
    shape: Callable[[dict[str, Any]], Any]
    shapeless: str
    together: str
    label: Callable[[Located, Instances], tuple[tuple[tuple[Path, Any], ...], Sequence[str]]]
    unused: Callable[[Part, Sequence[str]], Sequence[str]]
    meant: str = "instances"
    noun: str = "categories"
    names: Callable[[Instances], tuple[str, ...]] = _category_names
    class_names: Callable[[tuple[str, ...]], tuple[str, ...]] = tuple
    links: Callable[[Instances], tuple[tuple[str, str], ...]] = _no_links


def is_coco(arguments: tuple[str, ...], key: str) -> bool:
    """Whether the source is a JSON file, or a folder with one of COCO's.

    Args:
        arguments: The source.
        key: What the annotations should have, such as ``"bbox"``.
    """
    if len(arguments) != 1:
        return False
    path = Path(arguments[0]).expanduser()
    if path.is_file():
        return path.suffix.lower() == ".json"
    return path.is_dir() and any(
        _holds_instances(file, key) for files in _candidates(path) for file in files
    )


def read_coco(arguments: tuple[str, ...], reading: Reading) -> Listing:
    """List the images with labels of a kind.

    Raises:
        DataError: A file is no JSON of this kind, the parts have different classes, no image
            exists or nothing is labelled; the message names it.
    """
    source = Path(arguments[0]).expanduser()
    if source.is_file():
        chosen: dict[Split | None, Path] = {_split_in(source.stem): source}
        notes: list[str] = []
        root = source.parent.parent if _is_for_annotations(source.parent) else source.parent
    else:
        chosen, notes = _choose(source, reading)
        root = source
    files = [_parse(chosen[split], split, reading) for split in _ORDER if split in chosen]
    if all(map(_has_umbrella, files)):
        files = list(map(_without_umbrella, files))
    class_names = reading.class_names(reading.names(files[0]))
    for other in files[1:]:
        _require_same_names(files[0], other, reading)
    parts = []
    for file in files:
        part, odd = _part(file, root, reading, is_first=file is files[0])
        notes += of_part(file.split, odd)
        if part.files:
            parts.append(part)
    notes += of_part(parts[0].split, reading.unused(parts[0], class_names))
    links = reading.links(files[0])
    return Listing(str(source), tuple(parts), tuple(notes), reading.labels, class_names, links)


# Which files


def _candidates(root: Path) -> Iterator[list[Path]]:
    """JSON files by the places where COCO's may lie, the best place first."""
    folders = visible_folders(root)
    for place in (
        [folder for folder in folders if _is_for_annotations(folder)],
        [folder for folder in folders if _split_of_folder(folder)],
        [root],
    ):
        yield [path for folder in place for path in _json_files(folder)]


def _json_files(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.lower().endswith(".json")]
    return [folder / name for name in sorted(names) if not is_hidden(name)]


def _holds_instances(path: Path, key: str) -> bool:
    """Tell by its keys; a file of COCO's size takes long to parse."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            if any(text.find(other) < 0 for other in _KEYS) or text.find(_SEGMENTS) >= 0:
                return False
            return text.find(f'"{key}"'.encode()) >= 0 or _NO_ANNOTATIONS.search(text) is not None
    except (OSError, ValueError):  # an empty file cannot be mapped
        return False


def _choose(root: Path, reading: Reading) -> tuple[dict[Split | None, Path], list[str]]:
    """The file of each part, and what is said of the others."""
    found = next(
        files
        for candidates in _candidates(root)
        if (files := [path for path in candidates if _holds_instances(path, reading.key)])
    )
    by_split: defaultdict[Split | None, list[Path]] = defaultdict(list)
    for path in found:
        inside = None if path.parent == root else _split_of_folder(path.parent)
        by_split[_split_in(path.stem) or inside].append(path)
    if "train" in by_split:
        by_split.pop(None, None)  # the whole, or some other selection
    preference = partial(_preference, reading.meant)
    chosen = {split: min(paths, key=preference) for split, paths in by_split.items()}
    unused = [path.name for path in found if path not in chosen.values()]
    used = [path.name for path in chosen.values()]
    notes = []
    if unused:
        notes.append(f"{some(used)} {'are' if len(used) > 1 else 'is'} used, not {some(unused)}")
    return chosen, notes


def _preference(meant: str, path: Path) -> tuple[bool, bool, str]:
    words = _words(path.stem)
    return meant not in words, not (_THINGS - {meant}).isdisjoint(words), path.name


def _split_in(stem: str) -> Split | None:
    """The part that a file's name speaks of; the last word, since data sets have names too."""
    splits = [split for word in _words(stem) if (split := split_named(word))]
    return splits[-1] if splits else None


def _split_of_folder(folder: Path) -> Split | None:
    """The part that a folder is named after, such as ``train2017``."""
    return split_named(folder.name.rstrip("0123456789"))


def _is_for_annotations(folder: Path) -> bool:
    return folder.name.casefold() == "annotations"


def _words(name: str) -> list[str]:
    return re.findall("[a-z]+", name.casefold())


# What they say


def _parse(path: Path, split: Split | None, reading: Reading) -> Instances:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}", expected=reading.expected) from None
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= set(content):
        raise DataError(f"{path} is JSON of another kind", expected=reading.expected)
    categories = {
        _id_of(entry, where): Category(
            clean_name(_text_of(entry, "name", where)),
            str(entry.get("supercategory") or ""),
            entry.get("keypoints"),
            entry.get("skeleton"),
        )
        for where, entry in _entries(path, content, "categories")
    }
    images = {
        _id_of(entry, where): ListedImage(_text_of(entry, "file_name", where), _size_of(entry), [])
        for where, entry in _entries(path, content, "images")
    }
    if not images:
        raise DataError(f"{path} lists no images", expected=reading.expected)
    in_order = sorted(categories, key=class_key)
    return Instances(
        path,
        split,
        images,
        {key: categories[key] for key in in_order},
        _spread(path, content, images, categories, reading),
    )


def _entries(path: Path, content: dict[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each entry of a list, and where it stands."""
    entries = content[key]
    if not isinstance(entries, list):
        raise DataError(f"{key} of {path} is {type(entries).__name__}", expected="a list")
    for number, entry in enumerate(entries):
        where = f"{key}[{number}] of {path}"
        if not isinstance(entry, dict):
            raise DataError(f"{where} is {entry!r:.60}", expected="an object")
        yield where, entry


def _spread(
    path: Path,
    content: dict[str, Any],
    images: dict[str, ListedImage],
    categories: dict[str, Category],
    reading: Reading,
) -> tuple[str, ...]:
    """Give each image its things; what cannot be given is counted."""
    lost: Counter[str] = Counter()
    total = 0
    for _, entry in _entries(path, content, "annotations"):
        total += 1
        image = images.get(_id(entry.get("image_id")))
        category = _id(entry.get("category_id"))
        shape = reading.shape(entry)
        if image is None:
            lost["of an image that is not listed"] += 1
        elif category not in categories:
            lost["of a category that is not listed"] += 1
        elif shape is None:
            lost[reading.shapeless] += 1
        else:
            image.things.append(Thing(category, shape, entry.get("iscrowd") == 1))
    reasons = [f"{count} {reason}" for reason, count in lost.items()]
    if total and lost.total() == total:
        raise DataError(
            f"none of the {total} annotations of {path} can be used: " + ", ".join(reasons),
            expected=reading.expected,
        )
    return tuple(
        counted(count, (f"annotation {reason} is left out", f"annotations {reason} are left out"))
        for reason, count in lost.items()
    )


def _id(value: object) -> str:
    """Ids are numbers or text, and the same whichever; programs mix them up."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _id_of(entry: dict[str, Any], where: str) -> str:
    value = entry.get("id")
    if not isinstance(value, int | float | str):
        raise DataError(f"{where} has the id {value!r:.60}", expected="a number")
    return _id(value)


def _text_of(entry: dict[str, Any], key: str, where: str) -> str:
    text = entry.get(key)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where} has the {key} {text!r:.60}", expected="text")
    return text.strip()


def corners_of(bbox: object) -> Box | None:
    """Give the corners of a corner, width and height; None where these are no four numbers."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    try:
        left, top, width, height = (
            float(number) for number in bbox if isinstance(number, int | float)
        )
    except (OverflowError, ValueError):  # too large, or fewer than four that are numbers
        return None
    return left, top, left + width, top + height


def _size_of(entry: dict[str, Any]) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    known = all(isinstance(side, int | float) and 0 < side < 1e9 for side in (height, width))
    return (int(height), int(width)) if known and height and width else None


# Classes


def _has_umbrella(file: Instances) -> bool:
    """Whether the first category stands for all others, as in Roboflow's files, and for no box."""
    first = file.categories.get(_UMBRELLA)
    others = [category for key, category in file.categories.items() if key != _UMBRELLA]
    if first is None or not others or any(other.above != first.name for other in others):
        return False
    return all(
        thing.category != _UMBRELLA for image in file.images.values() for thing in image.things
    )


def _without_umbrella(file: Instances) -> Instances:
    others = {key: category for key, category in file.categories.items() if key != _UMBRELLA}
    return replace(file, categories=others)


def _require_same_names(first: Instances, other: Instances, reading: Reading) -> None:
    ours, theirs = reading.names(first), reading.names(other)
    differences = [
        f"only in {_short(file)}: {some(only, 10)}"
        for file, only in (
            (first, [name for name in ours if name not in theirs]),
            (other, [name for name in theirs if name not in ours]),
        )
        if only
    ]
    if differences:
        raise DataError(
            f"{_short(first)} and {_short(other)} have different {reading.noun}; "
            + "; ".join(differences),
            expected="the same names in both, whether they are used or not",
        )


def _short(file: Instances) -> str:
    return f"{file.path.parent.name}/{file.path.name}"


# Images


def _part(
    file: Instances, root: Path, reading: Reading, *, is_first: bool
) -> tuple[Part, list[str]]:
    """The images that exist, with their labels, and what is odd; the first file must have some."""
    located, missing = _locate(file, ImageFinder(_image_folders(file, root)))
    if is_first and not located:
        raise DataError(
            f"none of the {len(file.images)} images that {file.path} names exists, such as "
            + next(iter(file.images.values())).name[:100],
            expected="images beside it, in a folder named images, or in one named as the part",
        )
    files, odd = reading.label(located, file)
    notes = [*file.notes, *odd]
    if is_first and not files:
        raise DataError(
            f"{file.path} labels nothing that can be used: " + "; ".join(notes),
            expected=reading.expected,
        )
    repeated = [path.name for path, images in located.items() if len(images) > 1]
    if repeated:
        words = (
            f"image is listed more than once and gets the {reading.together} of all",
            f"images are listed more than once and get the {reading.together} of all",
        )
        notes.append(counted(len(repeated), words, repeated))
    if missing:
        words = (
            f"image of {file.path.name} does not exist and is left out",
            f"images of {file.path.name} do not exist and are left out",
        )
        notes.append(counted(len(missing), words, missing))
    return Part(file.split, root, files), notes


def _locate(file: Instances, finder: ImageFinder) -> tuple[Located, list[str]]:
    """Images by their files, and the names of those without one."""
    located: defaultdict[Path, list[ListedImage]] = defaultdict(list)
    missing = []
    last_names = Counter(_variants(image.name)[-1] for image in file.images.values())
    for image in file.images.values():
        variants = _variants(image.name)
        # Without its folders, a name must not stand for two images.
        path = finder.find(variants if last_names[variants[-1]] == 1 else variants[:1])
        if path is None:
            missing.append(image.name)
        else:
            located[path].append(image)
    return located, missing


def _variants(name: str) -> list[str]:
    """A name as it is, and without its outer folders: they may be those of another machine."""
    parts = name.replace("\\", "/").split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _image_folders(file: Instances, root: Path) -> list[Path]:
    """Where images may lie, the likeliest first."""
    plain = [path for folder in (file.path.parent, root) for path in _with_inner(folder)]
    divided = []
    for above in (root / "images", root):
        folders = [
            folder
            for folder in (visible_folders(above) if above.is_dir() else [])
            if file.split in (None, _split_of_folder(folder))
        ]
        # Where train2014 and train2017 lie side by side, instances_train2017 means the latter.
        folders.sort(key=lambda folder: folder.name not in file.path.stem)
        divided += [path for folder in folders for path in _with_inner(folder)]
    return list(dict.fromkeys(plain + divided))


def _with_inner(folder: Path) -> list[Path]:
    return [folder, folder / "images", folder / "data"]
