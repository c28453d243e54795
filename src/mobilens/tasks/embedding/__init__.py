"""Embeddings under torch: net, answers, and losses by margins."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilens.errors import SpecError
from mobilens.spec.heads import EmbeddingHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import TaskSpec
from mobilens.tasks.embedding.net import EmbeddingNet

# Cosines of images with each other are multiplied by this before softmax, where no class is known.
PAIR_SCALE = 16.0
# Cosines are kept this far from 1, where the angle has no slope.
EDGE = 1e-6


class Embedding:
    """A vector for each image; those of one thing are near each other."""

    kind = "embed"
    finishes = False

    def build_net(self, model: ModelSpec) -> nn.Module:
        """Build backbone and head, initialised for training.

        Raises:
            SpecError: The model's head gives no embeddings.
        """
        if not isinstance(model.head, EmbeddingHead):
            raise SpecError(
                f"the model's head is of the kind {model.head.kind!r}",
                expected="arcface or cosface",
            )
        return EmbeddingNet(model).to(memory_format=torch.channels_last)

    def answers(self, raw: dict[str, Tensor]) -> dict[str, Tensor]:
        """Vectors of any length, (N, D): whoever reads them brings them to length 1."""
        return {"embeddings": raw["embeddings"]}

    def finished(self, raw: dict[str, Tensor], task: TaskSpec) -> dict[str, Tensor]:  # noqa: ARG002
        """Nothing is left to do that a graph does better: ``answers``."""
        return self.answers(raw)

    def loss(
        self,
        raw: dict[str, Tensor],
        targets: Tensor,
        *,
        label_smoothing: float = 0.0,
        class_weights: Tensor | None = None,
    ) -> Tensor:
        """Cross-entropy of each image, (N,).

        While a net learns, of its class among all that are learnt, by a margin. Of others, which
        have no direction yet, of its own kind among the images of the batch.

        Args:
            raw: What the net gives.
            targets: (N,), numbers of the classes.
            label_smoothing: Share of each target that is spread evenly over all classes.
            class_weights: (classes,), or None for equal weights.
        """
        if "cosines" not in raw:
            return _pair_loss(raw["embeddings"].float(), targets)
        angle, cosine, scale = raw["margins"].unbind()
        cosines = raw["cosines"].float().clamp(EDGE - 1, 1 - EDGE)
        own = cosines.gather(1, targets[:, None])
        turned = own * torch.cos(angle) - (1 - own**2).sqrt() * torch.sin(angle)
        # Beyond half a turn less the margin the angle would come back on the other side.
        held = torch.where(own > -torch.cos(angle), turned, own - angle * torch.sin(angle))
        logits = scale * cosines.scatter(1, targets[:, None], held - cosine)
        return F.cross_entropy(
            logits,
            targets,
            weight=class_weights,
            label_smoothing=label_smoothing,
            reduction="none",
        )

    def targets(self, values: Sequence[int], task: TaskSpec) -> Tensor:  # noqa: ARG002
        """Numbers of the classes, (N,)."""
        return torch.tensor(values)

    def final_layer(self, net: nn.Module) -> None:  # noqa: ARG002
        """No layer alone knows the classes when answering."""
        return


def _pair_loss(vectors: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of finding one of an image's own kind among the others, (N,); 0 without one."""
    unit = F.normalize(vectors)
    logits = (PAIR_SCALE * unit @ unit.T).fill_diagonal_(-torch.inf)
    same = targets[:, None] == targets[None]
    same.fill_diagonal_(fill_value=False)
    own = logits.masked_fill(~same, -torch.inf)
    losses = logits.logsumexp(1) - own.logsumexp(1)
    return torch.where(same.any(1), losses, torch.zeros_like(losses))


TASK = Embedding()
