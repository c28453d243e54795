"""Photos that are nearly the same: alike to the model, then compared by their gradients.

What a model finds alike may be two photos of one face; only comparing the pictures tells a copy,
saved again, resized, toned or slightly cropped, from that. The comparison is that of
``mobilens check`` (``data.lint.near``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from mobilens.album.clustering import Floats, Indices, parts
from mobilens.album.pairs import components, similar_pairs
from mobilens.album.store import Album
from mobilens.data.lint.duplicates import MIN_NEAR_SIDE
from mobilens.data.lint.near import SAME_SIMILARITY, TURNS, aligned_similarity
from mobilens.data.lint.photo import luminance
from mobilens.errors import ImageError
from mobilens.observer import SILENT, Observer
from mobilens.vision.image import image_size

# Of the model's vectors: copies of faces, saved again, resized, lighter, mirrored or cropped by a
# few pixels, are at 0.95 and above (docs/log.md).
LEAST_SIMILARITY = 0.9
# Compared in detail, at a few thousandths of a second each: the most similar ones.
MAX_PAIRS = 50_000
# Nets that have seen pictures mirrored find them alike; turned ones they do not.
LOOKS = ("", "mirrored")
_PAIRS_AT_ONCE = 256

Thumbnail = NDArray[np.uint8]


def duplicate_sets(
    album: Album, least: float = LEAST_SIMILARITY, observer: Observer = SILENT
) -> list[Indices]:
    """Find sets of photos that are nearly the same, files of the same content among them.

    Args:
        album: The photos; they are read again where their vectors are alike.
        least: Least similarity of the vectors of what is compared.
        observer: Is told of progress.

    Returns:
        Numbers of the photos of each set, ascending; two or more.
    """
    first, second = _candidates(album.vectors.rows, least, observer)
    hashes = np.array(list(album.photos.values()))
    same = hashes[first] == hashes[second]
    looked = _confirmed(album, first[~same], second[~same], observer)
    pairs = [(first[same], second[same], np.ones(same.sum(), np.float32)), *looked]
    root = components(len(album.names), pairs)
    return [part for part in parts(root) if len(part) > 1]


def _candidates(vectors: Floats, least: float, observer: Observer) -> tuple[Indices, Indices]:
    """The most similar pairs of at least a similarity."""
    first = second = np.zeros(0, np.intp)
    similarity = np.zeros(0, np.float32)
    left_out = 0
    for found in similar_pairs(vectors, least, observer):
        first, second = np.concatenate([first, found[0]]), np.concatenate([second, found[1]])
        similarity = np.concatenate([similarity, found[2]])
        if len(similarity) > MAX_PAIRS:
            left_out += len(similarity) - MAX_PAIRS
            best = np.argpartition(-similarity, MAX_PAIRS)[:MAX_PAIRS]
            first, second, similarity = first[best], second[best], similarity[best]
    if left_out:
        observer.say(
            f"{left_out:,} pairs of photos that are less alike than {MAX_PAIRS:,} others are not "
            f"compared"
        )
    return first, second


def _confirmed(
    album: Album, first: Indices, second: Indices, observer: Observer
) -> Iterator[tuple[Indices, Indices, Floats]]:
    """Those of some pairs that show the same picture."""
    numbers = np.unique(np.concatenate([first, second])).tolist()
    shown = observer.progress(numbers, len(numbers), "read")
    pictures = dict(_thumbnails(album, shown))
    pairs = [
        (one, other)
        for one, other in zip(first.tolist(), second.tolist(), strict=True)
        if one in pictures and other in pictures
    ]
    starts = range(0, len(pairs), _PAIRS_AT_ONCE)
    for start in observer.progress(starts, len(starts), "look closely"):
        part = pairs[start : start + _PAIRS_AT_ONCE]
        left, right = (np.stack([pictures[pair[end]] for pair in part]) for end in (0, 1))
        similarity = np.max(
            [aligned_similarity(left, TURNS[look](right)) for look in LOOKS], axis=0
        )
        is_same = similarity > SAME_SIMILARITY
        ends = np.array(part)[is_same]
        yield ends[:, 0], ends[:, 1], similarity[is_same]


def _thumbnails(album: Album, numbers: Iterable[int]) -> Iterator[tuple[int, Thumbnail]]:
    """Luminance of photos, 48x48; those that are gone, or too small to tell, are passed over."""
    for number in numbers:
        path = album.path_of(album.names[number])
        with contextlib.suppress(ImageError):
            if min(image_size(path)) >= MIN_NEAR_SIDE:
                yield number, luminance(path)
