"""A model file that carries its own proof: manifest and hashes inside a runtime's own format."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from mobilens.errors import BundleError, VerificationError
from mobilens.runtime import seal
from mobilens.runtime.formats import (
    FORMATS,
    MAX_FILE_BYTES,
    Contents,
    format_named,
    format_of,
    main_file,
)
from mobilens.runtime.manifest import Manifest

# Protobuf and flatbuffers, and so every format here, end at this size.
EXPECTED = "a model file that mobilens export wrote"
COPY_AGAIN = "copy the file again from where it came, or export it again"


@dataclass(frozen=True)
class Bundle:
    """A model file, read and taken apart; its hashes are not checked yet.

    Attributes:
        path: Where it lies.
        format: Name of its format.
        sha256: Hash of the file; of a folder, of its main file.
        contents: Its parts.
        manifest: What it says about itself.
    """

    path: Path
    format: str
    sha256: str
    contents: Contents
    manifest: Manifest

    def broken_weights(self) -> str:
        """Say which weights are not as they were exported; empty when all are."""
        return seal.changed_weights(self.manifest.tensors, self.contents.tensors)

    def broken_graph(self) -> str:
        """Say that the graph is not as it was exported; empty when it is."""
        if self.contents.graph == self.manifest.graph:
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


def write_manifest(model: bytes, manifest: Manifest, path: Path = Path()) -> bytes:
    """Put a manifest into a model file, in place of one that is there.

    Args:
        model: The bytes of the file.
        manifest: What to put in; its hashes are filled in here.
        path: Where the file lies or will lie; what belongs to it lies beside it already.

    Returns:
        The bytes of the new file.

    Raises:
        BundleError: The bytes are no model file that holds all its weights, or the manifest is
            too large.
    """
    kind = format_named(format_of(model, path))
    contents = kind.take_apart(model, path)
    sealed = replace(manifest, tensors=dict(contents.tensors), graph=contents.graph)
    return kind.place(model, sealed.to_text())


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
    name, contents = _parts(data, path)
    text = _manifest_text(path, FORMATS[name].title, contents)
    try:
        manifest = Manifest.from_text(text)
    except BundleError as error:
        raise BundleError(
            f"{path}: {error.given}", expected=error.expected, remedy=error.remedy
        ) from None
    return Bundle(path, name, hashlib.sha256(data).hexdigest(), contents, manifest)


def read_parts(path: Path) -> tuple[str, Contents]:
    """Read a model file of any tool: the name of its format, and its parts.

    Raises:
        BundleError: It is damaged, or no model file.
    """
    return _parts(_read_file(path), path)


def _parts(data: bytes, path: Path) -> tuple[str, Contents]:
    name = format_of(data, path)
    try:
        return name, format_named(name).take_apart(data, path)
    except BundleError as error:
        raise BundleError(
            f"{path} is damaged, or no {FORMATS[name].title} file: {error.given}",
            expected=EXPECTED,
            remedy=error.remedy or COPY_AGAIN,
        ) from None


def _manifest_text(path: Path, title: str, contents: Contents) -> bytes:
    """Give the manifest, once it stands there as it was written."""
    article = "an" if title[0] in "EOn" else "a"
    if contents.manifest is None:
        raise BundleError(
            f"{path} is {article} {title} file without a mobilens manifest",
            expected=EXPECTED,
            remedy="mobilens export CHECKPOINT",
        )
    if not contents.intact:
        raise VerificationError(f"{path}: the manifest was changed or cut off", remedy=COPY_AGAIN)
    return contents.manifest


def _read_file(path: Path) -> bytes:
    file = main_file(path)
    if file.is_dir():
        inside = path / "model.onnx"
        raise BundleError(
            f"{path} is a folder", expected=EXPECTED, remedy=str(inside) if inside.exists() else ""
        )
    try:
        size = file.stat().st_size
        if not 0 < size < MAX_FILE_BYTES:
            raise BundleError(
                f"{path} has {size:,} bytes",
                expected=f"{EXPECTED}, of 1 to {MAX_FILE_BYTES:,} bytes",
                remedy=COPY_AGAIN,
            )
        data = file.read_bytes()
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
