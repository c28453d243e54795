"""The last step of detection as one operator of torch, so that it can be exported as one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mobilens.vision.boxes import best_boxes


@torch.library.custom_op("mobilens::select_boxes", mutates_args=())
def select_boxes(
    boxes: Tensor,
    scores: Tensor,
    candidates: int,
    most: int,
    max_iou: float,
    least_score: float,
    class_agnostic: bool,
) -> Tensor:
    """Choose the best boxes of each image.

    Args:
        boxes: (N, A, 4), xyxy.
        scores: (N, A, C), 0 to 1.
        candidates: Best pairs of box and class that are looked at.
        most: Boxes that are given.
        max_iou: A box that overlaps a better one of its class by more is left out.
        least_score: Lower scores are left out.
        class_agnostic: Whether each box has its best class alone, and a better one of any class
            counts.

    Returns:
        (N, most, 6): box, score, class; best first, rows of zeros fill up.
    """
    limits = (candidates, most, max_iou, least_score, class_agnostic)
    rows = np.zeros((len(boxes), most, 6), np.float32)
    for row, image, values in zip(rows, boxes.cpu().numpy(), scores.cpu().numpy(), strict=True):
        found, score, classes = best_boxes(image, values, *limits)
        row[: len(found), :4], row[: len(found), 4], row[: len(found), 5] = found, score, classes
    return torch.from_numpy(rows).to(boxes.device)


@select_boxes.register_fake
def _(
    boxes: Tensor,
    scores: Tensor,  # noqa: ARG001
    candidates: int,  # noqa: ARG001
    most: int,
    max_iou: float,  # noqa: ARG001
    least_score: float,  # noqa: ARG001
    class_agnostic: bool,  # noqa: ARG001
) -> Tensor:
    return boxes.new_empty(len(boxes), most, 6)
