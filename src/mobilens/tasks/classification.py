"""Classification under torch: net, answers, loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilens.nn.backbone import MobileNet, build
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import TaskSpec


class Classification:
    """One class an image."""

    kind = "classify"
    finishes = False

    def build_net(self, model: ModelSpec) -> MobileNet:
        """Build backbone and head, initialised for training."""
        return build(model)

    def answers(self, raw: Tensor) -> dict[str, Tensor]:
        """Turn what the net gives into the named outputs of a model file.

        Args:
            raw: (N, classes), before softmax.
        """
        return {"probabilities": torch.softmax(raw.float(), dim=1)}

    def finished(self, raw: Tensor, task: TaskSpec) -> dict[str, Tensor]:  # noqa: ARG002
        """Nothing is left to do: ``answers``."""
        return self.answers(raw)

    def loss(
        self,
        raw: Tensor,
        targets: Tensor,
        *,
        label_smoothing: float = 0.0,
        class_weights: Tensor | None = None,
    ) -> Tensor:
        """Cross-entropy of each image, (N,).

        Args:
            raw: (N, classes), before softmax.
            targets: (N, classes), each row a distribution; one-hot unless images were mixed.
            label_smoothing: Share of each target that is spread evenly over all classes.
            class_weights: (classes,), or None for equal weights.
        """
        smooth = targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]
        if class_weights is not None:
            smooth = smooth * class_weights
        return -(smooth * F.log_softmax(raw.float(), dim=1)).sum(1)

    def targets(self, values: Sequence[int], task: TaskSpec) -> Tensor:
        """One-hot rows, (N, classes), of class indices."""
        return F.one_hot(torch.tensor(values), len(task.class_names)).float()

    def final_layer(self, net: nn.Module) -> nn.Linear:
        """The layer that knows the classes, which a new data set trains first."""
        assert isinstance(net, MobileNet)
        return net.head.classifier


TASK = Classification()
