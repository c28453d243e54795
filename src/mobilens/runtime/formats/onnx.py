"""ONNX: the manifest and its hash are two entries of ``metadata_props``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from mobilens.runtime import onnx_file, seal
from mobilens.runtime.formats import Contents
from mobilens.runtime.onnx_file import OnnxFile

MANIFEST_KEY = b"mobilens"
HASH_KEY = b"mobilens_sha256"
OWN_KEYS = (MANIFEST_KEY, HASH_KEY)


def take_apart(data: bytes, path: Path) -> Contents:
    """Find the manifest and hash the rest, each weight for itself.

    Raises:
        BundleError: The bytes are no ONNX file, or one with a manifest that does not hold all its
            weights.
    """
    file = onnx_file.parse(data)
    text, intact = _manifest(file)
    if text is not None:
        file.require_whole()
    return Contents(
        size_bytes=len(data) + _size_beside(file, path.parent),
        manifest=text,
        intact=intact,
        tensors=seal.tensor_hashes(file),
        graph=seal.graph_hash(file, OWN_KEYS),
    )


def place(data: bytes, text: bytes) -> bytes:
    """Put the text of a manifest in, in place of one that is there.

    Raises:
        BundleError: The bytes are no ONNX file that holds all its weights.
    """
    file = onnx_file.parse(data)
    file.require_whole()
    return b"".join(
        [
            *_without_manifest(file),
            onnx_file.encode_note(MANIFEST_KEY, text),
            onnx_file.encode_note(HASH_KEY, _sha256(text)),
        ]
    )


def _manifest(file: OnnxFile) -> tuple[bytes | None, bool]:
    """The text, and whether its entries are what ``place`` writes, to the byte."""
    notes = [note for note in file.notes if note.key in OWN_KEYS]
    found = {note.key: note for note in notes}
    if not found:
        return None, False
    if len(found) != len(OWN_KEYS) or len(notes) != len(OWN_KEYS):
        return b"", False
    text = found[MANIFEST_KEY].value
    # The hash cannot cover its own entry.
    expected = {MANIFEST_KEY: text, HASH_KEY: _sha256(text)}
    intact = all(
        file.data[note.start : note.end] == onnx_file.encode_note(key, expected[key])
        for key, note in found.items()
    )
    return text, intact


def _without_manifest(file: OnnxFile) -> Iterator[bytes]:
    position = 0
    for note in file.notes:
        if note.key in OWN_KEYS:
            yield file.data[position : note.start]
            position = note.end
    yield file.data[position:]


def _size_beside(file: OnnxFile, folder: Path) -> int:
    """Size of what lies in other files, those that are there; none outside the folder counts."""
    inside = [name for name in file.other_files() if ".." not in Path(name).parts]
    others = [folder / name for name in inside if not Path(name).is_absolute()]
    return sum(other.stat().st_size for other in others if other.is_file())


def _sha256(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode("ascii")
