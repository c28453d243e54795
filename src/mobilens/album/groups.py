"""An album in groups: photos of the same one, or nearly the same photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mobilens.album.clustering import Floats, Indices, clusters
from mobilens.album.duplicates import LEAST_SIMILARITY, duplicate_sets
from mobilens.album.store import Album
from mobilens.observer import SILENT, Observer

# Where neither a person nor the model file says one.
DEFAULT_SIMILARITY = 0.5

Origin = Literal["given", "model", "default"]


@dataclass(frozen=True)
class Group:
    """Photos that belong together.

    Attributes:
        photos: Where they lie, the most typical first.
        similarity: Mean over all pairs, -1 to 1.
    """

    photos: tuple[str, ...]
    similarity: float

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {"photos": list(self.photos), "similarity": round(self.similarity, 6)}


@dataclass(frozen=True)
class Grouping:
    """All groups of an album.

    Attributes:
        groups: Of two photos or more, the largest first.
        alone: Photos in none of them.
        min_similarity: What was asked of pairs.
        origin: Who said so: a person, the model file, or nobody.
    """

    groups: tuple[Group, ...]
    alone: tuple[str, ...]
    min_similarity: float
    origin: Origin

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "min_similarity": self.min_similarity,
            "min_similarity_from": self.origin,
            "groups": [group.to_json() for group in self.groups],
            "alone": list(self.alone),
        }


def group_album(
    album: Album, *, min_similarity: float | None = None, observer: Observer = SILENT
) -> Grouping:
    """Put photos of the same one together.

    Args:
        album: The photos.
        min_similarity: Two parts become one group while their photos are as similar as this in
            the mean of all pairs, -1 to 1; by default what the model file says, else 0.5.
        observer: Is told of progress.
    """
    least, origin = _least(min_similarity, album.model.threshold, DEFAULT_SIMILARITY)
    vectors = album.vectors.rows
    return _grouping(album, vectors, clusters(vectors, least, observer), least, origin)


def find_duplicates(
    album: Album, *, min_similarity: float | None = None, observer: Observer = SILENT
) -> Grouping:
    """Put photos that are nearly the same together.

    Args:
        album: The photos, which are read again where their vectors are alike.
        min_similarity: Least similarity of the vectors of photos that are compared; 0.9 by default.
        observer: Is told of progress.
    """
    least, origin = _least(min_similarity, None, LEAST_SIMILARITY)
    found = duplicate_sets(album, least, observer)
    return _grouping(album, album.vectors.rows, found, least, origin)


def _least(given: float | None, stated: float | None, default: float) -> tuple[float, Origin]:
    if given is not None:
        return given, "given"
    return (default, "default") if stated is None else (stated, "model")


def _grouping(
    album: Album, vectors: Floats, found: Sequence[Indices], least: float, origin: Origin
) -> Grouping:
    parts = sorted(
        (part for part in found if len(part) > 1), key=lambda part: (-len(part), part[0])
    )
    grouped = {number for part in parts for number in part.tolist()}
    return Grouping(
        groups=tuple(_group(album, vectors[part], part) for part in parts),
        alone=tuple(
            album.path_of(name) for number, name in enumerate(album.names) if number not in grouped
        ),
        min_similarity=least,
        origin=origin,
    )


def _group(album: Album, vectors: Floats, numbers: Indices) -> Group:
    total = vectors.sum(0, dtype=np.float64)
    count = len(vectors)
    # The sum over all pairs, each in both orders; what remains is each vector with itself.
    pairs = total @ total - np.square(vectors, dtype=np.float64).sum()
    order = np.argsort(-(vectors @ total), kind="stable")
    return Group(
        photos=tuple(album.path_of(album.names[number]) for number in numbers[order]),
        similarity=float(pairs / (count * (count - 1))),
    )
