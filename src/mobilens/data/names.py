"""Class names and their one order, the same on every platform and in every locale.

The rule: names are Unicode NFC (macOS and Linux store accents differently); they are compared
case-insensitively, runs of the digits 0 to 9 as numbers, so that "photo2" comes before "photo10";
names that are equal so far are compared character by character, upper case first.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

# What file managers, notebooks and archivers leave behind; names that begin with a dot as well.
HIDDEN_NAMES = frozenset(
    {
        "__macosx",
        "__pycache__",
        "@eadir",
        "lost+found",
        "system volume information",
        "$recycle.bin",
        "thumbs.db",
        "desktop.ini",
    }
)

_DIGITS = re.compile("([0-9]+)")
# As `spec.codec.is_plain` has it.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

ClassKey = tuple[tuple[str | tuple[int, str], ...], str]


def clean_name(text: str) -> str:
    """Give the NFC form; control characters, and bytes that are no text, become U+FFFD."""
    return unicodedata.normalize("NFC", _UNSHOWN.sub("�", text))


def class_key(name: str) -> ClassKey:
    """Sort key of the class order; distinct names have distinct keys."""
    name = clean_name(name)
    folded = unicodedata.normalize("NFC", name.casefold())
    # Words and numbers take turns, so that like is compared with like. A number is its length
    # without leading zeros, then its digits: the order of integers, without their size limit.
    parts: list[str | tuple[int, str]] = []
    for index, part in enumerate(_DIGITS.split(folded)):
        digits = part.lstrip("0")
        parts.append((len(digits), digits) if index % 2 else part)
    return tuple(parts), name


def order_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Put class names in order, each once.

    Args:
        names: In any order, possibly repeated.
    """
    return tuple(sorted({clean_name(name) for name in names}, key=class_key))


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of the person's doing."""
    return name.startswith(".") or name.lower() in HIDDEN_NAMES


def relative_name(path: Path, root: Path) -> str:
    """Name a file by its way from ``root``: with slashes and NFC, the same on every platform.

    A file outside ``root`` is named with ``..``, or in full where there is no such way.
    """
    try:
        text = path.relative_to(root).as_posix()
    except ValueError:
        try:
            text = Path(os.path.relpath(path, root)).as_posix()
        except ValueError:  # another drive of Windows
            text = path.as_posix()
    return clean_name(text)
