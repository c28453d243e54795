"""Segmentation under torch: nets, answers, loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilens.errors import SpecError
from mobilens.nn.backbone import Backbone, require_buildable
from mobilens.nn.init import init_weights
from mobilens.spec.heads import DeepLabHead, LrAsppHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import TaskSpec
from mobilens.tasks.segmentation.deeplab import DeepLabNet
from mobilens.tasks.segmentation.lraspp import LrAsppNet
from mobilens.vision.masks import VOID, MaskTarget

# Deviation of the weights that give the scores, before training.
SCORING_STD = 0.01


class Segmenter(nn.Module):
    """Backbone and head: images to class scores of every pixel, before softmax."""

    def __init__(self, model: ModelSpec) -> None:
        super().__init__()
        require_buildable(model)
        self.spec = model
        self.backbone = Backbone(model, model.taps)
        head, channels = model.head, self.backbone.channels
        self.head: LrAsppNet | DeepLabNet
        if isinstance(head, LrAsppHead):
            self.head = LrAsppNet(model, head, channels)
        elif isinstance(head, DeepLabHead):
            self.head = DeepLabNet(model, head, channels)
        else:
            raise SpecError(
                f"the model's head is of the kind {head.kind!r}", expected="lraspp or deeplab"
            )
        init_weights(self)
        # By their fan-out, which is the few classes, they would begin with scores of hundreds.
        for layer in self.head.scoring:
            nn.init.normal_(layer.weight, std=SCORING_STD)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), normalised, to (N, classes, H, W)."""
        # Loss and softmax go over classes: with a plane for each they take half the time.
        scores = self.head(self.backbone(x)).float().contiguous()
        return F.interpolate(scores, x.shape[2:], mode="bilinear")


class Segmentation:
    """The class of every pixel."""

    kind = "segment"
    finishes = True

    def build_net(self, model: ModelSpec) -> nn.Module:
        """Build backbone and head, initialised for training.

        Raises:
            SpecError: The model's head does not segment.
        """
        return Segmenter(model).to(memory_format=torch.channels_last)

    def answers(self, raw: Tensor) -> dict[str, Tensor]:
        """Probabilities of every pixel, (N, H, W, classes), as phones have them in memory."""
        return {"probabilities": raw.softmax(1).permute(0, 2, 3, 1)}

    def finished(self, raw: Tensor, task: TaskSpec) -> dict[str, Tensor]:  # noqa: ARG002
        """Classes of every pixel, (N, H, W); of two their probabilities, as edges are soft."""
        if raw.shape[1] <= 2:
            return self.answers(raw)
        return {"classes": raw.argmax(1)}

    def loss(
        self,
        raw: Tensor,
        targets: Tensor,
        *,
        label_smoothing: float = 0.0,
        class_weights: Tensor | None = None,
    ) -> Tensor:
        """Cross-entropy of each image, (N,); their mean is that of all pixels that count."""
        losses = F.cross_entropy(
            raw,
            targets.long(),
            weight=class_weights,
            ignore_index=VOID,
            label_smoothing=label_smoothing,
            reduction="none",
        )
        counted = (targets != VOID).sum().clamp(min=1)
        return losses.sum((1, 2)) * (len(raw) / counted)

    def targets(self, values: Sequence[MaskTarget], task: TaskSpec) -> Tensor:
        """Classes of every pixel, (N, H, W), uint8."""
        size = task.preprocessing.size
        return torch.from_numpy(np.stack([value.mask(size) for value in values]))

    def final_layer(self, net: nn.Module) -> None:  # noqa: ARG002
        """No layer of its own is fitted first: there are as many rows as pixels."""
        return


TASK = Segmentation()
