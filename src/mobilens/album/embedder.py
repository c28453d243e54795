"""The model file of an album: opened to answer, and told from others by its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mobilens.album.store import Album
from mobilens.errors import UsageError
from mobilens.model import open_predictor
from mobilens.runtime.formats import main_file
from mobilens.runtime.predictor import BundlePredictor
from mobilens.vision.predictor import Predictor

TASK = "embed"
# The name of the figure under which a model file says it.
THRESHOLD = "threshold"


def file_hash(path: Path) -> str:
    """Hash a file's content, or of a folder its main file's: SHA-256, in hexadecimal digits.

    Raises:
        OSError: It cannot be read.
    """
    with main_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_hash(path: Path) -> str:
    """Hash a model file.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return file_hash(path)
    except OSError as error:
        raise UsageError(
            f"the model file {path} cannot be read: {error.strerror}",
            expected="a model file or a checkpoint of the task 'embed'",
        ) from None


def open_embedder(path: Path, threads: int | None = None) -> Predictor:
    """Open a model that answers with vectors.

    Raises:
        UsageError: Its answers are others.
        MobilensError: As ``mobilens.model.open_predictor``.
    """
    predictor = open_predictor(path, threads)
    if predictor.task.kind != TASK:
        raise UsageError(
            f"{path} is a model of the task {predictor.task.kind!r}",
            expected=f"one of the task {TASK!r}, whose answers are vectors",
            remedy=f"mobilens train PHOTOS --task {TASK}",
        )
    return predictor


def stated_threshold(predictor: Predictor) -> float | None:
    """Similarity from which on two photos are of the same one, where a model file says so."""
    if not isinstance(predictor, BundlePredictor) or predictor.manifest.accuracy is None:
        return None
    accuracy = predictor.manifest.accuracy
    return (accuracy.checkpoint | accuracy.file).get(THRESHOLD)


def open_model_of(
    album: Album, given: str | Path | None = None, threads: int | None = None
) -> Predictor:
    """Open the model that gave an album its vectors.

    Args:
        album: The album.
        given: Where the file lies now; by default where it lay, seen from the album.
        threads: Threads for one answer.

    Raises:
        UsageError: It is not there, or is another one.
        MobilensError: As ``mobilens.model.open_predictor``.
    """
    path = Path(given or album.path_of(album.model.name))
    if given is None and not path.exists():
        raise UsageError(
            f"the model file of the album {album.folder} is not at {path} any more",
            expected="the file that the album was made with",
            remedy="--model FILE",
        )
    if model_hash(path) != album.model.sha256:
        raise UsageError(
            f"{path} is not the file that the album {album.folder} was made with",
            expected=f"the file with the SHA-256 {album.model.sha256}: vectors of two models "
            "cannot be compared",
            remedy="name it with --model, or index the photos anew",
        )
    return open_embedder(path, threads)
