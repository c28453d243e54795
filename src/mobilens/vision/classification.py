"""Classification: one class per image. The answer, its decoding, its metric, its drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import DataError, MobilensError, UsageError
from mobilens.spec.task import TaskSpec
from mobilens.vision.classification_scores import ClassificationScores, score_classification
from mobilens.vision.drawing import caption
from mobilens.vision.intervals import Estimate, paired_difference
from mobilens.vision.predictor import Pixels, RawOutputs
from mobilens.vision.resize import Placement
from mobilens.vision.tasks import Mistake
from mobilens.vision.view import View
from mobilens.vision.words import Words

LABELS = "class"
MAIN_SCORE, MAIN_TITLE = "top1", "top-1"
RESIZE = "crop"
RESOLUTION = None
OUTPUT_STRIDE = None
merge = None  # an image of several classes has none
HEADS = ("classifier",)
SHOW_OPTIONS = ("top",)
PICTURES: dict[str, Any] = {}
MISTAKE_SIDE = None
WORDS = Words(
    use="Label a photo",
    mistakes="answered wrong; the surest come first. Look for wrong labels first.",
    severity="probability",
)


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


def decode(
    outputs: RawOutputs,
    task: TaskSpec,
    placements: Sequence[Placement] | None = None,  # noqa: ARG001 (a class has no place)
) -> list[ClassificationPrediction]:
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


def record(prediction: ClassificationPrediction) -> dict[str, NDArray[np.float32]]:
    """Give the probabilities."""
    return {"probabilities": prediction.probabilities}


def recall(values: Mapping[str, NDArray[np.float32]], task: TaskSpec) -> ClassificationPrediction:
    """Make an answer of recorded probabilities.

    Raises:
        MobilensError: They are missing, or not one for each class.
    """
    return decode({name: value[None] for name, value in values.items()}, task)[0]


def difference(a: ClassificationPrediction, b: ClassificationPrediction) -> float:
    """Largest difference of a probability."""
    return float(np.abs(a.probabilities - b.probabilities).max())


def lost(
    before: Sequence[ClassificationPrediction],
    after: Sequence[ClassificationPrediction],
    targets: Sequence[int],
    task: TaskSpec,  # noqa: ARG001 (right is right, whatever the classes)
) -> Estimate:
    """Share of right answers lost, less those gained."""
    right = [
        np.array([one.index == target for one, target in zip(answers, targets, strict=True)])
        for answers in (before, after)
    ]
    gone, new = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    return paired_difference(gone, new, len(targets))


def move(target: int, view: View) -> int:  # noqa: ARG001
    """A class is the same whatever is seen of the image."""
    return target


def text(prediction: ClassificationPrediction, top: int = 5) -> str:
    """Write the ``top`` most probable classes in a line."""
    return ", ".join(f"{label} {100 * value:.1f} %" for label, value in prediction.top(top))


def csv_header(task: TaskSpec, top: int = 5) -> list[str]:
    """Name two columns for each of the ``top`` most probable classes."""
    shown = range(1, min(top, len(task.class_names)) + 1)
    return [f"{name}_{place}" for place in shown for name in ("label", "probability")]


def csv_rows(prediction: ClassificationPrediction, top: int = 5) -> list[list[str]]:
    """Give one row."""
    pairs = ((label, f"{probability:.6g}") for label, probability in prediction.top(top))
    return [[cell for pair in pairs for cell in pair]]


def mistakes(
    predictions: Sequence[ClassificationPrediction], targets: Sequence[int]
) -> list[Mistake | None]:
    """Describe what is wrong with each answer by itself."""
    return [mistake(one, target) for one, target in zip(predictions, targets, strict=True)]


def mistake(prediction: ClassificationPrediction, target: int) -> Mistake | None:
    """Describe a wrong top-1 answer; its severity is the probability it was given."""
    if prediction.index == target:
        return None
    return Mistake(prediction.class_names[target], prediction.label, prediction.confidence)


def draw(image: Pixels, prediction: ClassificationPrediction, top: int = 3) -> Pixels:
    """Write the ``top`` most probable classes under the image."""
    return caption(
        image, [f"{label} {100 * probability:.0f} %" for label, probability in prediction.top(top)]
    )


def draw_mistake(
    image: Pixels,
    prediction: ClassificationPrediction,  # noqa: ARG001
    target: int,  # noqa: ARG001
    view: View,  # noqa: ARG001
) -> Pixels:
    """Leave the image as it is: a class has no place in it."""
    return image


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

    def value(self) -> float:
        """Share of right answers."""
        return self._ranks.count(0) / len(self._ranks)

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
