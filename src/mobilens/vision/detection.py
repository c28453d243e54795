"""Detection: what is where. The answer, its decoding, its mistakes, its drawing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import MobilensError
from mobilens.spec.task import TaskSpec
from mobilens.vision.boxes import Boxes, BoxTarget, best_boxes, iou, merge_boxes, move_boxes
from mobilens.vision.detection_scores import DetectionMetric, precision_lost
from mobilens.vision.drawing import Mark, draw_boxes, draw_marks
from mobilens.vision.intervals import Estimate
from mobilens.vision.predictor import Pixels, RawOutputs
from mobilens.vision.resize import Placement
from mobilens.vision.tasks import Mistake
from mobilens.vision.view import View
from mobilens.vision.words import Stroke, Words

LABELS = "boxes"
MAIN_SCORE, MAIN_TITLE = "map", "mAP"
RESIZE = "letterbox"
RESOLUTION = 320
OUTPUT_STRIDE = None
HEADS = ("anchor_free", "ssdlite")
SHOW_OPTIONS = ("min_score",)
PICTURES: dict[str, Any] = {}
MISTAKE_SIDE = 448
RIGHT = Stroke("blue", (0, 104, 168), False, "found and right")
WRONG = Stroke("orange", (200, 72, 0), False, "found and wrong")
MISSED = Stroke("dashed purple", (132, 30, 132), True, "missed")
WORDS = Words(
    use="Find things in a photo",
    counted="Things of each class",
    mistakes="answered wrong in one thing or more; those of which the largest share is wrong come "
    "first. Look for wrong and missing boxes first.",
    answer="found",
    truth="there:",
    severity="share wrong",
    severity_text="({} % wrong)",
    strokes=(RIGHT, WRONG, MISSED),
)

# Scores below are not looked at: they cost time and change no figure that people read.
LEAST_SCORE = 0.01
# Best answers of an image that rivals are looked for among, and those that are given.
CANDIDATES, MOST = 1000, 100
MAX_IOU = 0.6
# From here on an answer counts as given, where a person looks at it.
SHOWN_SCORE = 0.3
MATCHING_IOU = 0.5
# In the picture of a mistake, more right answers than these would hide it under their words.
WORDED = 6
# A box of a file may lie this far from the checkpoint's, in pixels of the input.
SAME_BOX = 0.5
SAME_SCORE = 0.01
# What a file remembers of an answer, and from where on it is held to it.
RECORDED_SCORE, COMPARED_SCORE = 0.05, 0.1


@dataclass(frozen=True, eq=False)
class DetectionPrediction:
    """What was found in one image, best first.

    Attributes:
        boxes: (n, 4), float32, xyxy, pixels of the upright image.
        scores: (n,), float32, 0 to 1.
        classes: (n,), int64, in the order of ``class_names``.
        class_names: Names in the order of the model.
        scale: Pixels of the image to a pixel of the model's input.
    """

    boxes: Boxes
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    class_names: tuple[str, ...]
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def labels(self) -> list[str]:
        """Class of each thing."""
        return [self.class_names[number] for number in self.classes]

    def above(self, score: float) -> DetectionPrediction:
        """Those of this score or more."""
        return self._only(self.scores >= score)

    def labelled(self, labels: Sequence[str]) -> DetectionPrediction:
        """Those with one of these labels."""
        return self._only(np.array([label in labels for label in self.labels], bool))

    def _only(self, keep: NDArray[np.bool_]) -> DetectionPrediction:
        return DetectionPrediction(
            self.boxes[keep], self.scores[keep], self.classes[keep], self.class_names, self.scale
        )

    def to_json(self, min_score: float = SHOWN_SCORE) -> dict[str, Any]:
        """Give what was found with ``min_score`` or more as JSON values."""
        shown = self.above(min_score)
        return {
            "objects": [
                {
                    "label": label,
                    "score": round(float(score), 4),
                    "box_xyxy": [round(float(side), 1) for side in box],
                }
                for label, score, box in zip(shown.labels, shown.scores, shown.boxes, strict=True)
            ]
        }


def decode(
    outputs: RawOutputs, task: TaskSpec, placements: Sequence[Placement] | None = None
) -> list[DetectionPrediction]:
    """Turn a model's outputs into one answer an image.

    Args:
        outputs: ``"detections"``, (N, K, 6): box, score and class, as the graph chose them; or
            ``"boxes"``, (N, A, 4), and ``"scores"``, (N, A, classes), which are chosen from here.
        task: Class names, and whether boxes of different classes suppress each other.
        placements: As of every task.

    Raises:
        MobilensError: An output is missing, of another shape, or not made of numbers.
    """
    values = {name: np.asarray(value, np.float32) for name, value in outputs.items()}
    _check(values, len(task.class_names))
    if "detections" in values:
        found = [_listed(rows) for rows in values["detections"]]
    else:
        limits = (CANDIDATES, MOST, MAX_IOU, LEAST_SCORE, task.class_agnostic)
        pairs = zip(values["boxes"], values["scores"], strict=True)
        found = [best_boxes(boxes, scores, *limits) for boxes, scores in pairs]
    return [
        _answer(*one, task.class_names, placements[index] if placements else None)
        for index, one in enumerate(found)
    ]


Found = tuple[Boxes, NDArray[np.float32], NDArray[np.int64]]


def _listed(rows: NDArray[np.float32]) -> Found:
    """What a graph chose, without the rows that fill up."""
    rows = rows[rows[:, 4] > 0]
    return rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64)


def _answer(
    boxes: Boxes,
    scores: NDArray[np.float32],
    classes: NDArray[np.int64],
    class_names: tuple[str, ...],
    placement: Placement | None,
) -> DetectionPrediction:
    """What was found in one image, in its own pixels."""
    if placement is None:
        return DetectionPrediction(boxes, scores, classes, class_names)
    inside = placement.to_image(boxes.reshape(-1, 2).astype(np.float64)).reshape(-1, 4)
    left, top, right, bottom = placement.source
    bounded = np.clip(inside, (left, top, left, top), (right, bottom, right, bottom))
    return DetectionPrediction(
        bounded.astype(np.float32), scores, classes, class_names, max(placement.scale)
    )


def _check(values: RawOutputs, classes: int) -> None:
    """Refuse outputs that are not those of a detector."""
    names = set(values)
    if "detections" not in names and not {"boxes", "scores"} <= names:
        raise MobilensError(
            f"the model's outputs are named {sorted(names)}",
            expected="'detections', or 'boxes' and 'scores'",
        )
    shapes = {name: value.shape for name, value in values.items()}
    if "detections" in names:
        fits = len(shapes["detections"]) == 3 and shapes["detections"][2] == 6
    else:
        fits = len(shapes["boxes"]) == 3 and shapes["boxes"][2] == 4
        fits = fits and shapes["scores"] == (*shapes["boxes"][:2], classes)
    if not fits:
        raise MobilensError(
            "the model's outputs have the shapes "
            + ", ".join(f"{name} {shape}" for name, shape in shapes.items()),
            expected=f"detections (N, K, 6), or boxes (N, A, 4) and scores (N, A, {classes})",
        )
    if not all(np.isfinite(value).all() for value in values.values()):
        raise MobilensError(
            "the model answered with NaN or infinity",
            expected="boxes in pixels and scores from 0 to 1",
            remedy="check the file with mobilens verify; its weights may be damaged",
        )


def new_metric(task: TaskSpec) -> DetectionMetric:
    """Give an empty metric for the task's classes."""
    return DetectionMetric(task.class_names)


def record(prediction: DetectionPrediction) -> dict[str, NDArray[np.float32]]:
    """Give a row for each thing: box, score, class."""
    kept = prediction.above(RECORDED_SCORE)
    columns = (kept.boxes, kept.scores[:, None], kept.classes[:, None].astype(np.float32))
    return {"detections": np.concatenate(columns, axis=1)}


def recall(values: Mapping[str, NDArray[np.float32]], task: TaskSpec) -> DetectionPrediction:
    """Make an answer of recorded rows.

    Raises:
        MobilensError: They are missing, or no rows of six numbers.
    """
    rows = np.asarray(values.get("detections", [0.0]), np.float32)
    if rows.size % 6:
        raise MobilensError("an answer is recorded otherwise", expected="rows of six numbers")
    return decode({"detections": rows.reshape(1, -1, 6)}, task)[0]


def difference(a: DetectionPrediction, b: DetectionPrediction) -> float:
    """Largest distance of a thing in one answer to the nearest of its class in the other."""
    return max(_furthest(a, b), _furthest(b, a))


def _furthest(some: DetectionPrediction, others: DetectionPrediction) -> float:
    wanted = some.above(COMPARED_SCORE)
    if not len(wanted):
        return 0.0
    if not len(others):
        return 1.0
    sides = np.abs(wanted.boxes[:, None] - others.boxes[None])
    boxes = (sides / np.maximum(np.abs(wanted.boxes[:, None]), 1)).max(2)
    scores = np.abs(wanted.scores[:, None] - others.scores[None])
    same = wanted.classes[:, None] == others.classes[None]
    away = np.where(same, np.maximum(boxes, scores), 1.0)
    return float(min(away.min(1).max(), 1.0))


def lost(
    before: Sequence[DetectionPrediction],
    after: Sequence[DetectionPrediction],
    targets: Sequence[BoxTarget],
    task: TaskSpec,
) -> Estimate:
    """Mean average precision lost, by resampling images."""
    return precision_lost(before, after, targets, task.class_names)


def move(target: BoxTarget, view: View) -> BoxTarget:
    """Give what a view shows of the things in an image."""
    return move_boxes(target, view)


def merge(targets: Sequence[BoxTarget]) -> BoxTarget:
    """Put the things of several views into one image."""
    return merge_boxes(targets)


def agree(a: DetectionPrediction, b: DetectionPrediction) -> bool:
    """Tell whether both find the same things at the same places.

    Each thing that one of them shows must be among what the other found, within half a pixel of
    the model's input.
    """
    return _found_by(a, b) and _found_by(b, a)


def _found_by(shown: DetectionPrediction, other: DetectionPrediction) -> bool:
    wanted = shown.above(SHOWN_SCORE)
    far = np.abs(wanted.boxes[:, None] - other.boxes[None]).max(2, initial=0)
    same = (
        (far <= SAME_BOX * shown.scale)
        & (wanted.classes[:, None] == other.classes[None])
        & (np.abs(wanted.scores[:, None] - other.scores[None]) <= SAME_SCORE)
    )
    return bool(same.any(1).all())


def mistakes(
    predictions: Sequence[DetectionPrediction], targets: Sequence[BoxTarget]
) -> list[Mistake | None]:
    """Describe what is wrong with each answer by itself."""
    return [mistake(one, target) for one, target in zip(predictions, targets, strict=True)]


def mistake(prediction: DetectionPrediction, target: BoxTarget) -> Mistake | None:
    """Compare what is shown with what is there; the severity is the share that is wrong."""
    shown = prediction.above(SHOWN_SCORE)
    right, missed, extra = matched(shown, target)
    if not missed and not extra:
        return None
    names = prediction.class_names
    return Mistake(
        _counted(names, [int(one) for one in target.classes[~target.ignored]]),
        _counted(names, [int(one) for one in shown.classes]),
        (len(missed) + len(extra)) / max(len(missed) + len(extra) + right, 1),
    )


def matched(shown: DetectionPrediction, target: BoxTarget) -> tuple[int, list[int], list[int]]:
    """Pair answers, best first, with things of their class that they overlap by half.

    Returns:
        How many are right, which things were missed, and which answers have no thing.
    """
    right, missed, extra = _judged(shown, target)
    return len(right), missed, extra


def _judged(
    shown: DetectionPrediction, target: BoxTarget
) -> tuple[list[int], list[int], list[int]]:
    """Answers that are right, things that were missed, answers that have no thing."""
    overlap = iou(shown.boxes, target.boxes) * (shown.classes[:, None] == target.classes[None])
    free = ~target.ignored
    right, extra = [], []
    for index, row in enumerate(overlap):
        best = int(np.argmax(row * free)) if free.any() else -1
        if best >= 0 and free[best] and row[best] >= MATCHING_IOU:
            free[best] = False
            right.append(index)
        elif not (row[target.ignored] >= MATCHING_IOU).any():
            extra.append(index)
    return right, [int(one) for one in np.flatnonzero(free)], extra


def _counted(names: Sequence[str], classes: Sequence[int]) -> str:
    counts = Counter(classes)
    shown = ", ".join(f"{counts[number]} {names[number]}" for number in sorted(counts))
    return shown or "nothing"


def text(prediction: DetectionPrediction, min_score: float = SHOWN_SCORE) -> str:
    """Write what was found with ``min_score`` or more in a line."""
    return ", ".join(texts(prediction.above(min_score))) or "nothing"


def texts(prediction: DetectionPrediction) -> list[str]:
    """Write what each thing is, and where."""
    return [
        f"{words} at {' '.join(f'{side:.0f}' for side in box)}"
        for words, box in zip(_worded(prediction), prediction.boxes, strict=True)
    ]


def csv_header(task: TaskSpec, min_score: float = SHOWN_SCORE) -> list[str]:  # noqa: ARG001
    """Name the columns of a thing."""
    return ["label", "score", "left", "top", "right", "bottom"]


def csv_rows(prediction: DetectionPrediction, min_score: float = SHOWN_SCORE) -> list[list[str]]:
    """Give a row for each thing of ``min_score`` or more, sides in pixels."""
    shown = prediction.above(min_score)
    return [
        [label, f"{score:.4f}", *(f"{side:.1f}" for side in box)]
        for label, score, box in zip(shown.labels, shown.scores, shown.boxes, strict=True)
    ]


def draw(image: Pixels, prediction: DetectionPrediction, min_score: float = SHOWN_SCORE) -> Pixels:
    """Draw the boxes of what was found with ``min_score`` or more."""
    shown = prediction.above(min_score)
    return draw_boxes(image, shown.boxes, shown.classes, _worded(shown))


def draw_mistake(
    image: Pixels, prediction: DetectionPrediction, target: BoxTarget, view: View
) -> Pixels:
    """Draw what was found, right or wrong, and what was missed, each with its stroke."""
    shown = prediction.above(SHOWN_SCORE)
    right, missed, extra = _judged(shown, target)
    found, there = _carried(shown.boxes, view), _carried(target.boxes, view)
    answers, names = _worded(shown), prediction.class_names
    marks = [
        *((found[one], WRONG, answers[one]) for one in extra),
        *((there[one], MISSED, names[target.classes[one]]) for one in missed),
        *((found[one], RIGHT, answers[one] if len(right) <= WORDED else "") for one in right),
    ]
    return draw_marks(
        image,
        [Mark(box, stroke.colour, words, stroke.dashed) for box, stroke, words in marks],
    )


def _worded(shown: DetectionPrediction) -> list[str]:
    """Class and score of each thing."""
    pairs = zip(shown.labels, shown.scores, strict=True)
    return [f"{label} {100 * score:.0f} %" for label, score in pairs]


def _carried(boxes: Boxes, view: View) -> list[tuple[float, float, float, float]]:
    """Boxes as they lie in a view that only scales and shifts."""
    moved = view.points(boxes.reshape(-1, 2).astype(np.float64)).reshape(-1, 4)
    return [(left, top, right, bottom) for left, top, right, bottom in moved.tolist()]
