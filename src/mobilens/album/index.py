"""Photos to an album: what is new or has changed is answered, the rest is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilens.album.embedder import file_hash, model_hash, open_embedder, stated_threshold
from mobilens.album.store import Album, AlbumModel, holds_album, read_album, way_from, write_album
from mobilens.album.vectors import Vectors, require_search_extra
from mobilens.cores import usable_cores
from mobilens.data.dataset import SkippedFile
from mobilens.errors import DataError, UsageError
from mobilens.observer import SILENT, Observer
from mobilens.vision.files import predict_files
from mobilens.vision.predictor import Predictor

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class IndexReport:
    """What became of photos.

    Attributes:
        folder: The album.
        photos: How many are in it.
        dimension: How many numbers a vector has.
        answered: Images that the model answered this time; copies count once.
        dropped: Photos that were in it and are not any more.
        skipped: Files that cannot be read.
    """

    folder: Path
    photos: int
    dimension: int
    answered: int
    dropped: int
    skipped: tuple[SkippedFile, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        return {
            "index": str(self.folder),
            "photos": self.photos,
            "dimension": self.dimension,
            "answered": self.answered,
            "dropped": self.dropped,
            "skipped": [{"path": one.path, "error": one.reason} for one in self.skipped],
        }


def index_photos(
    photos: Iterable[str | Path],
    model: Path,
    folder: Path,
    *,
    batch_size: int = 32,
    threads: int | None = None,
    observer: Observer = SILENT,
) -> IndexReport:
    """Make an album of photos, or bring one up to date: it then holds these and no others.

    Args:
        photos: Files.
        model: Model file or checkpoint of the task "embed".
        folder: The album.
        batch_size: Photos answered at once, 1 or more.
        threads: Threads for one answer and for decoding; every core by default.
        observer: Is told of progress.

    Raises:
        UsageError: The album was made with another model, the folder holds something else, or the
            model gives no vectors.
        DataError: No photo can be read, or the album is damaged.
        MissingExtraError: voyager is not installed.
    """
    require_search_extra()
    before = read_album(folder) if holds_album(folder) else None
    made_by = _checked_hash(model, before)
    predictor = open_embedder(model, threads)
    contents = _contents({way_from(folder, path): path for path in photos}, observer)
    known = _known_vectors(before)
    new = {digest: path for digest, path in contents.first_paths() if digest not in known}
    stated = AlbumModel(way_from(folder, model), made_by, stated_threshold(predictor))
    save = partial(_save, folder, stated, before)
    answers: dict[str, Vector] = {}
    try:
        failed = _answer(predictor, new, answers, batch_size, threads, observer)
    except KeyboardInterrupt:
        _save_what_is_there(contents.digests, known, answers, before, save, observer)
        raise
    skipped = tuple(
        SkippedFile(str(contents.paths[name]), failed[digest])
        for name, digest in contents.digests.items()
        if digest in failed
    )
    kept = _in_order(contents.digests, known | answers, before)
    if not kept:
        raise _nothing_read(skipped)
    vectors = save(kept, known | answers)
    return IndexReport(
        folder=folder,
        photos=len(kept),
        dimension=vectors.length,
        answered=len(answers),
        dropped=0 if before is None else len(set(before.photos) - set(kept)),
        skipped=skipped,
    )


def _checked_hash(model: Path, before: Album | None) -> str:
    """Hash the model file; another one than the album's is refused."""
    digest = model_hash(model)
    if before is not None and before.model.sha256 != digest:
        raise UsageError(
            f"the album {before.folder} was made with another model file than {model}: "
            f"{before.path_of(before.model.name)}, as it was",
            expected="the same file, since vectors of two models cannot be compared",
            remedy=f"another folder with --out, or delete {before.folder}",
        )
    return digest


@dataclass(frozen=True)
class _Contents:
    """Files by their ways from the album, with the hash of each one's content."""

    paths: dict[str, str | Path]
    digests: dict[str, str]

    def first_paths(self) -> Iterable[tuple[str, str | Path]]:
        """Give each content with the first file that has it."""
        first: dict[str, str | Path] = {}
        for name, digest in self.digests.items():
            first.setdefault(digest, self.paths[name])
        return first.items()


def _contents(paths: dict[str, str | Path], observer: Observer) -> _Contents:
    """Read every file once."""
    pool = ThreadPoolExecutor(usable_cores())
    try:
        digests = pool.map(_digest, paths.values())
        found = observer.progress(zip(paths, digests, strict=True), len(paths), "read")
        return _Contents(paths, dict(found))
    finally:
        # Someone who stops half-way waits for the files in hand only.
        pool.shutdown(wait=True, cancel_futures=True)


def _digest(path: str | Path) -> str:
    """Hash a photo; its name stands for one that cannot be read, which decoding then explains."""
    try:
        return file_hash(Path(path)) if Path(path).is_file() else f"unreadable {path}"
    except OSError:
        return f"unreadable {path}"


def _known_vectors(album: Album | None) -> dict[str, Vector]:
    """Vectors that an album has, by the content of the photo."""
    if album is None:
        return {}
    return dict(zip(album.photos.values(), album.vectors.rows, strict=True))


def _answer(
    predictor: Predictor,
    paths: dict[str, str | Path],
    answers: dict[str, Vector],
    batch_size: int,
    threads: int | None,
    observer: Observer,
) -> dict[str, str]:
    """Put the vector of each content into ``answers`` as it comes; why others have none."""
    failed: dict[str, str] = {}
    results = predict_files(predictor, paths.values(), batch_size=batch_size, threads=threads)
    shown = observer.progress(results, len(paths), "answer")
    for digest, result in zip(paths, shown, strict=True):
        prediction: Any = result.prediction
        if prediction is None:
            failed[digest] = result.error or ""
        else:
            answers[digest] = prediction.vector
    return failed


def _in_order(
    digests: dict[str, str], vectors: dict[str, Vector], before: Album | None
) -> dict[str, str]:
    """Photos that have a vector: first those of before, so that what is new is only added."""
    read = {name: digest for name, digest in digests.items() if digest in vectors}
    old = {} if before is None else before.photos
    return {name: digest for name, digest in old.items() if read.get(name) == digest} | read


def _save(
    folder: Path,
    stated: AlbumModel,
    before: Album | None,
    photos: dict[str, str],
    known: dict[str, Vector],
) -> Vectors:
    """Write the album, unless it is as before."""
    vectors = _vectors(photos, known, before)
    if before is None or (before.model, before.photos) != (stated, photos):
        write_album(Album(folder, stated, photos, vectors))
    return vectors


def _save_what_is_there(
    digests: dict[str, str],
    known: dict[str, Vector],
    answers: dict[str, Vector],
    before: Album | None,
    save: Callable[[dict[str, str], dict[str, Vector]], Vectors],
    observer: Observer,
) -> None:
    """After a stop: what was answered is not asked again, and nothing of before is dropped."""
    if not answers:
        return
    old = {} if before is None else before.photos
    save(old | _in_order(digests, known | answers, before), known | answers)
    observer.say(f"{len(answers):,} answers are kept: the same command goes on from there")


def _vectors(photos: dict[str, str], vectors: dict[str, Vector], before: Album | None) -> Vectors:
    """Vectors of photos: those of before with more, or all anew where some of these are gone."""
    known = 0 if before is None else len(before.photos)
    if before is not None and list(photos.items())[:known] == list(before.photos.items()):
        if new := list(photos.values())[known:]:
            before.vectors.add(np.stack([vectors[digest] for digest in new]))
        return before.vectors
    return Vectors.of(np.stack([vectors[digest] for digest in photos.values()]))


def _nothing_read(skipped: Sequence[SkippedFile]) -> DataError:
    if not skipped:
        return DataError("no photo was given", expected="one image or more")
    first = skipped[0]
    more = f", nor {len(skipped) - 1:,} others" if len(skipped) > 1 else ""
    return DataError(
        f"{first.path} cannot be read: {first.reason}{more}", expected="one image or more"
    )
