"""A model file that carries its own proof: the manifest and hashes inside an ONNX file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mobilens.errors import BundleError, VerificationError
from mobilens.runtime import onnx_file, seal
from mobilens.runtime.manifest import Manifest
from mobilens.runtime.onnx_file import OnnxFile

MANIFEST_KEY = b"mobilens"
HASH_KEY = b"mobilens_sha256"
OWN_KEYS = (MANIFEST_KEY, HASH_KEY)
# Protobuf, and so ONNX, ends here.
MAX_FILE_BYTES = 2**31
EXPECTED = "a model file that mobilens export wrote"
COPY_AGAIN = "copy the file again from where it came, or export it again"


@dataclass(frozen=True)
class Bundle:
    """A model file, read and taken apart; its hashes are not checked yet.

    Attributes:
        path: Where it lies.
        file: Its parts.
        manifest: What it says about itself.
    """

    path: Path
    file: OnnxFile
    manifest: Manifest

    def broken_weights(self) -> str:
        """Say which weights are not as they were exported; empty when all are."""
        return seal.changed_weights(self.manifest.tensors, seal.tensor_hashes(self.file))

    def broken_graph(self) -> str:
        """Say that the graph is not as it was exported; empty when it is."""
        if seal.graph_hash(self.file, OWN_KEYS) == self.manifest.graph:
            return ""
        return "the graph was changed: its nodes, names, shapes, versions or notes"

    def check_seal(self) -> None:
        """Check every byte against the hashes in the manifest.

        Raises:
            VerificationError: Something was changed; the message names it.
        """
        broken = self.broken_weights() or self.broken_graph()
        if broken:
            raise VerificationError(f"{self.path}: {broken}", remedy=COPY_AGAIN)


def write_manifest(model: bytes, manifest: Manifest) -> bytes:
    """Put a manifest into an ONNX file, in place of one that is there.

    Args:
        model: The bytes of the ONNX file.
        manifest: What to put in; its hashes are filled in here.

    Returns:
        The bytes of the new file.

    Raises:
        BundleError: The bytes are no ONNX file that holds all its weights, or the manifest is
            too large.
    """
    file = onnx_file.parse(model)
    sealed = replace(
        manifest,
        tensors=seal.tensor_hashes(file),
        graph=seal.graph_hash(file, without_notes=OWN_KEYS),
    )
    text = sealed.to_text()
    return b"".join(
        [
            *_without_manifest(file),
            onnx_file.encode_note(MANIFEST_KEY, text),
            onnx_file.encode_note(HASH_KEY, _sha256(text)),
        ]
    )


def read_manifest(path: str | Path) -> Manifest:
    """Read what a model file says about itself; its weights and graph are not checked.

    Raises:
        BundleError: The file is no model file of mobilens, or one of a newer format.
        VerificationError: The manifest was changed.
    """
    return read_bundle(path).manifest


def read_bundle(path: str | Path) -> Bundle:
    """Read a model file and take it apart.

    Raises:
        BundleError: The file is no model file of mobilens, or one of a newer format.
        VerificationError: The manifest was changed.
    """
    return take_apart(_read_file(Path(path)), Path(path))


def take_apart(data: bytes, path: Path) -> Bundle:
    """Take the bytes of a model file apart.

    Args:
        data: Every byte of the file.
        path: Where it lies, for messages.

    Raises:
        BundleError: The file is no model file of mobilens, or one of a newer format.
        VerificationError: The manifest was changed.
    """
    try:
        file = onnx_file.parse(data)
    except BundleError as error:
        raise BundleError(
            f"{path} is damaged, or no ONNX file: {error.given}",
            expected=EXPECTED,
            remedy=COPY_AGAIN,
        ) from None
    text = _manifest_text(path, file)
    try:
        return Bundle(path, file, Manifest.from_text(text))
    except BundleError as error:
        raise BundleError(
            f"{path}: {error.given}", expected=error.expected, remedy=error.remedy
        ) from None


def _manifest_text(path: Path, file: OnnxFile) -> bytes:
    """Find the manifest and check it against its hash."""
    found = {note.key: note for note in file.notes if note.key in OWN_KEYS}
    if not found:
        raise BundleError(
            f"{path} is an ONNX file without a mobilens manifest",
            expected=EXPECTED,
            remedy="mobilens export CHECKPOINT",
        )
    count = sum(note.key in OWN_KEYS for note in file.notes)
    if len(found) == count == len(OWN_KEYS):
        text = found[MANIFEST_KEY].value
        # The entries must be what this module writes, to the byte: the hash cannot cover itself.
        expected = {MANIFEST_KEY: text, HASH_KEY: _sha256(text)}
        if all(
            file.data[note.start : note.end] == onnx_file.encode_note(key, expected[key])
            for key, note in found.items()
        ):
            return text
    raise VerificationError(f"{path}: the manifest was changed", remedy=COPY_AGAIN)


def _without_manifest(file: OnnxFile) -> Iterator[bytes]:
    position = 0
    for note in file.notes:
        if note.key in OWN_KEYS:
            yield file.data[position : note.start]
            position = note.end
    yield file.data[position:]


def _read_file(path: Path) -> bytes:
    if path.is_dir():
        inside = path / "model.onnx"
        raise BundleError(
            f"{path} is a folder", expected=EXPECTED, remedy=str(inside) if inside.exists() else ""
        )
    try:
        size = path.stat().st_size
        if not 0 < size < MAX_FILE_BYTES:
            raise BundleError(
                f"{path} has {size:,} bytes",
                expected=f"{EXPECTED}, of 1 to {MAX_FILE_BYTES:,} bytes",
                remedy=COPY_AGAIN,
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"there is no file {path}", expected=EXPECTED) from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}", expected=EXPECTED) from None
    if _looks_like_safetensors(data):
        raise BundleError(
            f"{path} is a checkpoint, not an exported model file",
            expected=EXPECTED,
            remedy=f"mobilens export {path}",
        )
    return data


def _looks_like_safetensors(data: bytes) -> bool:
    """Tell by the layout: the length of a JSON header in eight bytes, then the header."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8


def _sha256(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode("ascii")
