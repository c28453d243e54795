"""Frozen dataclasses to plain JSON values and back, with every field checked."""

from __future__ import annotations

import dataclasses
import functools
import numbers
import operator
import reprlib
import types
import typing
import unicodedata
from typing import Any, Literal, TypeVar, Union

from mobilens.errors import SpecError

T = TypeVar("T")

# Clipped in depth and length: what is shown was given by others.
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = 60


def is_plain(text: str) -> bool:
    """Whether a name can be shown: no control characters, line breaks or halves of characters."""
    return not any(unicodedata.category(mark) in ("Cc", "Cs", "Zl", "Zp") for mark in text)


def to_json(value: Any) -> Any:
    """Turn a dataclass (or a tuple, mapping or scalar inside one) into JSON values.

    A class attribute ``kind`` is written first, so that a union of dataclasses can be read back.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = getattr(type(value), "kind", None)
        head = {} if kind is None else {"kind": kind}
        return head | {
            field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return value


def from_json(kind: type[T], value: Any, where: str) -> T:
    """Build a value of a type from JSON values.

    Args:
        kind: A dataclass, or anything that may annotate a field of one: int, float, bool, str,
            ``tuple[X, ...]``, ``tuple[X, Y]``, ``dict[str, X]``, ``Literal`` or a union.
        value: What ``json.loads`` gave; a dataclass in its place is checked field by field.
        where: Name of the value for error messages, such as ``"row 3"``.

    Raises:
        SpecError: A field is missing, unknown, or of another type.
    """
    return typing.cast(T, _read(kind, value, where))


def read_fields(value: Any, where: str) -> dict[str, Any]:
    """Give the fields of a dataclass by name as their types want them: tuples for lists.

    Raises:
        SpecError: A field holds another type than it declares.
    """
    kind: Any = type(value)
    hints = _hints(kind)
    return {
        field.name: _read(hints[field.name], getattr(value, field.name), _place(where, field.name))
        for field in dataclasses.fields(value)
    }


_hints = functools.cache(typing.get_type_hints)


def _read(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(typing.cast(type, kind), value, where)
    if origin in (Union, types.UnionType):
        return _read_union(arguments, value, where)
    if origin is Literal:
        if not isinstance(value, str) or value not in arguments:
            raise _wrong(where, "one of " + ", ".join(map(repr, arguments)), value)
        return value
    if origin is tuple:
        return _read_tuple(arguments, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        return {key: _read(arguments[1], item, _place(where, key)) for key, item in value.items()}
    if kind is Any:
        return value
    if kind is float and type(value) is not bool and isinstance(value, numbers.Real):
        try:
            return float(value)
        except OverflowError:
            raise _wrong(where, "a number below 1e308", value) from None
    if kind is int and not isinstance(value, int) and hasattr(value, "__index__"):
        value = operator.index(value)  # NumPy's integers
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise _wrong(where, f"a {kind.__name__}", value)
    return value


def _read_dataclass(kind: Any, value: Any, where: str) -> Any:
    if isinstance(value, kind):
        read = read_fields(value, where)
        changed = {key: item for key, item in read.items() if item is not getattr(value, key)}
        return dataclasses.replace(value, **changed) if changed else value
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    hints = _hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    given = dict(value)
    if "kind" not in fields and hasattr(kind, "kind"):
        named = given.pop("kind", kind.kind)
        if named != kind.kind:
            raise _wrong(f"{where}, kind", repr(kind.kind), named)
    unknown = sorted(set(given) - set(fields))
    if unknown:
        raise SpecError(f"{where} has a field {unknown[0]!r}", expected="only " + ", ".join(fields))
    for name, field in fields.items():
        optional = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if name not in given and not optional:
            raise SpecError(f"{where} has no field {name!r}", expected=", ".join(fields))
    return kind(**{key: _read(hints[key], item, _place(where, key)) for key, item in given.items()})


def _read_union(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    choices = [argument for argument in arguments if argument is not type(None)]
    if len(choices) == 1:
        return _read(choices[0], value, where)
    by_kind = {choice.kind: choice for choice in choices if hasattr(choice, "kind")}
    if by_kind:
        given = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        if not isinstance(given, str) or given not in by_kind:
            raise _wrong(f"{where}, kind", "one of " + ", ".join(by_kind), given)
        return _read(by_kind[given], value, where)
    for choice in choices:
        try:
            return _read(choice, value, where)
        except SpecError:
            continue
    raise _wrong(where, " or ".join(getattr(c, "__name__", str(c)) for c in choices), value)


def _read_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise _wrong(where, "a list", value)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_read(arguments[0], item, _place(where, i)) for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise _wrong(where, f"{len(arguments)} values", value)
    return tuple(
        _read(kind, item, _place(where, i))
        for i, (kind, item) in enumerate(zip(arguments, value, strict=True))
    )


def _place(where: str, key: str | int) -> str:
    """Name of a part of a value: fields by name, and "rows" counts as "row 3"."""
    if isinstance(key, int):
        return f"{where.removesuffix('s')} {key}"
    return f"{where}, {key}"


def _wrong(where: str, expected: str, given: Any) -> SpecError:
    shown = _SHOWN.repr(given)
    return SpecError(
        f"{where} is {shown if len(shown) < 60 else shown[:57] + '...'}", expected=expected
    )
