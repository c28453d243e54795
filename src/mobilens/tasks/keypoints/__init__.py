"""Keypoints under torch: net, answers, loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilens.errors import SpecError
from mobilens.spec.heads import HeatmapHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import TaskSpec
from mobilens.tasks.keypoints.heatmap import HeatmapNet, peaks
from mobilens.vision.points import PointTarget


class Keypoints:
    """Where each point of a thing lies."""

    kind = "keypoints"
    finishes = False

    def build_net(self, model: ModelSpec) -> nn.Module:
        """Build backbone and head, initialised for training.

        Raises:
            SpecError: The model's head does not find points.
        """
        if not isinstance(model.head, HeatmapHead):
            raise SpecError(
                f"the model's head is of the kind {model.head.kind!r}", expected="heatmap"
            )
        return HeatmapNet(model).to(memory_format=torch.channels_last)

    def answers(self, raw: Tensor) -> dict[str, Tensor]:
        """Maps as phones have them in memory, (N, H, W, points), before softmax."""
        return {"heatmaps": raw.permute(0, 2, 3, 1)}

    def finished(self, raw: Tensor, task: TaskSpec) -> dict[str, Tensor]:  # noqa: ARG002
        """Nothing is left to do that a graph does better: ``answers``."""
        return self.answers(raw)

    def loss(
        self,
        raw: Tensor,
        targets: dict[str, Tensor],
        *,
        label_smoothing: float = 0.0,
        class_weights: Tensor | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Cross-entropy of each image, (N,): how likely the cells around its points are.

        Args:
            raw: (N, K, H, W), before softmax.
            targets: What ``targets`` gives.
            label_smoothing: Share of each target that is spread evenly over all cells.
            class_weights: Points weigh the same.
        """
        height, width = raw.shape[2:]
        down, across = (float(side) for side in targets["size"][0])
        wanted = peaks(targets["points"], (height, width), (down / height, across / width))
        wanted = wanted * (1 - label_smoothing) + label_smoothing / wanted.shape[2]
        losses = -(wanted * F.log_softmax(raw.float().flatten(2), 2)).sum(2)
        known = targets["labelled"]
        # Their mean is that of all known points of the batch.
        return (losses * known).sum(1) * (len(raw) / known.sum().clamp(min=1))

    def targets(self, values: Sequence[PointTarget], task: TaskSpec) -> dict[str, Tensor]:
        """Points of each image.

        Returns:
            ``"points"`` (N, K, 2), pixels of the input, ``"labelled"`` (N, K), and the input's
            ``"size"`` (N, 2), height and width.
        """
        points = np.stack([value.points for value in values])
        labelled = np.stack([value.labelled for value in values])
        size = torch.tensor([task.preprocessing.size] * len(values))
        return {
            "points": torch.from_numpy(points),
            "labelled": torch.from_numpy(labelled),
            "size": size,
        }

    def final_layer(self, net: nn.Module) -> None:  # noqa: ARG002
        """No layer of its own is fitted first: there are as many rows as cells."""
        return


TASK = Keypoints()
