"""The outside of an ONNX file: its weights and notes by name, read without the onnx package.

An ONNX file is one protobuf message. Only the few fields that a proof needs are looked into; field
numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from dataclasses import dataclass

from mobilens.errors import BundleError
from mobilens.runtime.protobuf import (
    Field,
    bytes_field,
    encode_bytes,
    fields_between,
    malformed,
    varints,
)

MODEL_GRAPH, MODEL_METADATA = 7, 14
GRAPH_INITIALISER = 5
TENSOR_DIMS, TENSOR_DATA_TYPE, TENSOR_NAME = 1, 2, 8
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14
# float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data
TENSOR_VALUES = frozenset((4, 5, 6, 7, 9, 10, 11))
EXTERNAL = 1
FILE_NAME = b"location"
NOTE_KEY, NOTE_VALUE = 1, 2


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
    for field in fields_between(data, 0, len(data)):
        if field.number == MODEL_GRAPH:
            if graph is not None:
                raise malformed("a second graph", field.start)
            graph = bytes_field(field)
        elif field.number == MODEL_METADATA:
            notes.append(_note(data, bytes_field(field)))
    if graph is None:
        raise BundleError("the bytes hold no graph", expected="an ONNX file")
    tensors: dict[str, Tensor] = {}
    for field in fields_between(data, graph.payload, graph.end):
        if field.number == GRAPH_INITIALISER:
            tensor = _tensor(data, bytes_field(field))
            if tensor.name in tensors:
                raise malformed(f"a second weight named {tensor.name!r}", field.start)
            tensors[tensor.name] = tensor
    return OnnxFile(data, tuple(tensors.values()), tuple(notes))


def encode_note(key: bytes, value: bytes) -> bytes:
    """Encode an entry of ``metadata_props``, ready to stand in a file."""
    entry = encode_bytes(NOTE_KEY, key) + encode_bytes(NOTE_VALUE, value)
    return encode_bytes(MODEL_METADATA, entry)


def _note(data: bytes, field: Field) -> Note:
    parts = {NOTE_KEY: b"", NOTE_VALUE: b""}
    for part in fields_between(data, field.payload, field.end):
        if part.number in parts:
            parts[part.number] = data[bytes_field(part).payload : part.end]
    return Note(parts[NOTE_KEY], parts[NOTE_VALUE], field.start, field.end)


def _tensor(data: bytes, field: Field) -> Tensor:
    name, data_type = "", 0
    dims: list[int] = []
    values: list[Field] = []
    outside, file = False, ""
    for part in fields_between(data, field.payload, field.end):
        if part.number in TENSOR_VALUES:
            values.append(part)
        elif part.number == TENSOR_NAME:
            name = _text(data, bytes_field(part))
        elif part.number == TENSOR_DATA_TYPE:
            data_type = part.value
        elif part.number == TENSOR_DIMS:
            dims.extend(varints(data, part))
        elif part.number == TENSOR_LOCATION:
            outside = part.value == EXTERNAL
        elif part.number == TENSOR_EXTERNAL:
            entry = _note(data, bytes_field(part))  # a key and a value, as notes are
            if entry.key == FILE_NAME:
                file = entry.value.decode(errors="replace")
    return Tensor(name, data_type, tuple(dims), tuple(values), file if outside else None)


def _text(data: bytes, field: Field) -> str:
    try:
        return data[field.payload : field.end].decode()
    except UnicodeDecodeError:
        raise malformed("a name that is not UTF-8", field.start) from None
