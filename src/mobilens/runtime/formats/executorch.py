"""ExecuTorch: the manifest is named data of the program, in a segment of the file.

The exporter leaves a segment of some size for it, which is filled in here: offsets of all else stay
as they are. Field numbers are those of program.fbs
(https://github.com/pytorch/executorch/blob/main/schema/program.fbs).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from mobilens.errors import BundleError
from mobilens.runtime.flatbuffer import Flatbuffer
from mobilens.runtime.formats import Contents

KEY = "mobilens"
HEADER_MAGIC = b"eh00"
HEADER_AT, SEGMENT_BASE_AT = 8, 24
PROGRAM_SEGMENTS, PROGRAM_NAMED_DATA = 4, 7
SEGMENT_OFFSET, SEGMENT_SIZE = 0, 1
NAMED_KEY, NAMED_SEGMENT = 0, 1
HASH_BYTES = 64


def take_apart(data: bytes, path: Path) -> Contents:  # noqa: ARG001 - one file holds it all
    """Find the manifest and hash the rest.

    Raises:
        BundleError: The bytes are no ExecuTorch program.
    """
    start, end = _segment(data)
    held = data[start:end]
    text, intact = None, False
    if held.strip(b"\0"):
        text, digest = held[:-HASH_BYTES].rstrip(b" "), held[-HASH_BYTES:]
        intact = hashlib.sha256(text).hexdigest().encode("ascii") == digest
    rest = hashlib.sha256(data[:start])
    rest.update(data[end:])
    return Contents(
        size_bytes=len(data), manifest=text, intact=intact, tensors={}, graph=rest.hexdigest()
    )


def place(data: bytes, text: bytes) -> bytes:
    """Put the text of a manifest in, in place of one that is there.

    Raises:
        BundleError: The bytes are no ExecuTorch program, or keep too little room.
    """
    start, end = _segment(data)
    room = end - start - HASH_BYTES
    if len(text) > room:
        raise BundleError(
            f"the manifest has {len(text):,} bytes, the program keeps room for {max(room, 0):,}"
        )
    digest = hashlib.sha256(text).hexdigest().encode("ascii")
    return data[:start] + text.ljust(room) + digest + data[end:]


def room_for(text: bytes) -> int:
    """Size of a segment that holds a text, and what is measured later.

    Args:
        text: The text of a manifest so far.
    """
    return (len(text) // 4096 + 3) * 4096


def _segment(data: bytes) -> tuple[int, int]:
    """First byte of the manifest's segment, and the one behind it; nothing where there is none."""
    file = Flatbuffer(data)
    if data[HEADER_AT : HEADER_AT + 4] != HEADER_MAGIC:
        raise BundleError("its header is not a program's", expected="an ExecuTorch file")
    base = file.number(SEGMENT_BASE_AT, 8)
    program = file.root()
    named, segments = (
        file.field(program, index) for index in (PROGRAM_NAMED_DATA, PROGRAM_SEGMENTS)
    )
    if named is None or segments is None:
        return len(data), len(data)
    places = file.tables(file.follow(segments))
    for entry in file.tables(file.follow(named)):
        key, number = file.field(entry, NAMED_KEY), file.field(entry, NAMED_SEGMENT)
        if key is None or file.text(file.follow(key)) != KEY.encode():
            continue
        index = file.number(number) if number is not None else 0
        if index >= len(places):
            raise BundleError("the manifest's segment is not there", expected="an ExecuTorch file")
        offset, size = (file.field(places[index], part) for part in (SEGMENT_OFFSET, SEGMENT_SIZE))
        start = base + (file.number(offset, 8) if offset is not None else 0)
        end = start + (file.number(size, 8) if size is not None else 0)
        if not 0 <= start <= end <= len(data):
            raise BundleError("the manifest's segment lies outside the file")
        return start, end
    return len(data), len(data)
