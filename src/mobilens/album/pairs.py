"""Pairs of vectors that are alike, and what they connect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from mobilens.album.clustering import SCORES_AT_ONCE, Floats, Indices
from mobilens.observer import SILENT, Observer


def similar_pairs(
    vectors: Floats, least: float, observer: Observer = SILENT
) -> Iterator[tuple[Indices, Indices, Floats]]:
    """Find all pairs of vectors of at least a similarity, part by part.

    Args:
        vectors: (N, D), each of length 1.
        least: The similarity.
        observer: Is told of progress.

    Yields:
        Numbers of the first and the second of some pairs, the second above the first, and their
        similarities.
    """
    rows = max(1, SCORES_AT_ONCE // max(1, len(vectors)))
    starts = range(0, len(vectors), rows)
    for start in observer.progress(starts, len(starts), "compare"):
        block = vectors[start : start + rows] @ vectors[start:].T
        first, second = np.nonzero(block >= least)
        first, second = first[second > first], second[second > first]
        yield first + start, second + start, block[first, second]


def components(count: int, pairs: Iterable[tuple[Indices, Indices, Floats]]) -> Indices:
    """Give each of some things the least number that pairs connect it with, (count,)."""
    root = np.arange(count)
    for first, second, _ in pairs:
        while True:
            ends = np.stack([root[first], root[second]])
            apart = ends[0] != ends[1]
            if not apart.any():
                break
            low, high = np.sort(ends[:, apart], axis=0)
            np.minimum.at(root, high, low)
            while (root[root] != root).any():
                root = root[root]
    return root
