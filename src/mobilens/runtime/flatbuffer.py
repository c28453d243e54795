"""The few steps into a flatbuffer that a proof needs, every offset checked against the bytes.

The encoding is https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct

from mobilens.errors import BundleError

VTABLE_HEAD = 4


class Flatbuffer:
    """Bytes that are read by offsets.

    Args:
        data: The bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def number(self, offset: int, size: int = 4) -> int:
        """Read an unsigned number of some bytes.

        Raises:
            BundleError: It would lie outside.
        """
        if not 0 <= offset <= len(self._data) - size:
            raise BundleError(f"a number at byte {offset:,} lies outside the file")
        return int.from_bytes(self._data[offset : offset + size], "little")

    def root(self) -> int:
        """Give the offset of the root table."""
        return self.number(0)

    def field(self, table: int, index: int) -> int | None:
        """Give the offset of a table's field; None where it is not there."""
        if not 0 <= table <= len(self._data) - VTABLE_HEAD:
            raise BundleError(f"a table at byte {table:,} lies outside the file")
        (back,) = struct.unpack_from("<i", self._data, table)
        vtable = table - back
        place = VTABLE_HEAD + 2 * index
        if place + 2 > self.number(vtable, 2):
            return None
        offset = self.number(vtable + place, 2)
        return table + offset if offset else None

    def follow(self, offset: int) -> int:
        """Give the place that a reference points to."""
        return offset + self.number(offset)

    def tables(self, vector: int) -> list[int]:
        """Give the offsets of a vector's tables."""
        count = self.number(vector)
        if count > len(self._data) // 4:
            raise BundleError(f"a list of {count:,} entries lies outside the file")
        return [self.follow(vector + 4 + 4 * index) for index in range(count)]

    def text(self, offset: int) -> bytes:
        """Read a string.

        Raises:
            BundleError: It would lie outside.
        """
        length = self.number(offset)
        if length > len(self._data) - offset - 4:
            raise BundleError(f"a text of {length:,} bytes lies outside the file")
        return self._data[offset + 4 : offset + 4 + length]
