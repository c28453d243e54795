"""What each kind of task must be able to do with answers, and the lookup by name.

A task is a module (or any object) with the five functions of ``VisionTask``. Everything that
measures, prints or draws goes through this protocol, so that a new task is one new file here and
one line in ``TASKS``.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import UnknownNameError
from mobilens.spec.task import TaskSpec
from mobilens.vision.intervals import Estimate
from mobilens.vision.predictor import RawOutputs


class Prediction(Protocol):
    """The answer for one image."""

    def to_json(self) -> dict[str, Any]:
        """Give the answer as JSON values."""
        ...


@dataclass(frozen=True)
class Table:
    """Figures for a person to read, wherever they are shown.

    Attributes:
        title: What the rows are.
        header: Column names.
        rows: Cells as text.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Scores(Protocol):
    """What a metric found on a data set."""

    @property
    def main(self) -> Estimate:
        """The one figure that training maximises, 0 to 1; for classification top-1."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Give every figure as JSON values; a figure that is not defined is None, never NaN."""
        ...

    def tables(self) -> list[Table]:
        """Give what a person wants to read, the most important first."""
        ...


class Metric(Protocol):
    """Gathers answers and truths, batch by batch, then gives the scores."""

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Add a batch.

        Args:
            predictions: One prediction per image, as the task's ``decode`` gave them.
            targets: The truth for each, as the data set gives it.
        """
        ...

    def result(self) -> Scores:
        """Give the scores over everything added so far."""
        ...


@dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Attributes:
        expected: The truth, in words.
        answered: What the model said, in words.
        severity: How wrong it is, 0 to 1; the worst mistakes are shown first. For
            classification, the probability given to the wrong class.
    """

    expected: str
    answered: str
    severity: float


class VisionTask(Protocol):
    """What a task does with answers.

    Predictions and targets are of the task's own types, hence ``Any`` here.
    """

    def decode(self, outputs: RawOutputs, task: TaskSpec) -> Sequence[Prediction]:
        """Turn a model's raw outputs into answers, one per image of the batch.

        Raises:
            MobilensError: The outputs do not fit the task.
        """
        ...

    def new_metric(self, task: TaskSpec) -> Metric:
        """Give an empty metric."""
        ...

    def agree(self, a: Any, b: Any) -> bool:
        """Tell whether two predictions are the same answer, whatever their exact numbers."""
        ...

    def mistake(self, prediction: Any, target: Any) -> Mistake | None:
        """Describe what is wrong with an answer, or None when it is right."""
        ...

    def draw(self, image: NDArray[np.uint8], prediction: Any) -> NDArray[np.uint8]:
        """Draw an answer on its image.

        Args:
            image: (height, width, 3), RGB, uint8; it is not changed.
            prediction: The answer.

        Returns:
            A new image of the same layout, possibly taller.
        """
        ...


TASKS: dict[str, str | VisionTask] = {
    "classify": "mobilens.vision.classification",
}


def task_vision(kind: str) -> VisionTask:
    """Look up a task by the ``kind`` of its ``TaskSpec``.

    Raises:
        UnknownNameError: No task has this name.
    """
    if kind not in TASKS:
        raise UnknownNameError.among("task", kind, TASKS)
    found = TASKS[kind]
    # Only the task in use is imported.
    return cast(VisionTask, importlib.import_module(found)) if isinstance(found, str) else found


def register_task(kind: str, task: str | VisionTask) -> None:
    """Add a task from outside the package.

    Args:
        kind: The ``kind`` that its ``TaskSpec`` carries.
        task: The task itself, or the dotted name of the module that is one, imported when used.

    Raises:
        ValueError: Another task has this name.
    """
    if TASKS.get(kind, task) != task:
        raise ValueError(f"a task named {kind!r} is already there")
    TASKS[kind] = task
