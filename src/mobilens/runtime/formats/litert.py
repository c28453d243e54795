"""LiteRT: the manifest is one of the files packed behind the flatbuffer, as phone libraries do it.

A model with metadata is a flatbuffer followed by a zip archive of the files that belong to it, such
as the list of labels (https://ai.google.dev/edge/litert/conversion/tensorflow/metadata). Entries
are stored as they are: what is compressed is refused, so that no archive can swell.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from pathlib import Path

from mobilens.errors import BundleError
from mobilens.runtime.formats import Contents
from mobilens.runtime.manifest import MAX_TEXT_BYTES

IDENTIFIER = b"TFL3"
MANIFEST, HASH = "mobilens.json", "mobilens.sha256"
# Archives keep a time for each entry; always the same one, so that the same model is the same file.
NO_TIME = (1980, 1, 1, 0, 0, 0)
MAX_ENTRIES = 64


def take_apart(data: bytes, path: Path) -> Contents:  # noqa: ARG001 - one file holds it all
    """Find the manifest and hash the rest: the flatbuffer, and the other packed files.

    Raises:
        BundleError: The bytes are no LiteRT file, or what is packed behind it is not plain.
    """
    end, files = _unpack(data)
    digest = hashlib.sha256(data[:end])
    for name in sorted(files.keys() - {MANIFEST, HASH}):
        digest.update(f"{name} {len(files[name])} ".encode())
        digest.update(files[name])
    text = files.get(MANIFEST)
    # The model's own metadata names it too, which is there when the end of a file is not.
    if text is None and (HASH in files or MANIFEST.encode() in data):
        text = b""
    return Contents(
        size_bytes=len(data),
        manifest=text,
        intact=text is not None and data == _packed(data[:end], files, text),
        tensors={},
        graph=digest.hexdigest(),
    )


def place(data: bytes, text: bytes) -> bytes:
    """Put the text of a manifest in, in place of one that is there."""
    end, files = _unpack(data)
    return _packed(data[:end], files, text)


def add_file(data: bytes, name: str, content: bytes) -> bytes:
    """Pack a file behind the model.

    Args:
        data: Every byte of the model file.
        name: Name of the file to pack.
        content: What is in it.
    """
    end, files = _unpack(data)
    return data[:end] + _archive({**files, name: content})


def _packed(model: bytes, files: dict[str, bytes], text: bytes) -> bytes:
    own = {MANIFEST: text, HASH: hashlib.sha256(text).hexdigest().encode("ascii")}
    others = {name: content for name, content in files.items() if name not in own}
    return model + _archive({**others, **own})


def _archive(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for name, content in files.items():
            target.writestr(zipfile.ZipInfo(name, NO_TIME), content)
    return archive.getvalue()


def _unpack(data: bytes) -> tuple[int, dict[str, bytes]]:
    """Give the end of the flatbuffer, and what is packed behind it."""
    if data[4:8] != IDENTIFIER:
        raise BundleError("its first bytes are not a model's", expected="a LiteRT file")
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return len(data), {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _require_plain(entries, len(data))
            # The archive's own offsets begin where it does.
            start = min((entry.header_offset for entry in entries), default=archive.start_dir)
            return start, {entry.filename: archive.read(entry) for entry in entries}
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise BundleError(f"what is packed behind the model cannot be read: {error}") from None


def _require_plain(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse what would swell when it is unpacked, before any of it is."""
    if len(entries) > MAX_ENTRIES:
        raise BundleError(
            f"{len(entries):,} files are packed behind the model", expected=f"at most {MAX_ENTRIES}"
        )
    for entry in entries:
        limit = min(size, MAX_TEXT_BYTES)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > limit:
            raise BundleError(
                f"{entry.filename!a}, packed behind the model, unpacks to "
                f"{entry.file_size:,} bytes",
                expected=f"files stored as they are, of at most {limit:,} bytes",
            )
    if len({entry.filename for entry in entries}) != len(entries):
        raise BundleError("two files packed behind the model share a name", expected="each once")
