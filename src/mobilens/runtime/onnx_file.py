"""The outside of an ONNX file: its weights and notes by name, read without the onnx package.

An ONNX file is one protobuf message. Only the few fields that a proof needs are looked into; every
length is checked against what holds it, so bytes that lie end in a BundleError and nothing else.
Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto);
the encoding is https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mobilens.errors import BundleError

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5

MODEL_GRAPH, MODEL_METADATA = 7, 14
GRAPH_INITIALISER = 5
TENSOR_DIMS, TENSOR_DATA_TYPE, TENSOR_NAME = 1, 2, 8
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14
# float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data
TENSOR_VALUES = frozenset((4, 5, 6, 7, 9, 10, 11))
EXTERNAL = 1
FILE_NAME = b"location"
NOTE_KEY, NOTE_VALUE = 1, 2


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


@dataclass(frozen=True)
class Tensor:
    """A weight of the graph.

    Attributes:
        name: Its name.
        data_type: ONNX's number for the type of its values, such as 1 for float32.
        dims: Its shape.
        values: Fields that hold the values; one, ``raw_data``, as a rule.
        file: Name of another file that holds them; None where this one does.
    """

    name: str
    data_type: int
    dims: tuple[int, ...]
    values: tuple[Field, ...]
    file: str | None = None


@dataclass(frozen=True)
class Note:
    """An entry of the file's ``metadata_props``.

    Attributes:
        key: Its key, as bytes.
        value: Its value, as bytes.
        start: Offset of the first byte of the entry.
        end: Offset behind its last byte.
    """

    key: bytes
    value: bytes
    start: int
    end: int


@dataclass(frozen=True)
class OnnxFile:
    """A file taken apart.

    Attributes:
        data: Every byte of it.
        tensors: Weights in the order of the file.
        notes: Metadata in the order of the file.
    """

    data: bytes
    tensors: tuple[Tensor, ...]
    notes: tuple[Note, ...]

    def other_files(self) -> tuple[str, ...]:
        """Give the names of other files that hold weights."""
        names = (tensor.file for tensor in self.tensors)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def require_whole(self) -> None:
        """Refuse a file that does not hold all its weights.

        Raises:
            BundleError: A weight lies in another file.
        """
        if self.other_files():
            raise BundleError(
                "a weight lies in another file",
                expected="one file that holds every weight",
                remedy="save the model without external data",
            )


def parse(data: bytes) -> OnnxFile:
    """Take a file apart.

    Raises:
        BundleError: The bytes are no ONNX file, or two weights share a name.
    """
    graph: Field | None = None
    notes: list[Note] = []
    for field in _fields(data, 0, len(data)):
        if field.number == MODEL_GRAPH:
            if graph is not None:
                raise _malformed("a second graph", field.start)
            graph = _bytes_field(field)
        elif field.number == MODEL_METADATA:
            notes.append(_note(data, _bytes_field(field)))
    if graph is None:
        raise BundleError("the bytes hold no graph", expected="an ONNX file")
    tensors: dict[str, Tensor] = {}
    for field in _fields(data, graph.payload, graph.end):
        if field.number == GRAPH_INITIALISER:
            tensor = _tensor(data, _bytes_field(field))
            if tensor.name in tensors:
                raise _malformed(f"a second weight named {tensor.name!r}", field.start)
            tensors[tensor.name] = tensor
    return OnnxFile(data, tuple(tensors.values()), tuple(notes))


def encode_note(key: bytes, value: bytes) -> bytes:
    """Encode an entry of ``metadata_props``, ready to stand in a file."""
    entry = _encode_bytes(NOTE_KEY, key) + _encode_bytes(NOTE_VALUE, value)
    return _encode_bytes(MODEL_METADATA, entry)


def _note(data: bytes, field: Field) -> Note:
    parts = {NOTE_KEY: b"", NOTE_VALUE: b""}
    for part in _fields(data, field.payload, field.end):
        if part.number in parts:
            parts[part.number] = data[_bytes_field(part).payload : part.end]
    return Note(parts[NOTE_KEY], parts[NOTE_VALUE], field.start, field.end)


def _tensor(data: bytes, field: Field) -> Tensor:
    name, data_type = "", 0
    dims: list[int] = []
    values: list[Field] = []
    outside, file = False, ""
    for part in _fields(data, field.payload, field.end):
        if part.number in TENSOR_VALUES:
            values.append(part)
        elif part.number == TENSOR_NAME:
            name = _text(data, _bytes_field(part))
        elif part.number == TENSOR_DATA_TYPE:
            data_type = part.value
        elif part.number == TENSOR_DIMS:
            dims.extend(_varints(data, part))
        elif part.number == TENSOR_LOCATION:
            outside = part.value == EXTERNAL
        elif part.number == TENSOR_EXTERNAL:
            entry = _note(data, _bytes_field(part))  # a key and a value, as notes are
            if entry.key == FILE_NAME:
                file = entry.value.decode(errors="replace")
    return Tensor(name, data_type, tuple(dims), tuple(values), file if outside else None)


def _fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    """Walk the fields of the message between two offsets."""
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
            raise _malformed(f"a field of unknown encoding {wire}", position)
        if number == 0:
            raise _malformed("a field without a number", position)
        if stop > end:
            raise _malformed("a field longer than what holds it", position)
        yield Field(number, wire, position, payload, stop, value)
        position = stop


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Read a number of seven bits a byte: the number, and the offset behind it."""
    value = 0
    for index in range(10):
        if position + index >= end:
            raise _malformed("a number cut short", position)
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise _malformed("a number of more than ten bytes", position)


def _varints(data: bytes, field: Field) -> Iterator[int]:
    """Read a repeated number, packed or not."""
    if field.wire == VARINT:
        yield field.value
        return
    position = _bytes_field(field).payload
    while position < field.end:
        value, position = _varint(data, position, field.end)
        yield value


def _bytes_field(field: Field) -> Field:
    if field.wire != BYTES:
        raise _malformed(f"field {field.number} in encoding {field.wire}", field.start)
    return field


def _text(data: bytes, field: Field) -> str:
    try:
        return data[field.payload : field.end].decode()
    except UnicodeDecodeError:
        raise _malformed("a name that is not UTF-8", field.start) from None


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _encode_bytes(number: int, payload: bytes) -> bytes:
    return _encode_varint(number << 3 | BYTES) + _encode_varint(len(payload)) + payload


def _malformed(what: str, offset: int) -> BundleError:
    return BundleError(f"at byte {offset:,} stands {what}", expected="an ONNX file")
