"""Points of every thing in a photo: a detector finds the things, a second model looks at each.

What stands here under the names of a task shows these answers (``vision.tasks.Shown``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from mobilens.errors import UnknownNameError
from mobilens.spec.task import TaskSpec
from mobilens.vision import detection, keypoints
from mobilens.vision.detection import SHOWN_SCORE, DetectionPrediction
from mobilens.vision.files import FileResult, predict_files
from mobilens.vision.image import Region
from mobilens.vision.keypoints import KeypointPrediction
from mobilens.vision.predictor import Pixels, Predictor

SHOW_OPTIONS: tuple[str, ...] = keypoints.SHOW_OPTIONS
PICTURES: Mapping[str, Any] = keypoints.PICTURES
THING_COLUMNS = ["thing", "thing_score", "left", "top", "right", "bottom"]


@dataclass(frozen=True, eq=False)
class TopDownPrediction:
    """Things of one image, and the points of each.

    Attributes:
        things: What the detector found, best first.
        points: Of each of them.
    """

    things: DetectionPrediction
    points: tuple[KeypointPrediction, ...]

    def to_json(self, **show: Any) -> dict[str, Any]:
        """Give each thing with its points as JSON values."""
        boxes = self.things.to_json()["objects"]
        points = [one.to_json(**show) for one in self.points]
        return {"objects": [box | its for box, its in zip(boxes, points, strict=True)]}


def predict_points(
    detector: Predictor,
    predictor: Predictor,
    paths: Iterable[str | Path],
    *,
    things: Sequence[str] = (),
    batch_size: int = 32,
    threads: int | None = None,
) -> Iterator[FileResult]:
    """Answer for every file, in order.

    Args:
        detector: Finds the things.
        predictor: Finds the points of one.
        paths: Files; taken from the iterable as they are needed.
        things: Labels of the things that are looked at; all by default.
        batch_size: Files, and things, answered at once, 1 or more.
        threads: Threads that decode; every core by default.

    Raises:
        UnknownNameError: The detector knows no thing of such a label.
        UsageError: ``batch_size`` or ``threads`` is below 1.
    """
    known = detector.task.class_names
    for label in things:
        if label not in known:
            raise UnknownNameError.among("thing", label, known)
    answer = partial(predict_files, batch_size=batch_size, threads=threads)
    found = answer(detector, paths)
    return _looked_at(found, partial(answer, predictor), things or known, batch_size)


def _looked_at(
    found: Iterator[FileResult],
    answer: Callable[[Iterable[Region]], Iterable[FileResult]],
    things: Sequence[str],
    batch_size: int,
) -> Iterator[FileResult]:
    """Look at the things of several files together: one file has few of them."""
    while batch := list(islice(found, batch_size)):
        kept = [_meant(result.prediction, things) for result in batch]
        answers = iter(
            answer(
                Region.around(result.path, box)
                for result, one in zip(batch, kept, strict=True)
                if one
                for box in one.boxes
            )
        )
        for result, one in zip(batch, kept, strict=True):
            yield result if one is None else _joined(result.path, one, answers)


def _meant(prediction: Any, things: Sequence[str]) -> DetectionPrediction | None:
    """What is looked at of what was found; None where nothing was looked for."""
    if prediction is None:
        return None
    found: DetectionPrediction = prediction
    return found.above(SHOWN_SCORE).labelled(things)


def _joined(path: str, things: DetectionPrediction, answers: Iterator[FileResult]) -> FileResult:
    looked = list(islice(answers, len(things)))
    # The file may have gone between the two looks at it.
    error = next((one.error for one in looked if one.error), None)
    points: list[Any] = [one.prediction for one in looked]
    prediction = None if error else TopDownPrediction(things, tuple(points))
    return FileResult(path, prediction, error)


def text(prediction: TopDownPrediction, **show: Any) -> str:
    """Write each thing and its points in a line."""
    things = zip(detection.texts(prediction.things), prediction.points, strict=True)
    return "; ".join(f"{one}: {keypoints.text(its, **show)}" for one, its in things) or "nothing"


def csv_header(task: TaskSpec, **show: Any) -> list[str]:
    """Name the columns of a point."""
    return [*THING_COLUMNS, *keypoints.csv_header(task, **show)]


def csv_rows(prediction: TopDownPrediction, **show: Any) -> list[list[str]]:
    """Give a row for each point, and one with empty cells for a thing of which none is shown."""
    rows = []
    for thing, points in zip(detection.csv_rows(prediction.things), prediction.points, strict=True):
        empty = [""] * len(keypoints.CSV_COLUMNS)
        rows += [[*thing, *cells] for cells in keypoints.csv_rows(points, **show) or [empty]]
    return rows


def draw(image: Pixels, prediction: TopDownPrediction, **show: Any) -> Pixels:
    """Draw the things, and the points of each."""
    drawn = detection.draw(image, prediction.things)
    for points in prediction.points:
        drawn = keypoints.draw(drawn, points, **show)
    return drawn
