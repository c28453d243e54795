"""A list of patterns, folders and files; the label is the name of the folder that holds a file.

``cats/*.jpg`` gives "cats". ``**`` stands for folders below: in ``dogs/**/*.png`` all belong to
"dogs", the folder before it; so do all images below a folder that is named without a pattern.
``label=pattern`` names the label outright.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from pathlib import Path

from mobilens.data.files import common_folder, find_images, has_image_suffix, kinds
from mobilens.data.listing import Listing, Part, some, split_named
from mobilens.data.names import clean_name, is_hidden
from mobilens.errors import DataError


def recognises(arguments: tuple[str, ...]) -> bool:
    """Whether the source is a list, or one pattern."""
    return len(arguments) > 1 or any(glob.has_magic(item) or "=" in item for item in arguments)


def read(arguments: tuple[str, ...]) -> Listing:
    """List the images that the patterns match.

    Raises:
        DataError: A pattern matches no image, or one file gets two labels.
    """
    label_of: dict[Path, str] = {}
    unread: Counter[str] = Counter()
    for argument in arguments:
        found = _match(argument, unread)
        if not found:
            raise DataError(
                f"no image matches {argument!r}",
                expected="patterns such as 'cats/*.jpg' or cats='photos/cat*.jpg'",
                remedy="put the pattern in quotes, and look at the current folder",
            )
        for path, label in found:
            if label_of.setdefault(path, label) != label:
                raise DataError(
                    f"{path} gets two labels: {label_of[path]!r} and, by {argument!r}, {label!r}",
                    expected="patterns of which each file matches one",
                )
    _refuse_parts(set(label_of.values()))
    root = common_folder([path.parent.parent for path in label_of])
    notes = [f"files of kinds that are not read: {kinds(unread)}"] if unread else []
    parts = sorted({name for path in label_of for name in _part_names(path, root)})
    if len(parts) > 1:
        notes.append(
            f"images of {some(parts)} are put together, since patterns do not divide: give the "
            "folder around them to keep these parts"
        )
    return Listing(" ".join(arguments), (Part(None, root, tuple(label_of.items())),), tuple(notes))


def _refuse_parts(labels: set[str]) -> None:
    """Parts of the data are no classes; such a mistake would end in a net that tells them apart."""
    if len(labels) > 1 and all(map(split_named, labels)):
        raise DataError(
            f"{some(sorted(labels))} would be the classes, but are names of parts of the data",
            expected="patterns or folders of classes",
            remedy="give the folder that holds these",
        )


def _part_names(path: Path, root: Path) -> list[str]:
    """Folders between the root and a file's own that bear the name of a part."""
    inner = Path(os.path.relpath(path, root)).parts[:-2]
    return [name for name in inner if split_named(name)]


def located(argument: str, folder: Path) -> str:
    """The same pattern, folder or file for who looks from another folder than ``folder``."""
    label, pattern = _named_label(argument, folder)
    # A home stays what it is, from anywhere.
    path = pattern if pattern.startswith("~") else str(folder / pattern)
    return f"{label}={path}" if label else path


def _match(argument: str, unread: Counter[str]) -> list[tuple[Path, str]]:
    """Files with their labels; pictures of folders that are not read are counted."""
    label, pattern = _named_label(argument, Path())
    if not pattern:
        return []
    path = Path(pattern).expanduser()
    if path.is_file():
        return [(path, label or _folder_name(path.parent))] if has_image_suffix(path.name) else []
    if path.is_dir():
        inside = find_images(path)
        unread += inside.unread
        return [(image, label or _folder_name(path)) for image in inside.images]
    if "**" in path.parts:
        return _match_below(path, label)
    return [
        (match, label or _folder_name(match.parent))
        for match in map(Path, glob.glob(str(path)))  # noqa: PTH207 (absolute patterns too)
        if has_image_suffix(match.name) and not is_hidden(match.name) and not match.is_dir()
    ]


def _match_below(pattern: Path, label: str) -> list[tuple[Path, str]]:
    at = pattern.parts.index("**")
    head, tail = Path(*pattern.parts[:at]), Path(*pattern.parts[at + 1 :])
    if "**" in tail.parts:
        raise DataError(f"{str(pattern)!r} holds ** twice", expected="one ** at most")
    found = []
    for folder in map(Path, glob.glob(str(head))):  # noqa: PTH207 (absolute patterns too)
        named = label or (_folder_name(folder) if head.name not in ("", "..") else "")
        for image in find_images(folder).images if folder.is_dir() else ():
            if not tail.parts or image.relative_to(folder).match(str(tail)):
                found.append((image, named or _folder_name(image.parent)))
    return found


def _named_label(argument: str, folder: Path) -> tuple[str, str]:
    label, separator, pattern = argument.partition("=")
    is_label = separator and label.strip() and not any(mark in label for mark in "/\\*?[")
    if is_label and not (folder / argument).exists():
        return clean_name(label.strip()), pattern
    return "", argument


def _folder_name(folder: Path) -> str:
    return clean_name(folder.name or folder.resolve().name)
