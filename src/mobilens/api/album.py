"""Albums from Python: photos by their vectors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mobilens.album.embedder import open_model_of
from mobilens.album.groups import Grouping, find_duplicates, group_album
from mobilens.album.index import IndexReport, index_photos
from mobilens.album.search import SearchResult, search_album
from mobilens.album.store import read_album
from mobilens.data.files import find_images
from mobilens.errors import UsageError
from mobilens.observer import SILENT, Observer

Photos = str | Path | Iterable[str | Path]


def index(
    photos: Photos,
    model: str | Path,
    out: str | Path,
    *,
    batch_size: int = 32,
    threads: int | None = None,
    observer: Observer = SILENT,
) -> IndexReport:
    """Make an album of photos, or bring one up to date: it then holds these and no others.

    Only photos whose content the album does not have yet are answered.

    Args:
        photos: Files and folders; folders give their images, those in inner folders too.
        model: Model file or checkpoint of the task "embed".
        out: The album's folder.
        batch_size: Photos answered at once, 1 or more.
        threads: Threads for one answer and for decoding; every core by default.
        observer: Is told of progress.

    Raises:
        UsageError: The album was made with another model, the folder holds something else, or the
            model gives no vectors.
        DataError: No photo can be read, or the album is damaged.
        MissingExtraError: voyager is not installed.
    """
    return index_photos(
        _files(photos),
        Path(model),
        Path(out),
        batch_size=batch_size,
        threads=threads,
        observer=observer,
    )


def search(
    images: Photos,
    index: str | Path,
    *,
    model: str | Path | None = None,
    top: int = 5,
    min_similarity: float = -1.0,
    batch_size: int = 8,
    threads: int | None = None,
) -> Iterator[SearchResult]:
    """Find the photos of an album that are most like each image.

    Args:
        images: As the photos of ``index``.
        index: The album's folder.
        model: Where the album's model file lies now; by default where it lay.
        top: Photos given for each image, at most.
        min_similarity: Least similarity of what is given, -1 to 1.
        batch_size: Images answered at once, 1 or more.
        threads: Threads for one answer and for decoding; every core by default.

    Returns:
        A result for each image, one after another; the image itself is left out where it is in the
        album.

    Raises:
        UsageError: There is no album, ``top`` is below 1, or the model is another or not there.
        DataError: The album is damaged.
        MissingExtraError: voyager is not installed.
    """
    if top < 1:
        raise UsageError(f"top is {top}", expected="1 or more")
    album = read_album(Path(index))
    return search_album(
        album,
        open_model_of(album, model, threads),
        _files(images),
        top=top,
        min_similarity=_similarity(min_similarity),
        batch_size=batch_size,
        threads=threads,
    )


def groups(
    index: str | Path,
    *,
    min_similarity: float | None = None,
    duplicates: bool = False,
    observer: Observer = SILENT,
) -> Grouping:
    """Put the photos of an album into groups.

    Args:
        index: The album's folder.
        min_similarity: Two parts become one group while their photos are as similar as this in
            the mean of all pairs, -1 to 1; by default what the model file says, else 0.5. Of
            duplicates, least similarity of photos that are compared; 0.9 by default.
        duplicates: Whether to find photos that are nearly the same instead.
        observer: Is told of progress.

    Raises:
        UsageError: There is no album, or ``min_similarity`` is none.
        DataError: The album is damaged.
        MissingExtraError: voyager is not installed.
    """
    if min_similarity is not None:
        _similarity(min_similarity)
    find = find_duplicates if duplicates else group_album
    return find(read_album(Path(index)), min_similarity=min_similarity, observer=observer)


def _similarity(value: float) -> float:
    if not -1 <= value <= 1:
        raise UsageError(f"min_similarity is {value}", expected="-1 to 1")
    return value


def _files(photos: Photos) -> Iterator[str | Path]:
    """Give files, one by one; of a folder its images, in the order of their paths."""
    for path in [photos] if isinstance(photos, (str, Path)) else photos:
        if os.path.isdir(path):  # noqa: PTH112 (a million paths)
            yield from sorted(find_images(Path(path)).images)
        else:
            yield path
