"""Core ML: a folder, whose main file holds the manifest in its metadata that users define.

Field numbers are those of Model.proto (https://github.com/apple/coremltools/tree/main/mlmodel/format).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from mobilens.errors import BundleError
from mobilens.runtime.formats import FORMATS, Contents, read_part
from mobilens.runtime.protobuf import BYTES, Field, bytes_field, encode_bytes, fields_between

MAIN = FORMATS["coreml"].main
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
CONTENTS = "Manifest.json"
# Beside the weights there are two small files; more has no place here.
MAX_FILES = 64
LITTER = ".DS_Store"  # macOS leaves it in folders that somebody looked into

MANIFEST_KEY, HASH_KEY = b"mobilens", b"mobilens_sha256"
OWN_KEYS = (MANIFEST_KEY, HASH_KEY)
MODEL_DESCRIPTION, DESCRIPTION_METADATA = 2, 100
METADATA_ENTRY = 100
KEY, VALUE = 1, 2  # of an entry of any map


def take_apart(data: bytes, path: Path) -> Contents:
    """Find the manifest and hash the rest, the weights for themselves.

    Args:
        data: Every byte of the main file.
        path: The folder.

    Raises:
        BundleError: It is no Core ML package.
    """
    if not path.is_dir():
        raise BundleError("it is a part of a model", expected="a folder that ends in .mlpackage")
    text, rest = _divided(data)
    files = _others(path)
    digest = hashlib.sha256(rest)
    for name in sorted(files.keys() - {WEIGHTS}):
        held = _canonical(files[name]) if name == CONTENTS else files[name]
        digest.update(f"{name} {len(held)} ".encode())
        digest.update(held)
    weights = files.get(WEIGHTS)
    return Contents(
        size_bytes=len(data) + sum(map(len, files.values())),
        manifest=text,
        intact=text is not None and place(data, text) == data,
        tensors={} if weights is None else {"weights": hashlib.sha256(weights).hexdigest()},
        graph=digest.hexdigest(),
    )


def place(data: bytes, text: bytes) -> bytes:
    """Put the text of a manifest in, in place of one that is there.

    Raises:
        BundleError: The bytes are no Core ML model.
    """
    own = {MANIFEST_KEY: text, HASH_KEY: hashlib.sha256(text).hexdigest().encode("ascii")}
    entries = b"".join(
        encode_bytes(METADATA_ENTRY, encode_bytes(KEY, key) + encode_bytes(VALUE, value))
        for key, value in own.items()
    )
    description = only_field(data, whole(data), MODEL_DESCRIPTION, "description")
    metadata = only_field(data, description, DESCRIPTION_METADATA, "metadata")
    kept = b"".join(
        data[entry.start : entry.end]
        for entry in fields_between(data, metadata.payload, metadata.end)
        if entry.number != METADATA_ENTRY or map_entry(data, entry)[0] not in OWN_KEYS
    )
    inner = _replaced(data, description, metadata, encode_bytes(metadata.number, kept + entries))
    outer = encode_bytes(description.number, inner)
    return data[: description.start] + outer + data[description.end :]


def _divided(data: bytes) -> tuple[bytes | None, bytes]:
    """The manifest's text, and the main file without it."""
    description = only_field(data, whole(data), MODEL_DESCRIPTION, "description")
    metadata = only_field(data, description, DESCRIPTION_METADATA, "metadata")
    text, kept = None, []
    for field in fields_between(data, metadata.payload, metadata.end):
        key, value = map_entry(data, field) if field.number == METADATA_ENTRY else (b"", b"")
        if key == MANIFEST_KEY:
            text = value
        elif key == HASH_KEY:
            text = text or b""
        else:
            kept.append(data[field.start : field.end])
    bare = encode_bytes(metadata.number, b"".join(kept))
    inner = _replaced(data, description, metadata, bare)
    outer = encode_bytes(description.number, inner)
    return text, data[: description.start] + outer + data[description.end :]


def _replaced(data: bytes, around: Field, part: Field, new: bytes) -> bytes:
    """What a message holds, with other bytes for one of its fields."""
    return data[around.payload : part.start] + new + data[part.end : around.end]


def whole(data: bytes) -> Field:
    """Give all bytes as if they were a field that holds a message."""
    return Field(0, BYTES, 0, 0, len(data), 0)


def only_field(data: bytes, around: Field, number: int, name: str) -> Field:
    """Find the one field of this number in the message that another holds.

    Raises:
        BundleError: There is none, or more.
    """
    fields = fields_between(data, around.payload, around.end)
    found = [field for field in fields if field.number == number]
    if len(found) != 1:
        raise BundleError(f"it has {len(found)} fields for its {name}", expected="one")
    return bytes_field(found[0])


def map_entry(data: bytes, field: Field) -> tuple[bytes, bytes]:
    """Give key and value of an entry of a map."""
    parts = {KEY: b"", VALUE: b""}
    for part in fields_between(data, bytes_field(field).payload, field.end):
        if part.number in parts:
            parts[part.number] = data[bytes_field(part).payload : part.end]
    return parts[KEY], parts[VALUE]


def _canonical(data: bytes) -> bytes:
    """What the list of contents says: Apple's tools write it anew whenever they open a package."""
    try:
        return json.dumps(json.loads(data), sort_keys=True).encode()
    except (ValueError, RecursionError):
        return data


def _others(path: Path) -> dict[str, bytes]:
    """All files of the folder but the main one, by their names from it."""
    names = sorted(
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if file.name != LITTER and not file.is_dir()
    )
    if len(names) > MAX_FILES:
        raise BundleError(f"{len(names)} files are in the folder", expected=f"at most {MAX_FILES}")
    try:
        return {name: read_part(path / name) for name in names if name != MAIN}
    except OSError as error:
        raise BundleError(f"{error.filename} cannot be read: {error.strerror}") from None
