"""Vectors that belong together: average linkage, cut at a similarity.

Two clusters become one while the vectors of one are, in the mean of all pairs, similar enough to
those of the other (UPGMA: Sokal and Michener 1958). Connected components, the simpler way, would
chain people who are a little like each other into one. The mean over the pairs of two clusters is
the product of their means, so no matrix of similarities is kept. Merging brings no cluster nearer
to a third than the nearer of the two was: so clusters that are each other's nearest may merge at
once, many in a round, and the end is the same as of merging the best pair first (arXiv 1109.2378).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobilens.observer import SILENT, Observer

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

SCORES_AT_ONCE = 1 << 24
# Differences below it are rounding.
_EPSILON = 1e-6


def clusters(vectors: Floats, least: float, observer: Observer = SILENT) -> list[Indices]:
    """Put vectors into clusters.

    Args:
        vectors: (N, D), each of length 1.
        least: Least similarity, in the mean of all pairs, of what is put together; -1 to 1.
        observer: Is told of progress.

    Returns:
        Numbers of the vectors of each cluster, ascending; those of one vector included.
    """
    if not len(vectors):
        return []
    # Equal ones are one from the start: all would be the nearest of the first of them.
    distinct, whose, counts = np.unique(vectors, axis=0, return_inverse=True, return_counts=True)
    found = _Linkage(distinct, counts)
    while found.merge_round(least - _EPSILON, observer):
        pass
    return parts(found.roots()[whose.ravel()])


def parts(labels: Indices) -> list[Indices]:
    """Give the numbers of what has one label, ascending, for each label."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


class _Linkage:
    """Clusters that merge.

    Args:
        vectors: (N, D), one or more.
        counts: (N,), how many there are of each.
    """

    def __init__(self, vectors: Floats, counts: Indices) -> None:
        number = len(vectors)
        self._means = vectors.copy()
        self._sizes = counts.astype(np.float32)
        self._parent = np.arange(number)
        self._open = np.arange(number)  # those that may still merge
        self._stale = self._open  # those whose nearest is not known
        self._nearest = np.zeros(number, np.intp)
        self._similarity = np.full(number, -np.inf, np.float32)

    def roots(self) -> Indices:
        """Give the number of each vector's cluster, (N,)."""
        root = self._parent
        while (root[root] != root).any():
            root = root[root]
        return root

    def merge_round(self, least: float, observer: Observer) -> bool:
        """Merge all that are each other's nearest and similar enough; False where none is."""
        self._find_nearest(observer)
        # Merging others brings none of them nearer: one that has nothing near enough is done.
        self._open = self._open[self._similarity[self._open] >= least]
        if not self._open.size:
            return False
        nearest = self._nearest[self._open]
        mutual = (self._nearest[nearest] == self._open) & (self._open < nearest)
        if not mutual.any():  # equals, in a circle
            mutual[np.argmax(self._similarity[self._open])] = True
        self._merge(self._open[mutual], nearest[mutual])
        return True

    def _merge(self, first: Indices, second: Indices) -> None:
        share = self._sizes[second] / (self._sizes[first] + self._sizes[second])
        self._means[first] += share[:, None] * (self._means[second] - self._means[first])
        self._sizes[first] += self._sizes[second]
        self._parent[second] = first
        changed = np.zeros(len(self._parent), bool)
        changed[first] = changed[second] = True
        gone = np.zeros_like(changed)
        gone[second] = True
        self._open = self._open[~gone[self._open]]
        self._stale = self._open[changed[self._open] | changed[self._nearest[self._open]]]

    def _find_nearest(self, observer: Observer) -> None:
        rows = max(1, SCORES_AT_ONCE // max(1, len(self._open)))
        place = np.zeros(len(self._parent), np.intp)
        place[self._open] = np.arange(len(self._open))
        means = self._means[self._open]
        starts = range(0, len(self._stale), rows)
        for start in observer.progress(starts, len(starts), "group"):
            asked = self._stale[start : start + rows]
            block = self._means[asked] @ means.T
            block[np.arange(len(asked)), place[asked]] = -np.inf
            best = np.argmax(block, axis=1)
            self._nearest[asked] = self._open[best]
            self._similarity[asked] = block[np.arange(len(asked)), best]
