"""Image folder: one folder per class, alone or below ``train/`` and ``val/``.

``train`` (or ``training``) and ``val``, ``validation``, ``valid``, ``test`` or ``testing`` are the
parts, without regard to case; where there is no ``train``, the class folders lie in the root.
Folders inside a class folder belong to that class. Hidden names, files beside class folders and
class folders without an image are passed over.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mobilens.data.files import find_images, kinds, visible_folders
from mobilens.data.listing import SPLIT_NAMES, Listing, Part, Split, some, split_named
from mobilens.data.names import clean_name
from mobilens.errors import DataError

CLASS_FOLDERS = "one folder per class with its images in it"


@dataclass(frozen=True)
class _Look:
    """What lies in a folder that should hold class folders."""

    part: Part
    num_loose: int
    strange: Counter[str]
    unread: Counter[str]


def recognises(arguments: tuple[str, ...]) -> bool:
    """Whether the source is one folder."""
    return len(arguments) == 1 and Path(arguments[0]).expanduser().is_dir()


def read(arguments: tuple[str, ...]) -> Listing:
    """List the images of every class folder.

    Raises:
        DataError: There are no class folders with images, or two of one name.
    """
    root = Path(arguments[0]).expanduser()
    folders, notes = _split_folders(root)
    if not folders:
        look = _look(root, None)
        notes = _notes(look) + _nested_split_note(look.part)
        return Listing(str(root), (_filled(look),), tuple(notes))
    parts = []
    for split, candidates in folders.items():
        looks = [_look(folder, split) for folder in candidates]
        look = next((item for item in looks if item.part.files), looks[0])
        notes.extend(_notes(look))
        unused = [item.part.root.name for item in looks if item is not look and item.part.files]
        if unused:
            notes.append(f"{look.part.root.name} is used and {some(unused)} is not")
        if look.part.files or split == "train" or (split == "val" and look.num_loose):
            parts.append(_filled(look))
        else:
            notes.append(f"{look.part.root.name} holds no class folders with images: left out")
    return Listing(str(root), tuple(parts), tuple(notes))


def _split_folders(root: Path) -> tuple[dict[Split, list[Path]], list[str]]:
    """The folders of each part, best name first; empty where the root holds the classes."""
    named: defaultdict[Split, list[Path]] = defaultdict(list)
    others: list[Path] = []
    for folder in visible_folders(root):
        split = split_named(folder.name)
        (named[split] if split else others).append(folder)
    if not named:
        return {}, []
    if ("train" not in named or len(named) == 1) and others:
        # A class may well be called "train" or "test": with its photos directly in it, it is one.
        suspects = [folder for group in named.values() for folder in group]
        if any(find_images(folder, recursive=False).images for folder in suspects):
            return {}, []
        if "train" not in named:
            raise DataError(
                f"{root} holds {_names(suspects)} beside {_names(others)}, and no train",
                expected="train and val side by side, or class folders alone",
                remedy=f"move the class folders for training into {root / 'train'}",
            )
    notes = [f"left out, since it is no part of the split: {_names(others)}"] if others else []
    ranked = {
        split: sorted(named[split], key=lambda folder: names.index(folder.name.strip().casefold()))
        for split, names in SPLIT_NAMES.items()
        if split in named
    }
    return ranked, notes


def _look(root: Path, split: Split | None) -> _Look:
    files: list[tuple[Path, str]] = []
    empty: list[str] = []
    strange: Counter[str] = Counter()
    labels: set[str] = set()
    loose = find_images(root, recursive=False)
    unread = loose.unread
    for folder in visible_folders(root):
        label = clean_name(folder.name)
        found = find_images(folder)
        unread += found.unread
        if not found.images:
            empty.append(label)
            strange[label] += found.others
            continue
        if label in labels:
            raise DataError(
                f"two class folders of {root} have the same name {label!r}: they differ only in "
                "how their accents are stored",
                remedy="put the images of both into one of them",
            )
        labels.add(label)
        files.extend((path, label) for path in found.images)
    return _Look(Part(split, root, tuple(files), tuple(empty)), len(loose.images), +strange, unread)


def _filled(look: _Look) -> Part:
    """The part, if it has class folders with images.

    Raises:
        DataError: It has none, or one that holds the class folders in its turn.
    """
    root, empty = look.part.root, look.part.empty
    labels = {label for _, label in look.part.files}
    if len(labels) == 1:
        _refuse_wrapper(root, labels.pop())
    if look.part.files:
        return look.part
    if look.num_loose:
        raise DataError(
            f"{root} holds {look.num_loose} images and no class folders",
            expected=CLASS_FOLDERS,
            remedy="move the images into a folder per class, or write a CSV file of path,label",
        )
    if look.unread:
        raise DataError(
            f"{root} holds no image that can be read, only {kinds(look.unread)}",
            expected=CLASS_FOLDERS,
            remedy="convert them to JPEG first",
        )
    found = f"only empty folders: {some(empty)}" if empty else "and no class folders"
    raise DataError(f"{root} holds no images, {found}", expected=CLASS_FOLDERS)


def _refuse_wrapper(root: Path, label: str) -> None:
    wrapper = next(item for item in visible_folders(root) if clean_name(item.name) == label)
    inner = [item for item in visible_folders(wrapper) if find_images(item).images]
    divided = any(split_named(item.name) for item in inner)
    if (len(inner) > 1 or divided) and not find_images(wrapper, recursive=False).images:
        raise DataError(
            f"{root} holds one folder, and {wrapper.name} holds {_names(inner)}",
            expected=CLASS_FOLDERS,
            remedy=str(wrapper),
        )


def _notes(look: _Look) -> list[str]:
    part, notes = look.part, []
    if part.files and part.empty:
        notes.append(f"class folders without an image in {part.root.name}: {some(part.empty, 10)}")
    if part.files and look.strange:
        counts = [f"{label} {count}" for label, count in sorted(look.strange.items())]
        notes.append(
            f"of these, some hold files whose endings are no image's: {some(counts, 10)}; "
            "rename what are photos, such as to .jpg"
        )
    if part.files and look.num_loose:
        notes.append(
            f"images in {part.root.name} beside the class folders, left out: {look.num_loose}"
        )
    if look.unread:
        notes.append(f"files in {part.root.name} of kinds that are not read: {kinds(look.unread)}")
    return notes


def _nested_split_note(part: Part) -> list[str]:
    """Warn of parts that carry other names than the known ones: they would become classes."""
    labels = sorted({label for _, label in part.files})
    inner = []
    for folder in visible_folders(part.root):
        if clean_name(folder.name) in labels:
            if find_images(folder, recursive=False).images:
                return []
            inner.append({clean_name(item.name) for item in visible_folders(folder)})
    shared = set.intersection(*inner) if inner else set()
    if len(labels) < 2 or len(shared) < 2:
        return []
    return [
        f"{some(labels)} were taken for classes, but hold folders of the same names "
        f"({some(sorted(shared))}); if they are parts of the data, name them train and val"
    ]


def _names(folders: Sequence[Path]) -> str:
    return some([folder.name for folder in folders])
