"""What was found, as a picture: a row for each image, itself first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mobilens.album.search import SearchResult
from mobilens.errors import ImageError
from mobilens.vision.drawing import GREY, INK, PAPER, Tile, picture_grid
from mobilens.vision.image import load_thumbnail
from mobilens.vision.predictor import Pixels

# More than these would make a picture that few programs open.
MAX_ROWS = 50
_SIDE = 240


def search_picture(results: Sequence[SearchResult]) -> Pixels:
    """Draw images and the photos that are most like them.

    Args:
        results: One or more, no more than ``MAX_ROWS``.

    Returns:
        (height, width, 3), RGB, uint8.
    """
    columns = 1 + max(len(result.nearest) for result in results)
    tiles = [tile for result in results for tile in _row(result, columns)]
    return picture_grid(tiles, columns=columns, side=_SIDE)


def _row(result: SearchResult, columns: int) -> Iterator[Tile]:
    yield _tile(result.path, "searched for")
    for one in result.nearest:
        yield _tile(one.path, f"{one.similarity:.2f}")
    for _ in range(columns - 1 - len(result.nearest)):
        yield Tile(_blank(), ())


def _tile(path: str, words: str) -> Tile:
    try:
        picture = load_thumbnail(path, _SIDE)
    except ImageError:  # it was readable when the album was made
        picture, words = _blank(), f"{words}, cannot be read"
    # With its folder, which often says more than the name.
    return Tile(picture, ((words, INK), ("/".join(Path(path).parts[-2:]), GREY)))


def _blank() -> Pixels:
    return np.full((_SIDE, _SIDE, 3), PAPER, np.uint8)
