"""Protobuf messages as bytes, read and written without any library.

Every length is checked against what holds it, so bytes that lie end in a BundleError and nothing
else. The encoding is https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mobilens.errors import BundleError

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: Which field it is.
        wire: How it is encoded: ``VARINT``, ``EIGHT_BYTES``, ``BYTES`` or ``FOUR_BYTES``.
        start: Offset of its first byte, the tag.
        payload: Offset of its value, behind tag and length.
        end: Offset behind its last byte.
        value: The number of a varint; 0 otherwise.
    """

    number: int
    wire: int
    start: int
    payload: int
    end: int
    value: int


def fields_between(data: bytes, start: int, end: int) -> Iterator[Field]:
    """Walk the fields of the message between two offsets.

    Raises:
        BundleError: The bytes between them are no message.
    """
    position = start
    while position < end:
        tag, payload = _varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        value = 0
        if wire == VARINT:
            value, stop = _varint(data, payload, end)
        elif wire == BYTES:
            length, payload = _varint(data, payload, end)
            stop = payload + length
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            stop = payload + (8 if wire == EIGHT_BYTES else 4)
        else:
            raise malformed(f"a field of unknown encoding {wire}", position)
        if number == 0:
            raise malformed("a field without a number", position)
        if stop > end:
            raise malformed("a field longer than what holds it", position)
        yield Field(number, wire, position, payload, stop, value)
        position = stop


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Read a number of seven bits a byte: the number, and the offset behind it."""
    value = 0
    for index in range(10):
        if position + index >= end:
            raise malformed("a number cut short", position)
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise malformed("a number of more than ten bytes", position)


def varints(data: bytes, field: Field) -> Iterator[int]:
    """Read a repeated number, packed or not."""
    if field.wire == VARINT:
        yield field.value
        return
    position = bytes_field(field).payload
    while position < field.end:
        value, position = _varint(data, position, field.end)
        yield value


def bytes_field(field: Field) -> Field:
    """Give a field that holds a text, bytes or a message; refuse any other.

    Raises:
        BundleError: It is encoded as something else.
    """
    if field.wire != BYTES:
        raise malformed(f"field {field.number} in encoding {field.wire}", field.start)
    return field


def encode_varint(value: int) -> bytes:
    """Encode a number of 0 or more in seven bits a byte."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_number(number: int, value: int) -> bytes:
    """Encode a field that holds a number."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value)


def encode_bytes(number: int, payload: bytes) -> bytes:
    """Encode a field that holds a text, bytes or a message."""
    return encode_varint(number << 3 | BYTES) + encode_varint(len(payload)) + payload


def malformed(what: str, offset: int) -> BundleError:
    """Say what is wrong with the bytes at an offset."""
    return BundleError(f"at byte {offset:,} stands {what}")
