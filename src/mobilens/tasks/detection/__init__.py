"""Detection under torch: the nets, what they answer, and their losses, by kind of head.

A head's file has a net that gives raw outputs by name, ``"boxes"`` (N, A, 4) and ``"logits"``
(N, A, classes or one more) among them, and a loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from mobilens.errors import SpecError
from mobilens.spec.heads import AnchorFreeHead, SsdLiteHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import TaskSpec
from mobilens.tasks.detection.anchor_free import AnchorFreeDetector, anchor_free_loss
from mobilens.tasks.detection.select import select_boxes
from mobilens.tasks.detection.ssdlite import SsdLiteDetector, ssdlite_loss
from mobilens.vision.boxes import BoxTarget
from mobilens.vision.detection import CANDIDATES, LEAST_SCORE, MAX_IOU, MOST

Raw: TypeAlias = dict[str, Tensor]


class Detection:
    """What is where."""

    kind = "detect"
    finishes = True

    def build_net(self, model: ModelSpec) -> nn.Module:
        """Build backbone and head, initialised for training.

        Raises:
            SpecError: The model's head does not detect.
        """
        if isinstance(model.head, AnchorFreeHead):
            return AnchorFreeDetector(model).to(memory_format=torch.channels_last)
        if isinstance(model.head, SsdLiteHead):
            return SsdLiteDetector(model).to(memory_format=torch.channels_last)
        raise SpecError(
            f"the model's head is of the kind {model.head.kind!r}",
            expected="anchor_free or ssdlite",
        )

    def answers(self, raw: Raw) -> Raw:
        """Boxes in pixels of the input, (N, A, 4) xyxy, and scores, (N, A, classes)."""
        logits = raw["logits"].float()
        if "anchors" in raw:  # SSDLite: one class a box, the first is none
            return {"boxes": raw["boxes"], "scores": logits.softmax(2)[..., 1:]}
        return {"boxes": raw["boxes"], "scores": logits.sigmoid()}

    def finished(self, raw: Raw, task: TaskSpec) -> Raw:
        """The best boxes without rivals, ``"detections"`` (N, K, 6): box, score, class."""
        found = self.answers(raw)
        limits = (CANDIDATES, MOST, MAX_IOU, LEAST_SCORE, task.class_agnostic)
        return {"detections": select_boxes(found["boxes"], found["scores"], *limits)}

    def loss(
        self,
        raw: Raw,
        targets: Raw,
        *,
        label_smoothing: float = 0.0,  # noqa: ARG002 (assignment has soft targets of its own)
        class_weights: Tensor | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Loss of each image, (N,), as its head has it."""
        return (ssdlite_loss if "anchors" in raw else anchor_free_loss)(raw, targets)

    def targets(self, values: Sequence[BoxTarget], task: TaskSpec) -> Raw:  # noqa: ARG002
        """Things of each image, filled up to as many as the fullest has.

        Returns:
            ``"boxes"`` (N, M, 4), ``"classes"`` (N, M), and by (N, M) which are there (``"valid"``)
            and which are neither right nor wrong to find (``"ignored"``).
        """
        most = max(1, *(len(value) for value in values))
        boxes = np.zeros((len(values), most, 4), np.float32)
        classes = np.zeros((len(values), most), np.int64)
        valid, ignored = (np.zeros((len(values), most), bool) for _ in range(2))
        for row, value in enumerate(values):
            count = len(value)
            boxes[row, :count], classes[row, :count] = value.boxes, value.classes
            valid[row, :count], ignored[row, :count] = ~value.ignored, value.ignored
        arrays = {"boxes": boxes, "classes": classes, "valid": valid, "ignored": ignored}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def final_layer(self, net: nn.Module) -> None:  # noqa: ARG002
        """No layer of its own can be fitted first: what it should say depends on the boxes."""
        return


TASK = Detection()
