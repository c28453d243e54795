"""The new head alone, on features of a frozen net: seconds, since each image passes once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mobilens.tasks import TorchTask
from mobilens.training.recipe import Recipe

BATCH_SIZE = 64
LR = 3e-3
WEIGHT_DECAY = 0.05


def train_head(
    net: nn.Module,
    task: TorchTask,
    batches: Callable[[], Iterator[tuple[Tensor, Tensor]]],
    recipe: Recipe,
    *,
    class_weights: Tensor | None,
    seed: int,
) -> None:
    """Train the layer that knows the classes, in place, and nothing else.

    Args:
        net: A net whose other weights are good already.
        task: Names that layer and the loss.
        batches: Gives every image once, normalised (N, 3, H, W), with targets (N, ...).
        recipe: ``head_epochs``, label smoothing.
        class_weights: For the loss.
        seed: Of the order and the dropout.
    """
    layer = task.final_layer(net)
    features, targets = _features(net, layer, batches())
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    steps = math.ceil(len(features) / BATCH_SIZE)
    for epoch in range(recipe.head_epochs):
        order = torch.randperm(len(features), generator=generator)
        for step, chosen in enumerate(order.tensor_split(steps)):
            done = (epoch + step / steps) / recipe.head_epochs
            for group in optimizer.param_groups:
                group["lr"] = LR * 0.5 * (1 + math.cos(math.pi * done))
            chosen = chosen.to(features.device)
            losses = task.loss(
                layer(features[chosen]),
                targets[chosen],
                label_smoothing=recipe.label_smoothing,
                class_weights=class_weights,
            )
            optimizer.zero_grad()
            losses.mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()


@torch.no_grad()
def _features(
    net: nn.Module, layer: nn.Module, batches: Iterator[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """What the layer reads for every image, and for its mirror image."""
    read: list[Tensor] = []
    targets: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    net.eval()
    try:
        for images, target in batches:
            for view in (images, images.flip(3)):
                net(view)
                targets.append(target)
    finally:
        hook.remove()
    return torch.cat(read), torch.cat(targets)
