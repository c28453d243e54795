"""The photos of an album that are most like an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobilens.album.store import Album, way_from
from mobilens.vision.files import predict_files
from mobilens.vision.predictor import Predictor


@dataclass(frozen=True)
class Neighbour:
    """A photo of an album.

    Attributes:
        path: Where it lies.
        similarity: To the image that was searched for, -1 to 1.
    """

    path: str
    similarity: float

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {"path": self.path, "similarity": round(self.similarity, 6)}


@dataclass(frozen=True)
class SearchResult:
    """What was found for an image.

    Attributes:
        path: The image, as it was given.
        nearest: Photos, the most similar first; without the image itself.
        error: Why the image cannot be read, or None.
    """

    path: str
    nearest: tuple[Neighbour, ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        if self.error is not None:
            return {"path": self.path, "error": self.error}
        return {"path": self.path, "nearest": [one.to_json() for one in self.nearest]}


def search_album(
    album: Album,
    predictor: Predictor,
    images: Iterable[str | Path],
    *,
    top: int = 5,
    min_similarity: float = -1.0,
    batch_size: int = 8,
    threads: int | None = None,
) -> Iterator[SearchResult]:
    """Find the photos that are most like each image, one image after another.

    Args:
        album: What is searched.
        predictor: The model that gave its vectors.
        images: Files; taken from the iterable as they are needed.
        top: Photos given for each, at most.
        min_similarity: Least similarity of what is given, -1 to 1.
        batch_size: Images answered at once, 1 or more.
        threads: Threads that decode; every core by default.
    """
    for result in predict_files(predictor, images, batch_size=batch_size, threads=threads):
        prediction: Any = result.prediction
        if prediction is None:
            yield SearchResult(result.path, error=result.error)
            continue
        own = way_from(album.folder, result.path)
        # One more, since the image itself may be among them.
        found = album.vectors.nearest(prediction.vector, top + 1)
        others = [
            Neighbour(album.path_of(album.names[number]), similarity)
            for number, similarity in found
            if album.names[number] != own and similarity >= min_similarity
        ]
        yield SearchResult(result.path, tuple(others[:top]))
