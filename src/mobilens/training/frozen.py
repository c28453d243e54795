"""Parts of a net that do not learn: the first ones, and BatchNorm's statistics.

On a few hundred photos the filters of edges and textures that ImageNet taught are better than those
that would come of them, and a batch's mean and variance are a noisy stand-in for the statistics
that the weights came with. The first parts also cost most: their images are the largest.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from mobilens.nn.backbone import Backbone
from mobilens.training.recipe import Recipe


def freeze(net: nn.Module, recipe: Recipe) -> None:
    """Take the parts that stay from the parameters that learn, in place."""
    for part in _frozen_parts(net, recipe):
        part.requires_grad_(False)


def train_mode(net: nn.Module, recipe: Recipe) -> None:
    """Set training mode, except where parts or statistics stay as they are."""
    net.train()
    for part in _frozen_parts(net, recipe):
        part.eval()
    if recipe.freeze_batchnorm:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def _frozen_parts(net: nn.Module, recipe: Recipe) -> Iterator[nn.Module]:
    for module in net.modules():
        if isinstance(module, Backbone):
            yield from module.parts_up_to(recipe.frozen_stride)
