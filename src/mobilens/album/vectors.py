"""Vectors that find those near to another; the one place that knows voyager."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilens.cores import usable_cores
from mobilens.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from voyager import Index

Floats = NDArray[np.float32]

# Every vector is compared as far as this, in hundredths of a second; beyond, voyager walks its
# graph (HNSW: arXiv 1603.09320) and may miss a few (docs/log.md).
EXACT_UP_TO = 100_000
# How widely the graph is walked: more finds more and takes longer.
CONNECTIONS, WIDTH_BUILDING, WIDTH_SEARCHING = 16, 128, 512


def require_search_extra() -> Any:
    """Give voyager's module.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import voyager
    except ModuleNotFoundError:
        raise MissingExtraError.needed_for("an album", "search", "voyager") from None
    return voyager


class Vectors:
    """Vectors of length 1, each with its number from 0.

    Args:
        index: voyager's own.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._rows: Floats | None = None

    @classmethod
    def of(cls, rows: Floats) -> Vectors:
        """Take in vectors.

        Args:
            rows: (N, D), each of length 1.
        """
        voyager = require_search_extra()
        index = voyager.Index(
            voyager.Space.InnerProduct,
            num_dimensions=rows.shape[1],
            M=CONNECTIONS,
            ef_construction=WIDTH_BUILDING,
        )
        vectors = cls(index)
        vectors.add(rows)
        return vectors

    @classmethod
    def from_bytes(cls, data: bytes) -> Vectors:
        """Read what ``to_bytes`` wrote.

        Raises:
            DataError: It is something else.
        """
        voyager = require_search_extra()
        try:
            return cls(voyager.Index.load(io.BytesIO(data)))
        except (RuntimeError, ValueError) as error:  # as voyager says it
            raise DataError(f"the vectors cannot be read: {error}") from None

    def add(self, rows: Floats) -> None:
        """Take in more vectors, numbered onwards.

        Args:
            rows: (N, D), each of length 1.
        """
        # Without numbers of ours, threads number them in the order in which they get to them.
        numbers = np.arange(len(self), len(self) + len(rows))
        self._index.add_items(rows, numbers, num_threads=usable_cores())
        self._rows = None

    def to_bytes(self) -> bytes:
        """Write everything down, in voyager's format."""
        return bytes(self._index.as_bytes())

    def __len__(self) -> int:
        return len(self._index)

    @property
    def length(self) -> int:
        """How many numbers a vector has."""
        return int(self._index.num_dimensions)

    @property
    def rows(self) -> Floats:
        """All vectors, (N, D), in the order of their numbers."""
        if self._rows is None:
            numbers = np.arange(len(self))
            self._rows = np.asarray(self._index.get_vectors(numbers), np.float32)
        return self._rows

    def nearest(self, vector: Floats, count: int) -> list[tuple[int, float]]:
        """Find the vectors that are most like one.

        Args:
            vector: (D,), of length 1.
            count: How many, 1 or more.

        Returns:
            The number and the similarity, -1 to 1, of each; the most similar first, and of those as
            similar the lower number first.
        """
        count = min(count, len(self))
        if len(self) <= EXACT_UP_TO:
            products = self.rows @ vector
            numbers = np.argpartition(-products, count - 1)[:count]
            similarity = products[numbers]
        else:
            width = max(WIDTH_SEARCHING, count)
            numbers, distances = self._index.query(vector, count, query_ef=width)
            similarity = 1 - distances
        order = np.lexsort((numbers, -similarity))
        # Rounding must not leave the range.
        values = np.clip(similarity, -1, 1)
        return [(int(numbers[at]), float(values[at])) for at in order]
