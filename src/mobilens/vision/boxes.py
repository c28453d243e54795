"""Box geometry: NumPy. Boxes are (n, 4), xyxy, pixels, unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilens.vision.view import View

Boxes = NDArray[np.float32]
# Of a thing that a view cuts off, the share that must be left for it to count.
LEAST_VISIBLE = 0.2
LEAST_SIDE = 2.0


@dataclass(frozen=True, eq=False)
class BoxTarget:
    """What is in an image.

    Attributes:
        boxes: (n, 4), float32, xyxy, pixels.
        classes: (n,), int64.
        ignored: (n,), bool: neither right nor wrong to find.
    """

    boxes: Boxes
    classes: NDArray[np.int64]
    ignored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.boxes)

    def chosen(self, keep: NDArray[np.bool_]) -> BoxTarget:
        """Some of the things."""
        return BoxTarget(self.boxes[keep], self.classes[keep], self.ignored[keep])


def areas(boxes: Boxes) -> NDArray[np.float32]:
    """Area of each box, (n,); 0 where a side is negative."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    product: NDArray[np.float32] = sides.prod(-1, dtype=np.float32)
    return product


def intersections(first: Boxes, second: Boxes) -> NDArray[np.float32]:
    """Area that each of (n, 4) shares with each of (m, 4): (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(high - low, 0)
    shared: NDArray[np.float32] = sides.prod(-1, dtype=np.float32)
    return shared


def iou(first: Boxes, second: Boxes) -> NDArray[np.float32]:
    """Intersection over union of each of (n, 4) with each of (m, 4): (n, m), 0 to 1."""
    shared = intersections(first, second)
    union = areas(first)[:, None] + areas(second)[None, :] - shared
    ratio: NDArray[np.float32] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return ratio


def suppress(
    boxes: Boxes, classes: NDArray[np.int64], max_iou: float, most: int
) -> NDArray[np.int64]:
    """Find the boxes that no better box of the same class covers: non-maximum suppression.

    Args:
        boxes: (n, 4), best first.
        classes: (n,); all alike suppresses across classes.
        max_iou: A box that overlaps a kept one by more is left out.
        most: Boxes that are kept at most.

    Returns:
        Indices of those kept, in order.
    """
    kept: list[int] = []
    left = np.arange(len(boxes))
    while left.size and len(kept) < most:
        best, left = left[0], left[1:]
        kept.append(int(best))
        rivals = (iou(boxes[best : best + 1], boxes[left])[0] > max_iou) & (
            classes[left] == classes[best]
        )
        left = left[~rivals]
    return np.array(kept, np.int64)


def best_boxes(
    boxes: Boxes,
    scores: NDArray[np.float32],
    candidates: int,
    most: int,
    max_iou: float,
    least_score: float,
    class_agnostic: bool,
) -> tuple[Boxes, NDArray[np.float32], NDArray[np.int64]]:
    """Choose the best pairs of box and class of one image, without those that better ones cover.

    Args:
        boxes: (A, 4).
        scores: (A, C), 0 to 1.
        candidates: Best pairs that are looked at.
        most: Pairs that are given.
        max_iou: As for ``suppress``.
        least_score: Lower scores are left out.
        class_agnostic: Whether each cell counts once, with its best class, and boxes of different
            classes suppress each other too.

    Returns:
        Boxes (n, 4), scores (n,) and classes (n,), best first; of equals the first cell and class.
    """
    columns = scores.max(1, keepdims=True) if class_agnostic else scores
    flat = columns.ravel()
    known = np.flatnonzero(flat >= least_score)
    best = known[np.argsort(-flat[known], kind="stable")[:candidates]]
    cells, classes = np.divmod(best, columns.shape[1])
    kept = suppress(boxes[cells], classes, max_iou, most)
    if class_agnostic:  # so far all are of the one column
        classes = scores[cells].argmax(1)
    return boxes[cells[kept]], flat[best[kept]], classes[kept]


def move_boxes(target: BoxTarget, view: View) -> BoxTarget:
    """Give what a view of an image shows of the things in it; those nearly cut off are left out."""
    corners = target.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = view.points(corners.astype(np.float64))
    boxes = np.concatenate([moved.min(1), moved.max(1)], axis=1).astype(np.float32)
    left, top, right, bottom = view.window
    inside = np.clip(boxes, (left, top, left, top), (right, bottom, right, bottom))
    sides = (inside[:, 2:] - inside[:, :2]).min(1, initial=np.inf)
    whole = np.maximum(areas(boxes), 1e-6)
    seen = (areas(inside) >= LEAST_VISIBLE * whole) & (sides >= LEAST_SIDE)
    return BoxTarget(inside, target.classes, target.ignored).chosen(seen)


def merge_boxes(targets: Sequence[BoxTarget]) -> BoxTarget:
    """Put the things of several images into one."""
    return BoxTarget(
        np.concatenate([one.boxes for one in targets]),
        np.concatenate([one.classes for one in targets]),
        np.concatenate([one.ignored for one in targets]),
    )
