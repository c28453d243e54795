"""The mean of several trainings from the same weights, and the way to it from there.

Nets that were trained from one good start, each by other draws, lie around a place that is better
than any of them: the mean of their weights (model soups, arXiv 2203.05482). On few images a point
short of it is often better still, since the last part of the way is learnt by heart (WiSE-FT, arXiv
2109.01903).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


class WeightSoup:
    """Weights of finished cycles of training, and those that all of them began with.

    Args:
        net: Its present weights are the origin.
        keep_origin: Whether they are needed later; without them there is one cycle and no way back.

    Attributes:
        origin: Where every cycle begins, by the net's own names; empty unless it is kept.
        mean: Of the ends of the finished cycles; empty before the first.
        cycles: How many have finished.
    """

    def __init__(self, net: nn.Module, *, keep_origin: bool) -> None:
        tensors = net.state_dict() if keep_origin else {}
        self.origin: Weights = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        self.mean: Weights = {}
        self.cycles = 0

    def add(self, end: Weights) -> None:
        """Take in the end of one more cycle."""
        mixed = self.including(end)
        self.mean = {name: tensor.clone() for name, tensor in mixed.items()}
        self.cycles += 1

    def including(self, end: Weights) -> Weights:
        """Mean of the finished cycles and of one more end."""
        if not self.cycles:
            return end
        return _mixed(self.mean, end, 1 / (self.cycles + 1))

    def between(self, end: Weights, share: float) -> Weights:
        """Weights on the line from the origin (0) to the mean with one more end (1)."""
        return _mixed(self.origin, self.including(end), share)


def _mixed(first: Weights, last: Weights, share: float) -> Weights:
    """From the first (0) to the last (1); counts are those of the last."""
    return {
        name: torch.lerp(first[name], tensor, share)
        if tensor.is_floating_point()
        else tensor.clone()
        for name, tensor in last.items()
    }
