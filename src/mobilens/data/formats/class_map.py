"""Class maps: files that say which value or colour of a mask stands for which class.

Text or CSV, a class in each line: its name alone (the first is the value 0), ``value name`` or
``name: value``, or its colour, ``r g b name`` or ``name r g b``. JSON or YAML: a list of names, or
names by value, values by name or colours by name, alone or under ``classes`` or ``names``.
Several values may stand for one class; those of a class named void, ignore or unlabeled do not
count, and neither does the value 255.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from mobilens.data.names import clean_name, is_hidden
from mobilens.errors import DataError
from mobilens.vision.masks import MAX_CLASSES, VOID

Colour = tuple[int, int, int]

SUFFIXES = (".txt", ".csv", ".json", ".yaml", ".yml")
# Stems that are a class map's, the likeliest first; people and programs write each of them.
STEMS = (
    "classes",
    "class_names",
    "_classes",
    "class_dict",
    "label_colors",
    "labelmap",
    "semantic",
)
EXPECTED = (
    "a class in each line: its name, 'value name' or 'r g b name'; or JSON or YAML with a list of "
    "names, names by value, or colours by name"
)
_VOID_NAMES = {
    "void",
    "ignore",
    "ignored",
    "unlabeled",
    "unlabelled",
    "unknown",
    "background-void",
}
_INNER_KEYS = ("classes", "names")
_HEADERS = {"name", "names", "class", "classes", "label", "labels"}

_BETWEEN = r"[\s,:;]+"
_NUMBERS = _BETWEEN.join([r"(\d+)"] * 3)
_COLOUR_NAME = re.compile(rf"{_NUMBERS}{_BETWEEN}(\S.*)")
_NAME_COLOUR = re.compile(rf"(\S.*?){_BETWEEN}{_NUMBERS}[\s,:;]*")
_VALUE_NAME = re.compile(r"(\d+)[\s,:;=]+(\S.*)")
# Not with a space alone: "level 2" is a name.
_NAME_VALUE = re.compile(r"(\S.*?)\s*[,:;=\t]\s*(\d+)")


@dataclass(frozen=True)
class ClassMap:
    """What values or colours stand for.

    Attributes:
        name: The file, or whose convention it is, for messages.
        values: Class of each value; None where it does not count.
        colours: Class of each colour likewise; one of both is empty.
        numbered: Whether the file says the values, in place of an order of names.
    """

    name: str
    values: Mapping[int, str | None] = field(default_factory=dict)
    colours: Mapping[Colour, str | None] = field(default_factory=dict)
    numbered: bool = True

    def class_names(self) -> tuple[str, ...]:
        """Classes that count, each once: in the order of their values, or of the file."""
        in_order = [self.values[value] for value in sorted(self.values)] or self.colours.values()
        return tuple(dict.fromkeys(name for name in in_order if name is not None))


def find_class_map(folders: Sequence[Path]) -> ClassMap | None:
    """Read the class map in the first of some folders that has one.

    Raises:
        DataError: It cannot be read as one.
    """
    for folder in folders:
        with_stem = {
            path.name.casefold(): path
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in SUFFIXES and not is_hidden(path.name)
        }
        for name in (stem + suffix for stem in STEMS for suffix in SUFFIXES):
            if name in with_stem:
                return read_class_map(with_stem[name])
    return None


def read_class_map(path: Path) -> ClassMap:
    """Read a class map of any form.

    Raises:
        DataError: There is no such file, or it is none.
    """
    if not path.is_file():
        raise DataError(f"there is no class map at {path}", expected=EXPECTED)
    text = path.read_text("utf-8-sig", errors="replace")
    if path.suffix.lower() == ".json":
        return _of_content(path, _parsed(path, text, json.loads))
    if path.suffix.lower() in (".yaml", ".yml"):
        return _of_content(path, _parsed(path, text, yaml.safe_load))
    return _of_lines(path, text)


def is_void(name: str) -> bool:
    """Whether a class of this name stands for pixels that do not count."""
    return name.casefold() in _VOID_NAMES


# Text


def _of_lines(path: Path, text: str) -> ClassMap:
    lines = [line.strip().replace('"', "") for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    for pattern, build in (
        (_COLOUR_NAME, _colour_first),
        (_NAME_COLOUR, _colour_last),
        (_VALUE_NAME, _value_first),
        (_NAME_VALUE, _value_last),
    ):
        rows = [pattern.fullmatch(line) for line in lines]
        if len(rows) > 1 and rows[0] is None:
            rows = rows[1:]  # a header
        if rows and all(rows):
            return build(path, [row.groups() for row in rows if row])
    if path.suffix.lower() == ".csv" and any("," in line for line in lines):
        raise DataError(f"{path} is no class map: {lines[0][:60]!r}", expected=EXPECTED)
    if lines and lines[0].casefold() in _HEADERS:
        lines = lines[1:]
    return _by_value(path, list(enumerate(lines)), numbered=False)


def _colour_first(path: Path, rows: Sequence[tuple[str, ...]]) -> ClassMap:
    return _by_colour(path, [(row[3], row[:3]) for row in rows])


def _colour_last(path: Path, rows: Sequence[tuple[str, ...]]) -> ClassMap:
    return _by_colour(path, [(row[0], row[1:]) for row in rows])


def _value_first(path: Path, rows: Sequence[tuple[str, ...]]) -> ClassMap:
    return _by_value(path, [(value, name) for value, name in rows])


def _value_last(path: Path, rows: Sequence[tuple[str, ...]]) -> ClassMap:
    return _by_value(path, [(value, name) for name, value in rows])


# JSON and YAML


def _parsed(path: Path, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        kind = "JSON" if path.suffix.lower() == ".json" else "YAML"
        words = " ".join(str(error).split())
        raise DataError(f"{path} is not {kind}: {words}", expected=EXPECTED) from None


def _of_content(path: Path, content: Any) -> ClassMap:
    if isinstance(content, dict):
        content = next((content[key] for key in _INNER_KEYS if key in content), content)
    if isinstance(content, list):
        return _by_value(path, list(enumerate(content)), numbered=False)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path} is no class map: {content!r:.60}", expected=EXPECTED)
    values = list(content.values())
    if all(isinstance(value, list) for value in values):
        return _by_colour(path, list(content.items()))
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return _by_value(path, [(value, name) for name, value in content.items()])
    return _by_value(path, list(content.items()))


# What both come to


def _by_value(path: Path, rows: Sequence[tuple[Any, Any]], *, numbered: bool = True) -> ClassMap:
    values: dict[int, str | None] = {}
    for value, name in _checked(path, rows):
        number = _byte(path, value)
        if number in values:
            raise DataError(f"{path} names the value {number} twice", expected="one class for each")
        values[number] = None if is_void(name) or number == VOID else name
    return _sensible(path, ClassMap(str(path), values, numbered=numbered))


def _by_colour(path: Path, rows: Sequence[tuple[Any, Any]]) -> ClassMap:
    colours: dict[Colour, str | None] = {}
    for parts, name in _checked(path, [(parts, name) for name, parts in rows]):
        if len(parts) != 3:
            raise DataError(f"{path} has {parts!r:.60} for {name}", expected="red, green and blue")
        red, green, blue = (_byte(path, part) for part in parts)
        if (red, green, blue) in colours:
            raise DataError(
                f"{path} names the colour {red} {green} {blue} twice", expected="one class for each"
            )
        colours[red, green, blue] = None if is_void(name) else name
    return _sensible(path, ClassMap(str(path), colours=colours))


def _checked(path: Path, rows: Sequence[tuple[Any, Any]]) -> Iterator[tuple[Any, str]]:
    for key, name in rows:
        if isinstance(name, bool) or not isinstance(name, str | int) or not f"{name}".strip():
            raise DataError(
                f"{path} has {name!r:.60} for the class of {key!r:.60}",
                expected="a name",
                remedy="put it in quotes: YAML takes yes, no, on and off for something else",
            )
        yield key, clean_name(f"{name}".strip())


def _byte(path: Path, value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdecimal() or int(value) > 255:
        raise DataError(f"{path} has the value {value!r:.60}", expected="0 to 255")
    return int(value)


def _sensible(path: Path, class_map: ClassMap) -> ClassMap:
    names = class_map.class_names()
    if not names:
        raise DataError(f"{path} names no classes", expected=EXPECTED)
    if len(names) > MAX_CLASSES:
        raise DataError(f"{path} names {len(names)} classes", expected=f"up to {MAX_CLASSES}")
    if len(names) == 1:
        raise DataError(
            f"{path} names one class only: {names[0]}",
            expected="two or more",
            remedy="name what is around it too, such as '0 background'",
        )
    return class_map
