"""Embeddings: a vector for each image. The answer, its decoding, its mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import MobilensError
from mobilens.spec.task import TaskSpec
from mobilens.vision.embedding_scores import EmbeddingMetric, area_lost, nearest
from mobilens.vision.intervals import Estimate
from mobilens.vision.predictor import Pixels, RawOutputs
from mobilens.vision.resize import Placement
from mobilens.vision.tasks import Mistake
from mobilens.vision.view import View
from mobilens.vision.words import Words

LABELS = "identity"
MAIN_SCORE, MAIN_TITLE = "auc", "verification AUC"
RESIZE = "letterbox"
RESOLUTION = None
OUTPUT_STRIDE = None
merge = None
HEADS = ("arcface", "cosface")
SHOW_OPTIONS = ()
PICTURES: dict[str, Any] = {}
MISTAKE_SIDE = None
WORDS = Words(
    use="Give a photo's vector, which is near those of photos of the same one",
    counted="Images of each one",
    mistakes="nearer to another one's image than to any of their own; those by the largest "
    "difference come first. Look for wrong labels first.",
    answer="nearest to",
    truth="own at",
    severity="difference",
    severity_text="(by {} %)",
)

# Similarity with the checkpoint's vector that a file's vector has at least.
SAME_VECTOR = 0.999
# Numbers of a vector that are written out in a line.
WRITTEN = 4


@dataclass(frozen=True, eq=False)
class EmbeddingPrediction:
    """Where an image lies among all others.

    Attributes:
        vector: (D,), float32, of length 1. The similarity of two images is the sum of the products
            of their numbers, -1 to 1.
    """

    vector: NDArray[np.float32]

    def similarity(self, other: EmbeddingPrediction) -> float:
        """How alike two images are, -1 to 1; 1 for the same."""
        return float(self.vector @ other.vector)

    def to_json(self) -> dict[str, Any]:
        """Give the vector as JSON values."""
        return {"embedding": [round(float(number), 6) for number in self.vector]}


def decode(
    outputs: RawOutputs,
    task: TaskSpec,  # noqa: ARG001 (vectors speak of no class)
    placements: Sequence[Placement] | None = None,  # noqa: ARG001 (nor of a place)
) -> list[EmbeddingPrediction]:
    """Bring a model's vectors to length 1, one for each image.

    Args:
        outputs: ``"embeddings"``, (N, D).
        task: As of every task.
        placements: Likewise.

    Raises:
        MobilensError: The output is missing, of another shape, or not made of numbers.
    """
    if "embeddings" not in outputs:
        raise MobilensError(
            f"the model's outputs are named {sorted(outputs)}", expected="'embeddings'"
        )
    vectors = np.asarray(outputs["embeddings"], np.float32)
    if vectors.ndim != 2:
        raise MobilensError(
            f"the model's embeddings have the shape {vectors.shape}", expected="(N, D)"
        )
    if not np.isfinite(vectors).all():
        raise MobilensError(
            "the model answered with NaN or infinity",
            expected="vectors of numbers",
            remedy="check the file with mobilens verify; its weights may be damaged",
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return [EmbeddingPrediction(vector) for vector in unit]


def new_metric(task: TaskSpec) -> EmbeddingMetric:  # noqa: ARG001
    """Give an empty metric."""
    return EmbeddingMetric()


def move(target: int, view: View) -> int:  # noqa: ARG001
    """Who is seen does not hang on the view."""
    return target


def record(prediction: EmbeddingPrediction) -> dict[str, NDArray[np.float32]]:
    """Give the vector."""
    return {"embedding": prediction.vector}


def recall(values: Mapping[str, NDArray[np.float32]], task: TaskSpec) -> EmbeddingPrediction:
    """Make an answer of a recorded vector.

    Raises:
        MobilensError: There is none.
    """
    vector = values.get("embedding", np.zeros(0, np.float32))
    if not vector.size:
        raise MobilensError("an answer is recorded otherwise", expected="a vector")
    return decode({"embeddings": vector.reshape(1, -1)}, task)[0]


def difference(a: EmbeddingPrediction, b: EmbeddingPrediction) -> float:
    """Largest difference of two numbers of the vectors; 1 for vectors of other lengths."""
    if a.vector.shape != b.vector.shape:
        return 1.0
    return float(np.abs(a.vector - b.vector).max())


def agree(a: EmbeddingPrediction, b: EmbeddingPrediction) -> bool:
    """Tell whether both point the same way."""
    return a.vector.shape == b.vector.shape and a.similarity(b) >= SAME_VECTOR


def lost(
    before: Sequence[EmbeddingPrediction],
    after: Sequence[EmbeddingPrediction],
    targets: Sequence[int],
    task: TaskSpec,  # noqa: ARG001
) -> Estimate:
    """Area under the curve lost, by resampling whole identities."""
    return area_lost(before, after, targets)


def mistakes(
    predictions: Sequence[EmbeddingPrediction], targets: Sequence[int]
) -> list[Mistake | None]:
    """Find the images that are nearer to one of another identity than to any of their own."""
    own, other = nearest(predictions, targets)
    return [
        Mistake(f"{mine:.2f}", f"another's image, at {theirs:.2f}", float(theirs - mine) / 2)
        if np.isfinite(mine) and theirs > mine
        else None
        for mine, theirs in zip(own, other, strict=True)
    ]


def text(prediction: EmbeddingPrediction) -> str:
    """Write the first numbers of the vector, and how many there are."""
    numbers = " ".join(f"{number:+.3f}" for number in prediction.vector[:WRITTEN])
    return f"{numbers} ... ({len(prediction.vector)} numbers)"


def csv_header(task: TaskSpec) -> list[str]:  # noqa: ARG001
    """Name the column of the vector."""
    return ["embedding"]


def csv_rows(prediction: EmbeddingPrediction) -> list[list[str]]:
    """Give the vector's numbers in one cell, with blanks between them."""
    return [[" ".join(f"{number:.6f}" for number in prediction.vector)]]


def draw(image: Pixels, prediction: EmbeddingPrediction) -> Pixels:  # noqa: ARG001
    """Give the image as it is: a vector has no picture."""
    return image.copy()


def draw_mistake(
    image: Pixels,
    prediction: EmbeddingPrediction,  # noqa: ARG001
    target: int,  # noqa: ARG001
    view: View,  # noqa: ARG001
) -> Pixels:
    """Give the image as it is."""
    return image
