"""Keypoints: where the points of a thing lie. The answer, its decoding, mistakes, drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import MobilensError
from mobilens.spec.task import TaskSpec
from mobilens.vision.drawing import PALETTE, Colour
from mobilens.vision.intervals import Estimate
from mobilens.vision.keypoint_scores import REACH, KeypointMetric, share_lost
from mobilens.vision.points import Points, PointTarget, move_points, torso_ends, torso_length
from mobilens.vision.predictor import Pixels, RawOutputs
from mobilens.vision.resize import Placement
from mobilens.vision.skeleton import Dot, Limb, draw_skeleton
from mobilens.vision.tasks import Mistake
from mobilens.vision.view import View
from mobilens.vision.words import Stroke, Words

LABELS = "points"
MAIN_SCORE, MAIN_TITLE = "pck", "PCK@0.2"
RESIZE = "letterbox"
RESOLUTION = 256
OUTPUT_STRIDE = None
merge = None
HEADS = ("heatmap",)
SHOW_OPTIONS = ("min_score",)
PICTURES: dict[str, Any] = {}
MISTAKE_SIDE = 448
RIGHT = Stroke("blue", (0, 104, 168), False, "found near where it is")
WRONG = Stroke("orange", (200, 72, 0), False, "found elsewhere")
MISSED = Stroke("purple ring", (132, 30, 132), False, "where that one is")
WORDS = Words(
    use="Find the points of a thing in a photo",
    classes="points",
    counted="Known points of each name",
    mistakes="answered wrong in one point or more; those of which the largest share is wrong come "
    "first. Look for wrong points first.",
    answer="found",
    truth="missed:",
    severity="share wrong",
    severity_text="({} % wrong)",
    strokes=(RIGHT, WRONG, MISSED),
)

# Cells around the likeliest one that say where exactly a point lies, and how sure that is.
WINDOW = 3
SHOWN_SCORE = 0.2
# From here on no other place is as likely, whatever the last digits of a runtime say.
SURE = 0.6
# A point of a file may lie this far from the checkpoint's, in pixels of the input.
SAME_PLACE = 0.5
SAME_SCORE = 0.01
# In words, more points than these are counted.
NAMED = 3
CSV_COLUMNS = ("label", "score", "x", "y")


@dataclass(frozen=True, eq=False)
class KeypointPrediction:
    """Where the points of a thing are.

    Attributes:
        points: (K, 2), float32, x, y, pixels of the upright image.
        scores: (K,), float32, 0 to 1: how likely each lies there or close by.
        means: (K, 2), float32, pixels: where they lie on average over all that is possible; unlike
            ``points`` it hardly moves when two places are as likely as each other.
        class_names: Names of the points, in the order of the model.
        links: Pairs of points that belong together.
        scale: Pixels of the image to a pixel of the model's input.
    """

    points: Points
    scores: NDArray[np.float32]
    means: Points
    class_names: tuple[str, ...]
    links: tuple[tuple[int, int], ...] = ()
    scale: float = 1.0

    def shown(self, score: float) -> list[int]:
        """Numbers of the points of this score or more."""
        return [int(number) for number in np.flatnonzero(self.scores >= score)]

    def to_json(self, min_score: float = SHOWN_SCORE) -> dict[str, Any]:
        """Give the points of ``min_score`` or more as JSON values."""
        return {
            "points": [
                {
                    "label": self.class_names[number],
                    "score": round(float(self.scores[number]), 4),
                    "x": round(float(self.points[number, 0]), 1),
                    "y": round(float(self.points[number, 1]), 1),
                }
                for number in self.shown(min_score)
            ]
        }


def decode(
    outputs: RawOutputs, task: TaskSpec, placements: Sequence[Placement] | None = None
) -> list[KeypointPrediction]:
    """Turn a model's maps into one answer an image.

    Args:
        outputs: ``"heatmaps"``, (N, H, W, points), before softmax.
        task: Names, and the size of the input.
        placements: As of every task.

    Raises:
        MobilensError: The output is missing, of another shape, or not made of numbers.
    """
    if "heatmaps" not in outputs:
        raise MobilensError(
            f"the model's outputs are named {sorted(outputs)}", expected="'heatmaps'"
        )
    maps = np.asarray(outputs["heatmaps"], np.float32)
    number = len(task.class_names)
    if maps.ndim != 4 or maps.shape[3] != number:
        raise MobilensError(
            f"the model's heatmaps have the shape {maps.shape}",
            expected=f"(N, height, width, {number}), a map for each point",
        )
    if not np.isfinite(maps).all():
        raise MobilensError(
            "the model answered with NaN or infinity",
            expected="maps of numbers",
            remedy="check the file with mobilens verify; its weights may be damaged",
        )
    height, width = task.preprocessing.size
    step = np.array([width / maps.shape[2], height / maps.shape[1]])
    return [
        _answer(*_read(one), step, task, placements[index] if placements else None)
        for index, one in enumerate(maps)
    ]


Read = NDArray[np.float64]


def _read(maps: NDArray[np.float32]) -> tuple[Read, NDArray[np.float32], Read]:
    """Places and means, (K, 2) as x, y in cells, and scores, (K,), of maps (H, W, K)."""
    height, width, number = maps.shape
    flat = maps.reshape(-1, number)
    chances = np.exp(flat - flat.max(0))
    chances /= chances.sum(0)
    planes = chances.reshape(height, width, number)
    rows, columns = np.divmod(flat.argmax(0), width)
    around = np.arange(2 * WINDOW + 1)
    padded = np.pad(planes, ((WINDOW, WINDOW), (WINDOW, WINDOW), (0, 0)))
    window = padded[
        rows + around[:, None, None], columns + around[None, :, None], np.arange(number)
    ]
    # Only as far as there are cells on both sides: else a point at an edge would be drawn inwards.
    reach = np.abs(around - WINDOW)[:, None]
    tall, wide = (
        reach <= np.minimum(best, size - 1 - best)
        for best, size in ((rows, height), (columns, width))
    )
    even = window * tall[:, None] * wide[None]
    places = _middle(even) + np.stack([columns, rows], 1) - WINDOW
    return places, np.minimum(window.sum((0, 1)), 1).astype(np.float32), _middle(planes)


def _middle(planes: NDArray[np.float32]) -> Read:
    """Weighted middle of planes (H, W, K), (K, 2) as x, y, where cells have theirs at a half."""
    x = np.arange(planes.shape[1]) + 0.5
    y = np.arange(planes.shape[0]) + 0.5
    across, down = planes.sum(0, dtype=np.float64), planes.sum(1, dtype=np.float64)
    middle: Read = np.stack([x @ across / across.sum(0), y @ down / down.sum(0)], 1)
    return middle


def _answer(
    places: Read,
    scores: NDArray[np.float32],
    means: Read,
    step: Read,
    task: TaskSpec,
    placement: Placement | None,
) -> KeypointPrediction:
    """The points of one thing, in pixels of its image."""
    points, means = places * step, means * step
    if placement is not None:
        points, means = placement.to_image(points), placement.to_image(means)
    return KeypointPrediction(
        points.astype(np.float32),
        scores,
        means.astype(np.float32),
        task.class_names,
        task.links,
        max(placement.scale) if placement else 1.0,
    )


def new_metric(task: TaskSpec) -> KeypointMetric:
    """Give an empty metric for the task's points."""
    return KeypointMetric(task.class_names)


def move(target: PointTarget, view: View) -> PointTarget:
    """Give what a view shows of points."""
    return move_points(target, view)


def record(prediction: KeypointPrediction) -> dict[str, NDArray[np.float32]]:
    """Give place, mean and score of each point."""
    return {
        "points": prediction.points,
        "means": prediction.means,
        "scores": prediction.scores,
    }


def recall(values: Mapping[str, NDArray[np.float32]], task: TaskSpec) -> KeypointPrediction:
    """Make an answer of recorded points.

    Raises:
        MobilensError: They are not as many as the task has.
    """
    number = len(task.class_names)
    nothing = np.zeros(0, np.float32)
    points, means, scores = (values.get(key, nothing) for key in ("points", "means", "scores"))
    if (points.size, means.size, scores.size) != (2 * number, 2 * number, number):
        raise MobilensError("an answer is recorded otherwise", expected=f"{number} points")
    return KeypointPrediction(
        points.reshape(number, 2), scores, means.reshape(number, 2), task.class_names, task.links
    )


def _sure(a: KeypointPrediction, b: KeypointPrediction) -> NDArray[np.bool_]:
    sure: NDArray[np.bool_] = np.maximum(a.scores, b.scores) > SURE
    return sure


def difference(a: KeypointPrediction, b: KeypointPrediction) -> float:
    """Largest distance of a mean, and of a place and score that are sure."""
    sure = _sure(a, b)
    gaps = [_relative(a.means, b.means), _relative(a.points[sure], b.points[sure])]
    scores = np.abs(a.scores - b.scores)[sure]
    return float(max(*(gap.max(initial=0) for gap in gaps), scores.max(initial=0)))


def _relative(a: Points, b: Points) -> Points:
    gap: Points = np.abs(a - b) / np.maximum(np.abs(a), 1)
    return gap


def agree(a: KeypointPrediction, b: KeypointPrediction) -> bool:
    """Tell whether both find the same points at the same places, as far as they are sure.

    Where neither gives a place more than about half of the chance, two may be as likely as each
    other, and the last digits decide which is named.
    """
    sure = _sure(a, b)
    far = np.abs(a.points - b.points).max(1)[sure]
    scores = np.abs(a.scores - b.scores)[sure]
    near = far <= SAME_PLACE * max(a.scale, b.scale)
    return bool(near.all() and (scores <= SAME_SCORE).all())


def lost(
    before: Sequence[KeypointPrediction],
    after: Sequence[KeypointPrediction],
    targets: Sequence[PointTarget],
    task: TaskSpec,
) -> Estimate:
    """Share of points lost, by resampling things."""
    return share_lost(before, after, targets, task.class_names)


def _wrong(prediction: KeypointPrediction, target: PointTarget) -> NDArray[np.bool_]:
    """Known points that are found elsewhere."""
    reach = REACH * torso_length(target, torso_ends(prediction.class_names))
    far = np.hypot(*(prediction.points - target.points).T) > reach
    wrong: NDArray[np.bool_] = target.labelled & far
    return wrong


def mistakes(
    predictions: Sequence[KeypointPrediction], targets: Sequence[PointTarget]
) -> list[Mistake | None]:
    """Describe what is wrong with each answer by itself."""
    return [mistake(one, target) for one, target in zip(predictions, targets, strict=True)]


def mistake(prediction: KeypointPrediction, target: PointTarget) -> Mistake | None:
    """Name the points that are found elsewhere; the severity is their share of the known ones."""
    wrong, known = _wrong(prediction, target), int(target.labelled.sum())
    if not wrong.any():
        return None
    names = [prediction.class_names[number] for number in np.flatnonzero(wrong)]
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" * (len(names) > NAMED))
    found = f"{known - len(names)} of {known} point{'s' * (known != 1)}"
    return Mistake(shown, found, len(names) / known)


def text(prediction: KeypointPrediction, min_score: float = SHOWN_SCORE) -> str:
    """Write the points of ``min_score`` or more in a line."""
    things = (
        f"{prediction.class_names[number]} {100 * prediction.scores[number]:.0f} % at "
        f"{prediction.points[number, 0]:.0f} {prediction.points[number, 1]:.0f}"
        for number in prediction.shown(min_score)
    )
    return ", ".join(things) or "nothing"


def csv_header(task: TaskSpec, min_score: float = SHOWN_SCORE) -> list[str]:  # noqa: ARG001
    """Name the columns of a point."""
    return list(CSV_COLUMNS)


def csv_rows(prediction: KeypointPrediction, min_score: float = SHOWN_SCORE) -> list[list[str]]:
    """Give a row for each point of ``min_score`` or more, pixels."""
    return [
        [
            prediction.class_names[number],
            f"{prediction.scores[number]:.4f}",
            *(f"{side:.1f}" for side in prediction.points[number]),
        ]
        for number in prediction.shown(min_score)
    ]


def draw(image: Pixels, prediction: KeypointPrediction, min_score: float = SHOWN_SCORE) -> Pixels:
    """Draw the points of ``min_score`` or more, and the lines between them."""
    shown = prediction.shown(min_score)
    at = [(x, y) for x, y in prediction.points.tolist()]
    limbs = [
        Limb(at[one], at[other], _colour(prediction.class_names, one, other))
        for one, other in prediction.links
        if one in shown and other in shown
    ]
    dots = [Dot(at[number], _colour(prediction.class_names, number)) for number in shown]
    return draw_skeleton(image, limbs, dots)


def _colour(names: Sequence[str], *numbers: int) -> Colour:
    """One for each side, and one for what lies between."""
    sides = {side for number in numbers for side in ("left", "right") if side in names[number]}
    return PALETTE[{"left": 0, "right": 1}[sides.pop()] if len(sides) == 1 else 2]


def draw_mistake(
    image: Pixels, prediction: KeypointPrediction, target: PointTarget, view: View
) -> Pixels:
    """Draw what is found, right or wrong, and a line from what is wrong to where that is."""
    wrong = _wrong(prediction, target)
    found, there = (
        [(x, y) for x, y in view.points(points.astype(np.float64)).tolist()]
        for points in (prediction.points, target.points)
    )
    limbs = [Limb(found[number], there[number], MISSED.colour) for number in np.flatnonzero(wrong)]
    dots = [
        Dot(found[number], (WRONG if wrong[number] else RIGHT).colour)
        for number in np.flatnonzero(target.labelled)
    ]
    rings = [Dot(there[number], MISSED.colour, hollow=True) for number in np.flatnonzero(wrong)]
    return draw_skeleton(image, limbs, [*rings, *dots])
