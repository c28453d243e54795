"""Near duplicates: the same picture saved again, resized, toned, slightly cropped or turned.

Two steps. A coarse signature, the gradients of a 14 x 14 luminance grid, finds candidates by
matrix products over all pairs. Each candidate is then compared by the gradients of its 48 x 48
thumbnails under small shifts and zooms. Gradients, because what two photos of one kind share is
mostly their smooth background; bits of a hash were tried and do not part the same picture from
the next shirt on the same bed (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilens.observer import SILENT, Observer

Thumbnails = NDArray[np.uint8]
Floats = NDArray[np.float32]

# Chosen on 2,336 real photos: saved again at quality 30, halved, lightened, darkened or cropped by
# up to 3 % at each side, 97 to 100 % are above both; the next shirt on the same bed reaches 0.89.
CANDIDATE_SIMILARITY = 0.72
SAME_SIMILARITY = 0.92
# Compared in detail, at one or two thousandths of a second each: the best by the signature.
MAX_CANDIDATES = 5_000

# By rows and columns, as arrays are.
TURNS: dict[str, Callable[[Thumbnails], Thumbnails]] = {
    "": lambda pictures: pictures,
    "mirrored": lambda pictures: pictures[:, :, ::-1],
    "turned by 90°": lambda pictures: np.rot90(pictures, 1, (1, 2)),
    "turned by 180°": lambda pictures: pictures[:, ::-1, ::-1],
    "turned by 270°": lambda pictures: np.rot90(pictures, 3, (1, 2)),
}

_GRID = 16
_MAX_SHIFT = 3
_ZOOMS = (0.97, 0.93)
# Grey levels from cell to cell, in the mean, below which there is nothing to compare.
_MIN_GRADIENT = 0.5
_SCORES_AT_ONCE = 1 << 24
_PAIRS_AT_ONCE = 256


@dataclass(frozen=True)
class NearPair:
    """Two photos that show the same.

    Attributes:
        first: Index of one.
        second: Index of the other, above ``first``.
        similarity: 0.92 to 1.
        turned: How one must be turned to match: a key of ``TURNS``.
    """

    first: int
    second: int
    similarity: float
    turned: str


def find_near_pairs(thumbnails: Thumbnails, observer: Observer = SILENT) -> list[NearPair]:
    """Find pairs that show the same picture.

    Args:
        thumbnails: (N, 48, 48), luminance.
        observer: Is told of progress.

    Returns:
        The pairs, most similar first; of more than 5,000 candidates, those among the likeliest.
    """
    signatures = _signatures(thumbnails)
    pairs: dict[tuple[int, int], NearPair] = {}
    for name, turn in TURNS.items():
        others = _signatures(turn(thumbnails)) if name else signatures
        first, second = _candidates(signatures, others, observer)
        for pair in _compared(thumbnails, first, second, name, observer):
            known = pairs.get((pair.first, pair.second))
            if known is None or known.similarity < pair.similarity:
                pairs[pair.first, pair.second] = pair
    return sorted(pairs.values(), key=lambda pair: (-pair.similarity, pair.first, pair.second))


def _signatures(thumbnails: Thumbnails) -> Floats:
    """Unit vectors (N, 364); zero for a photo without contrast, which is like no other."""
    side = thumbnails.shape[1] // _GRID
    cells = thumbnails.reshape(-1, _GRID, side, _GRID, side).mean((2, 4), dtype=np.float32)
    # Frames and captions lie at the border and would make any two framed pictures alike.
    inner = cells[:, 1:-1, 1:-1]
    steps = np.concatenate(
        [np.diff(inner, axis=axis).reshape(len(inner), -1) for axis in (1, 2)], axis=1
    )
    length = np.linalg.norm(steps, axis=1, keepdims=True)
    has_contrast = length > _MIN_GRADIENT * np.sqrt(steps.shape[1])
    unit: Floats = np.where(has_contrast, steps / np.maximum(length, 1e-6), 0).astype(np.float32)
    return unit


def _candidates(
    signatures: Floats, others: Floats, observer: Observer
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Index arrays (first, second) of the likeliest pairs, with first < second."""
    rows = max(1, _SCORES_AT_ONCE // max(1, len(signatures)))
    first, second = np.zeros((2, 0), np.intp)
    score = np.zeros(0, np.float32)
    starts = range(0, len(signatures), rows)
    for start in observer.progress(starts, len(starts), "compare"):
        block = signatures[start : start + rows] @ others[start:].T
        above, right = np.nonzero(block > CANDIDATE_SIMILARITY)
        above, right = above[right > above], right[right > above]
        first = np.concatenate([first, above + start])
        second = np.concatenate([second, right + start])
        score = np.concatenate([score, block[above, right]])
        if len(score) > MAX_CANDIDATES:
            best = np.argpartition(-score, MAX_CANDIDATES)[:MAX_CANDIDATES]
            first, second, score = first[best], second[best], score[best]
    return first, second


def _compared(
    thumbnails: Thumbnails,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    turned: str,
    observer: Observer,
) -> Iterator[NearPair]:
    starts = range(0, len(first), _PAIRS_AT_ONCE)
    for start in observer.progress(starts, len(starts), "look closely"):
        left, right = (index[start : start + _PAIRS_AT_ONCE] for index in (first, second))
        similarity = aligned_similarity(thumbnails[left], TURNS[turned](thumbnails[right]))
        for at in np.nonzero(similarity > SAME_SIMILARITY)[0]:
            yield NearPair(int(left[at]), int(right[at]), float(similarity[at]), turned)


def aligned_similarity(left: Thumbnails, right: Thumbnails) -> Floats:
    """Compare pictures by their gradients where these lie best on each other.

    Args:
        left: (P, 48, 48), luminance.
        right: (P, 48, 48), each compared with its neighbour in ``left``.

    Returns:
        (P,), correlation of the gradients, best of shifts up to 3 pixels and zooms of either
        picture up to 10 %; 1 for the same picture.
    """
    plain_left, plain_right = left.astype(np.float32), right.astype(np.float32)
    best = _best_shift(plain_left, plain_right)
    for zoom in _ZOOMS:
        best = np.maximum(best, _best_shift(_zoomed(plain_left, zoom), plain_right))
        best = np.maximum(best, _best_shift(plain_left, _zoomed(plain_right, zoom)))
    return best


def _best_shift(left: Floats, right: Floats) -> Floats:
    """Highest normalised correlation of the middle of ``left`` with windows of ``right``."""
    margin = _MAX_SHIFT + 1
    middle = np.ascontiguousarray(_gradients(left)[:, :, margin:-margin, margin:-margin])
    field = _gradients(right)
    side = middle.shape[2]
    # Sums over any window from the sums over all rectangles that begin at the corner.
    corner_sums = np.zeros((len(right), field.shape[2] + 1, field.shape[3] + 1), np.float32)
    corner_sums[:, 1:, 1:] = np.square(field).sum(1).cumsum(1).cumsum(2)
    own = np.square(middle).sum((1, 2, 3))
    best = np.full(len(left), -1, np.float32)
    for top in range(1, 2 * margin):
        for start in range(1, 2 * margin):
            end, bottom = start + side, top + side
            product = np.einsum("pchw,pchw->p", middle, field[:, :, top:bottom, start:end])
            energy = corner_sums[:, bottom, end] - corner_sums[:, top, end]
            energy += corner_sums[:, top, start] - corner_sums[:, bottom, start]
            np.maximum(best, product / np.sqrt(np.maximum(own * energy, 1)), out=best)
    return best


def _gradients(pictures: Floats) -> Floats:
    """Central differences, (P, 2, height, width): across, then down."""
    field = np.zeros((len(pictures), 2, *pictures.shape[1:]), np.float32)
    field[:, 0, :, 1:-1] = pictures[:, :, 2:] - pictures[:, :, :-2]
    field[:, 1, 1:-1, :] = pictures[:, 2:, :] - pictures[:, :-2, :]
    return field


def _zoomed(pictures: Floats, share: float) -> Floats:
    """The middle ``share`` of each picture, enlarged to the same size by linear interpolation."""
    side = pictures.shape[1]
    centres = (np.arange(side) + 0.5) * share + side * (1 - share) / 2 - 0.5
    low = np.floor(centres).astype(int)
    to_next = (centres - low).astype(np.float32)
    weights = np.zeros((side, side), np.float32)
    weights[np.arange(side), low] = 1 - to_next
    weights[np.arange(side), low + 1] = to_next
    zoomed: Floats = np.matmul(np.matmul(weights, pictures), weights.T)
    return zoomed
