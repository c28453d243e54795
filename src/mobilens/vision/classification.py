"""Classification: one class per image. The answer, its decoding, its metric, its drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import DataError, MobilensError, UsageError
from mobilens.spec.task import TaskSpec
from mobilens.vision.classification_scores import ClassificationScores, score_classification
from mobilens.vision.drawing import caption
from mobilens.vision.predictor import Pixels, RawOutputs
from mobilens.vision.tasks import Mistake


# Arrays have no single truth value, so predictions are compared with `agree`, not `==`.
@dataclass(frozen=True, eq=False)
class ClassificationPrediction:
    """The probability of each class for one image.

    Attributes:
        probabilities: (classes,), float32, 0 to 1, in the order of ``class_names``.
        class_names: Names in the order of the outputs.
    """

    probabilities: NDArray[np.float32]
    class_names: tuple[str, ...]

    @property
    def index(self) -> int:
        """Index of the most probable class; the first of equals."""
        return int(np.argmax(self.probabilities))

    @property
    def label(self) -> str:
        """Name of the most probable class."""
        return self.class_names[self.index]

    @property
    def confidence(self) -> float:
        """Probability of the most probable class, 0 to 1."""
        return float(self.probabilities[self.index])

    def top(self, k: int) -> list[tuple[str, float]]:
        """Give the ``k`` most probable classes, or all if they are fewer, best first.

        Returns:
            (name, probability 0 to 1); the first class of equals comes first.

        Raises:
            UsageError: ``k`` is below 1.
        """
        if k < 1:
            raise UsageError(f"k is {k}", expected="1 or more")
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.class_names[i], float(self.probabilities[i])) for i in order]

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """Give the answer and the ``top`` most probable classes as JSON values."""
        return {
            "label": self.label,
            "probability": self.confidence,
            "top": [
                {"label": label, "probability": probability} for label, probability in self.top(top)
            ],
        }


def decode(outputs: RawOutputs, task: TaskSpec) -> list[ClassificationPrediction]:
    """Turn the output ``"probabilities"``, (N, classes), into one prediction per image.

    Raises:
        MobilensError: The output is missing, of another shape, or not made of numbers.
    """
    if "probabilities" not in outputs:
        raise MobilensError(
            f"the model's outputs are named {sorted(outputs)}", expected="'probabilities'"
        )
    probabilities = np.asarray(outputs["probabilities"], dtype=np.float32)
    classes = len(task.class_names)
    if probabilities.ndim != 2 or probabilities.shape[1] != classes:
        raise MobilensError(
            f"the model's probabilities have the shape {probabilities.shape}",
            expected=f"(N, {classes}), one column for each class name",
        )
    if not np.isfinite(probabilities).all():
        raise MobilensError(
            "the model answered with NaN or infinity",
            expected="probabilities from 0 to 1",
            remedy="check the file with mobilens verify; its weights may be damaged",
        )
    return [ClassificationPrediction(row, task.class_names) for row in probabilities]


def agree(a: ClassificationPrediction, b: ClassificationPrediction) -> bool:
    """Tell whether both name the same most probable class."""
    return a.label == b.label


def mistake(prediction: ClassificationPrediction, target: int) -> Mistake | None:
    """Describe a wrong top-1 answer; its severity is the probability it was given."""
    if prediction.index == target:
        return None
    return Mistake(prediction.class_names[target], prediction.label, prediction.confidence)


def draw(image: Pixels, prediction: ClassificationPrediction) -> Pixels:
    """Write the three most probable classes under the image."""
    return caption(
        image, [f"{label} {100 * probability:.0f} %" for label, probability in prediction.top(3)]
    )


def new_metric(task: TaskSpec) -> ClassificationMetric:
    """Give an empty metric for the task's classes."""
    return ClassificationMetric(task.class_names)


class ClassificationMetric:
    """Gathers what the scores need: some bytes for each image, not all its probabilities.

    Args:
        class_names: Names in the order of the outputs.
    """

    def __init__(self, class_names: tuple[str, ...]) -> None:
        self.class_names = class_names
        self._targets: list[int] = []
        self._ranks: list[int] = []
        self._answers: list[int] = []
        self._confidences: list[float] = []

    def update(
        self, predictions: Sequence[ClassificationPrediction], targets: Sequence[int]
    ) -> None:
        """Add a batch: one prediction and one class index for each image."""
        for prediction, target in zip(predictions, targets, strict=True):
            self._targets.append(target)
            self._ranks.append(_rank(prediction.probabilities, target))
            self._answers.append(prediction.index)
            self._confidences.append(prediction.confidence)

    def result(self) -> ClassificationScores:
        """Give the scores over everything added so far.

        Raises:
            DataError: Nothing was added.
        """
        if not self._targets:
            raise DataError("there is nothing to measure", expected="one answered image or more")
        return score_classification(
            self.class_names,
            targets=np.array(self._targets, dtype=np.int64),
            ranks=np.array(self._ranks, dtype=np.int64),
            answers=np.array(self._answers, dtype=np.int64),
            confidences=np.array(self._confidences, dtype=np.float64).clip(0, 1),
        )


def _rank(probabilities: NDArray[np.float32], target: int) -> int:
    """Give the place of a class, 0 for the best; of equals the first class comes first."""
    own = probabilities[target]
    higher = np.count_nonzero(probabilities > own)
    return int(higher + np.count_nonzero(probabilities[:target] == own))
