"""What each kind of task must be able to do with answers, and the lookup by name.

A task is a module (or any object) with what stands in ``VisionTask``. Everything that
measures, prints or draws goes through this protocol, so that a new task is one new file here and
one line in ``TASKS``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilens.errors import UnknownNameError, UsageError
from mobilens.spec.task import TaskSpec
from mobilens.vision.intervals import Estimate
from mobilens.vision.predictor import RawOutputs
from mobilens.vision.resize import Placement
from mobilens.vision.view import View
from mobilens.vision.words import Words

# An image, (height, width, 3), RGB, uint8, and the answer for it, to a picture of its size.
Render = Callable[[NDArray[np.uint8], Any], Image.Image]


class Prediction(Protocol):
    """The answer for one image."""

    def to_json(self) -> dict[str, Any]:
        """Give the answer as JSON values; it also takes what ``SHOW_OPTIONS`` of its task name."""
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


@dataclass(frozen=True)
class Curve:
    """A line for a person to look at.

    Attributes:
        name: What it is of.
        points: x and y, each 0 to 1.
    """

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chart:
    """Lines that belong together.

    Attributes:
        title: What they show.
        x: What is counted to the right.
        y: What is counted upwards.
        curves: One or more, of a class each.
        about: What a person should know, as a sentence.
    """

    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    about: str = ""


# Arrays have no single truth value, so no generated `==`.
@dataclass(frozen=True, eq=False)
class Confusion:
    """What was taken for what.

    Attributes:
        names: Of rows and columns, in order.
        counts: (n, n): a row for each truth, a column for each answer.
        background: Whether the last of them is no class: its row counts what was answered where
            nothing is, its column what was missed.
        about: What a person should know, as sentences.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]
    background: bool = False
    about: str = ""


class Scores(Protocol):
    """What a metric found on a data set."""

    @property
    def kind(self) -> str:
        """The task whose figures these are: a ``TaskSpec``'s ``kind``."""
        ...

    @property
    def main(self) -> Estimate:
        """The one figure that training maximises, 0 to 1; for classification top-1."""
        ...

    @property
    def stated(self) -> dict[str, float]:
        """What a model file states of itself: the main figure by its name, and what answers need.

        Each 0 to 1.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """Give every figure as JSON values; a figure that is not defined is None, never NaN."""
        ...

    def tables(self) -> list[Table]:
        """Give what a person wants to read, the most important first."""
        ...

    def charts(self) -> list[Chart]:
        """Give what a person wants to look at, likewise; none where figures say it all."""
        ...

    def confused(self) -> Confusion | None:
        """Tell what was taken for what; None where a task has no such thing."""
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

    def value(self) -> float:
        """Give the main figure alone, 0 to 1, which takes less time than all of them."""
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


class Shown(Protocol):
    """How people get to see answers.

    Predictions are of a task's own type, hence ``Any`` here.
    """

    # Keyword arguments by which people choose how much of an answer they see: "top" how many
    # classes, "min_score" which things. The functions with ``show`` take these and no others, and
    # so does a prediction's ``to_json``; each has a default.
    SHOW_OPTIONS: tuple[str, ...]
    # Pictures that can be made of an answer besides ``draw``, by name: "palette" and "alpha" for
    # masks, "cutout". Each is asked first what it makes of a model's answers, and raises a
    # UsageError where that is nothing.
    PICTURES: Mapping[str, Callable[[TaskSpec], Render]]

    def text(self, prediction: Any, **show: Any) -> str:
        """Write an answer in one line."""
        ...

    def csv_header(self, task: TaskSpec, **show: Any) -> list[str]:
        """Name the columns of an answer, between the file's name and its error."""
        ...

    def csv_rows(self, prediction: Any, **show: Any) -> list[list[str]]:
        """Give an answer as rows with these columns; none where nothing was found."""
        ...

    def draw(self, image: NDArray[np.uint8], prediction: Any, **show: Any) -> NDArray[np.uint8]:
        """Draw an answer on its image.

        Args:
            image: (height, width, 3), RGB, uint8; it is not changed.
            prediction: The answer.
            show: How much of it.

        Returns:
            A new image of the same layout, possibly taller.
        """
        ...


class VisionTask(Shown, Protocol):
    """What a task does with answers.

    Predictions and targets are of the task's own types, hence ``Any`` here.
    """

    LABELS: str  # kind of labels that it learns from, one of ``data.labels.LABELS``
    MAIN_SCORE: str  # name of the main score in JSON
    MAIN_TITLE: str  # the same for people
    RESIZE: Literal["crop", "squash", "letterbox"]  # how images come into the net
    RESOLUTION: int | None  # side of the net's input by default; None for the model's own
    OUTPUT_STRIDE: int | None  # of the backbone; None for its own, 32
    # Puts the truths of several views into one image; None where that makes no sense.
    merge: Callable[[Sequence[Any]], Any] | None
    HEADS: tuple[str, ...]  # kinds of heads that answer it, the default first
    WORDS: Words  # what people are told about it
    MISTAKE_SIDE: int | None  # long side of a picture for ``draw_mistake``, pixels; None for any

    def decode(
        self, outputs: RawOutputs, task: TaskSpec, placements: Sequence[Placement] | None = None
    ) -> Sequence[Prediction]:
        """Turn a model's raw outputs into answers, one per image of the batch.

        Args:
            outputs: As the model gives them.
            task: Of the model.
            placements: Where each image lies in the model's input; without them, answers that
                have a place are in pixels of that input.

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

    def record(self, prediction: Any) -> dict[str, NDArray[np.float32]]:
        """Give numbers that ``recall`` makes the same answer of, as few as may be."""
        ...

    def recall(self, values: Mapping[str, NDArray[np.float32]], task: TaskSpec) -> Prediction:
        """Make an answer of recorded numbers, each array flattened.

        Raises:
            MobilensError: They are not those of an answer.
        """
        ...

    def difference(self, a: Any, b: Any) -> float:
        """Measure how far two answers are apart: 0 for the same, 1 for another answer.

        Numbers above 1, such as pixels, count in proportion to their size.
        """
        ...

    def lost(
        self, before: Sequence[Any], after: Sequence[Any], targets: Sequence[Any], task: TaskSpec
    ) -> Estimate:
        """Measure how much smaller the main figure became, on the very same images.

        Args:
            before: Answers of a first model.
            after: Answers of a second one.
            targets: The truths.
            task: Of both models.

        Returns:
            The first's figure less the second's, -1 to 1, with its 95 % interval.
        """
        ...

    def move(self, target: Any, view: View) -> Any:
        """Give the truth for what a view shows of an image."""
        ...

    def mistakes(
        self, predictions: Sequence[Any], targets: Sequence[Any]
    ) -> Sequence[Mistake | None]:
        """Describe what is wrong with each answer of a data set; None for one that is right."""
        ...

    def draw_mistake(
        self, image: NDArray[np.uint8], prediction: Any, target: Any, view: View
    ) -> NDArray[np.uint8]:
        """Draw what is right and wrong with an answer.

        Args:
            image: (height, width, 3), RGB, uint8: the image at the size of a picture; it is not
                changed.
            prediction: The answer, in pixels of the image itself.
            target: The truth, likewise.
            view: How the image itself became this picture.

        Returns:
            An image of the same layout; the very same where the answer has no place in it.
        """
        ...


TASKS: dict[str, str | VisionTask] = {
    "classify": "mobilens.vision.classification",
    "detect": "mobilens.vision.detection",
    "segment": "mobilens.vision.segmentation",
    "keypoints": "mobilens.vision.keypoints",
    "embed": "mobilens.vision.embedding",
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


def require_boxes(kind: str) -> None:
    """Refuse to choose boxes whatever their class for a task that answers none.

    Args:
        kind: The ``kind`` of a ``TaskSpec``.

    Raises:
        UsageError: It answers none.
        UnknownNameError: No task has this name.
    """
    if task_vision(kind).LABELS != "boxes":
        raise UsageError(
            f"class-agnostic means nothing to the task {kind!r}, which answers no boxes",
            expected="--task detect, whose boxes are chosen among all",
            remedy="leave --class-agnostic out",
        )


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
