"""Segmentation: the class of every pixel. The answer, its decoding, its mistakes, its drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilens.errors import MobilensError
from mobilens.spec.task import TaskSpec
from mobilens.vision.drawing import caption
from mobilens.vision.intervals import Estimate
from mobilens.vision.masks import VOID, Mask, MaskArray, MaskTarget, move_mask, painted, resized
from mobilens.vision.predictor import Pixels, RawOutputs
from mobilens.vision.resize import Placement
from mobilens.vision.segmentation_pictures import (
    alpha_masks,
    colour_of,
    cutouts,
    palette_masks,
)
from mobilens.vision.segmentation_scores import (
    SegmentationMetric,
    count,
    drawn,
    interval,
    mean_iou,
)
from mobilens.vision.tasks import Mistake
from mobilens.vision.view import View
from mobilens.vision.words import Stroke, Words

LABELS = "masks"
MAIN_SCORE, MAIN_TITLE = "miou", "mIoU"
RESIZE = "letterbox"
RESOLUTION = 384
OUTPUT_STRIDE = 16
HEADS = ("lraspp", "deeplab")
SHOW_OPTIONS: tuple[str, ...] = ()
PICTURES = {"palette": palette_masks, "alpha": alpha_masks, "cutout": cutouts}
MISTAKE_SIDE = 448
WRONG = Stroke("red", (214, 40, 40), False, "pixels that are wrong")
WORDS = Words(
    use="Find the class of every pixel of a photo",
    counted="Images in which each class occurs",
    mistakes="answered wrong in some of their pixels; those with the largest share come first. "
    "Look for wrong masks first.",
    answer="mostly",
    truth="where it is",
    severity="share wrong",
    severity_text="({} % wrong)",
    strokes=(WRONG,),
)

# Files of other runtimes may answer otherwise on this share of the pixels: those on edges, where
# two classes are as likely as each other to the last digit.
SAME_PIXELS = 0.001
# An image with a smaller share of wrong pixels is taken for right.
LEAST_WRONG = 0.02
# What a file remembers of an answer is every so many-th pixel.
RECORDED_SIDE = 48


@dataclass(frozen=True, eq=False)
class SegmentationPrediction:
    """The class of every pixel of one image.

    Attributes:
        classes: (height, width), uint8, of the upright image.
        class_names: Names in the order of the model.
        foreground: Of two classes, the probability of the second at every pixel, (height, width),
            float32; None for more.
    """

    classes: Mask
    class_names: tuple[str, ...]
    foreground: NDArray[np.float32] | None = None

    @property
    def shares(self) -> dict[str, float]:
        """Share of the pixels of each class that occurs, the largest first."""
        counts = np.bincount(self.classes.ravel(), minlength=len(self.class_names))
        order = [int(one) for one in np.argsort(-counts, kind="stable") if counts[one]]
        return {self.class_names[one]: float(counts[one] / counts.sum()) for one in order}

    def to_json(self) -> dict[str, Any]:
        """Give the size and the share of each class as JSON values."""
        height, width = self.classes.shape
        shares = {name: round(share, 4) for name, share in self.shares.items()}
        return {"height": height, "width": width, "shares": shares}


def decode(
    outputs: RawOutputs, task: TaskSpec, placements: Sequence[Placement] | None = None
) -> list[SegmentationPrediction]:
    """Turn a model's outputs into one answer an image.

    Args:
        outputs: ``"classes"``, (N, H, W), or ``"probabilities"``, (N, H, W, classes).
        task: Class names.
        placements: As of every task.

    Raises:
        MobilensError: The output is missing, of another shape, or not made of numbers.
    """
    number = len(task.class_names)
    images = len(next(iter(outputs.values()), ()))
    places: Sequence[Placement | None] = placements or [None] * images
    if "classes" in outputs:
        answered = np.asarray(outputs["classes"])
        inside = not answered.size or 0 <= answered.min() <= answered.max() < number
        if answered.ndim != 3 or not inside:
            raise MobilensError(
                f"the model's classes have the shape {answered.shape}",
                expected=f"(N, height, width), 0 to {number - 1}",
            )
        maps = answered.astype(np.uint8)
        return [
            SegmentationPrediction(_placed(one, place), task.class_names)
            for one, place in zip(maps, places, strict=True)
        ]
    if "probabilities" not in outputs:
        raise MobilensError(
            f"the model's outputs are named {sorted(outputs)}",
            expected="'classes' or 'probabilities'",
        )
    chances = np.asarray(outputs["probabilities"], np.float32)
    if chances.ndim != 4 or chances.shape[3] != number:
        raise MobilensError(
            f"the model's probabilities have the shape {chances.shape}",
            expected=f"(N, height, width, {number}), one number for each class name",
        )
    if not np.isfinite(chances).all():
        raise MobilensError(
            "the model answered with NaN or infinity",
            expected="probabilities from 0 to 1",
            remedy="check the file with mobilens verify; its weights may be damaged",
        )
    if number != 2:
        maps = chances.argmax(3).astype(np.uint8)
        return [
            SegmentationPrediction(_placed(one, place), task.class_names)
            for one, place in zip(maps, places, strict=True)
        ]
    found = []
    for one, place in zip(chances[..., 1], places, strict=True):
        foreground = _smooth(one, place)
        # Half and half is the first class, as where the largest is taken.
        classes = (foreground > 0.5).astype(np.uint8)
        found.append(SegmentationPrediction(classes, task.class_names, foreground))
    return found


def _inner(values: NDArray[Any], placement: Placement) -> NDArray[Any]:
    """The part of a plane that shows the image, without what was filled in around it."""
    left, top, right, bottom = placement.target
    return values[top:bottom, left:right]


def _size(placement: Placement) -> tuple[int, int]:
    left, top, right, bottom = placement.source
    return round(bottom - top), round(right - left)


def _placed(classes: Mask, placement: Placement | None) -> Mask:
    """Classes at the image's own size."""
    if placement is None:
        return classes
    return resized(_inner(classes, placement), _size(placement))


def _smooth(chances: NDArray[np.float32], placement: Placement | None) -> NDArray[np.float32]:
    """Probabilities at the image's own size."""
    if placement is None:
        return chances
    height, width = _size(placement)
    plane = Image.fromarray(np.ascontiguousarray(_inner(chances, placement)))
    return np.array(plane.resize((width, height), Image.Resampling.BILINEAR), np.float32)


def new_metric(task: TaskSpec) -> SegmentationMetric:
    """Give an empty metric for the task's classes."""
    return SegmentationMetric(task.class_names)


def move(target: MaskTarget, view: View) -> MaskTarget:
    """Give what a view shows of the classes of an image."""
    return MaskTarget(MaskArray(move_mask(target.mask(view.image_size), view)), target.classes)


def merge(targets: Sequence[MaskTarget]) -> MaskTarget:
    """Put the classes of several views of one image's size into that image."""
    parts = [target.source for target in targets]
    arrays = [part.values for part in parts if isinstance(part, MaskArray)]
    assert len(arrays) == len(parts)  # as `move` gives them
    classes = sorted({number for target in targets for number in target.classes})
    return MaskTarget(MaskArray(painted(arrays)), tuple(classes))


def record(prediction: SegmentationPrediction) -> dict[str, NDArray[np.float32]]:
    """Give the classes of some pixels, and how many pixels there are."""
    height, width = prediction.classes.shape
    rows, columns = _recorded(height), _recorded(width)
    plane = prediction.classes if prediction.foreground is None else prediction.foreground
    return {
        "size": np.array([height, width], np.float32),
        "pixels": plane[np.ix_(rows, columns)].astype(np.float32).round(4),
    }


def _recorded(side: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, side - 1, min(side, RECORDED_SIDE)).round().astype(np.int64))


def recall(values: Mapping[str, NDArray[np.float32]], task: TaskSpec) -> SegmentationPrediction:
    """Make an answer of recorded pixels: of their number, not of the image's.

    Raises:
        MobilensError: They are not those of an answer.
    """
    nothing = np.zeros(0, np.float32)
    size, pixels = values.get("size", nothing), values.get("pixels", nothing)
    if size.size != 2:
        raise MobilensError("an answer is recorded otherwise", expected="a size and pixels")
    shape = [len(_recorded(int(side))) for side in size]
    if pixels.size != np.prod(shape):
        raise MobilensError(f"{pixels.size} pixels are recorded", expected=f"{np.prod(shape)}")
    plane = pixels.reshape(shape)
    if len(task.class_names) == 2:
        return SegmentationPrediction((plane > 0.5).astype(np.uint8), task.class_names, plane)
    return SegmentationPrediction(plane.astype(np.uint8), task.class_names)


def _alike(
    a: SegmentationPrediction, b: SegmentationPrediction
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Planes of one size: one of the two may be recorded."""
    planes = []
    smallest = min(a.classes.size, b.classes.size)
    for one in (a, b):
        plane = one.classes if one.foreground is None else one.foreground
        if plane.size > smallest:
            plane = plane[np.ix_(_recorded(plane.shape[0]), _recorded(plane.shape[1]))]
        planes.append(plane.astype(np.float32))
    return planes[0], planes[1]


def difference(a: SegmentationPrediction, b: SegmentationPrediction) -> float:
    """Share of other pixels beyond what edges explain; of two classes the mean difference."""
    one, other = _alike(a, b)
    if one.shape != other.shape:
        return 1.0
    if a.foreground is not None and b.foreground is not None:
        return float(np.abs(one - other).mean())
    return max(0.0, float((one != other).mean()) - SAME_PIXELS)


def agree(a: SegmentationPrediction, b: SegmentationPrediction) -> bool:
    """Tell whether both give all but a few pixels the same class."""
    one, other = _alike(a, b)
    if one.shape != other.shape:
        return False
    differs = one != other if a.foreground is None else (one > 0.5) != (other > 0.5)
    return float(differs.mean()) <= SAME_PIXELS


def lost(
    before: Sequence[SegmentationPrediction],
    after: Sequence[SegmentationPrediction],
    targets: Sequence[MaskTarget],
    task: TaskSpec,
) -> Estimate:
    """Mean intersection over union lost, by resampling images."""
    number = len(task.class_names)
    both = [
        np.stack(
            [
                count(one.classes, target.mask(one.classes.shape), number)
                for one, target in zip(answers, targets, strict=True)
            ]
        )
        for answers in (before, after)
    ]
    value = mean_iou(both[0].sum(0)) - mean_iou(both[1].sum(0))
    pairs = zip(drawn(both[0]), drawn(both[1]), strict=True)
    return interval(value, [first - second for first, second in pairs])


def mistakes(
    predictions: Sequence[SegmentationPrediction], targets: Sequence[MaskTarget]
) -> list[Mistake | None]:
    """Describe what is wrong with each answer by itself."""
    return [mistake(one, target) for one, target in zip(predictions, targets, strict=True)]


def mistake(prediction: SegmentationPrediction, target: MaskTarget) -> Mistake | None:
    """Say which class suffers most; the severity is the share of wrong pixels."""
    truth = target.mask(prediction.classes.shape)
    known = truth != VOID
    wrong = known & (prediction.classes != truth)
    share = float(wrong.sum() / max(known.sum(), 1))
    if share < LEAST_WRONG:
        return None
    names = prediction.class_names
    worst = int(np.bincount(truth[wrong]).argmax())
    taken = int(np.bincount(prediction.classes[wrong & (truth == worst)]).argmax())
    return Mistake(names[worst], names[taken], share)


def text(prediction: SegmentationPrediction) -> str:
    """Write the share of each class in a line."""
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in prediction.shares.items())


def csv_header(task: TaskSpec) -> list[str]:  # noqa: ARG001
    """Name the columns of a class."""
    return ["label", "share"]


def csv_rows(prediction: SegmentationPrediction) -> list[list[str]]:
    """Give a row for each class that occurs."""
    return [[name, f"{share:.6f}"] for name, share in prediction.shares.items()]


def draw(image: Pixels, prediction: SegmentationPrediction) -> Pixels:
    """Lay the colours of the classes over the image, and name them under it."""
    colours = np.array([colour_of(one) for one in range(len(prediction.class_names))], np.float32)
    classes = resized(prediction.classes, image.shape[:2])
    laid = 0.5 * image + 0.5 * colours[classes]
    lines = [f"{name} {100 * share:.0f} %" for name, share in list(prediction.shares.items())[:3]]
    return caption(laid.round().astype(np.uint8), lines)


def draw_mistake(
    image: Pixels, prediction: SegmentationPrediction, target: MaskTarget, view: View
) -> Pixels:
    """Lay red over the pixels that are wrong."""
    truth = target.mask(prediction.classes.shape)
    wrong = ((truth != VOID) & (prediction.classes != truth)).astype(np.uint8)
    shown = move_mask(wrong, view) == 1
    picture = image.copy()
    picture[shown] = (0.35 * image[shown] + 0.65 * np.array(WRONG.colour)).round().astype(np.uint8)
    return picture
