"""The new head alone, on features of a frozen net: seconds, since each image passes once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mobilens.tasks import Targets, TorchTask
from mobilens.training.recipe import Recipe

MAX_STEPS = 100


def train_head(
    net: nn.Module,
    task: TorchTask,
    batches: Callable[[], Iterator[tuple[Tensor, Targets]]],
    recipe: Recipe,
    *,
    class_weights: Tensor | None,
) -> None:
    """Find the best weights of the layer that knows the classes, in place, and of nothing else.

    With features that stay, the loss is convex: L-BFGS on all of it comes to its one minimum, from
    zero, without a rate or a seed. The penalty on the weights matters more than anything else here,
    since there are about as many features as photos.

    Args:
        net: A net whose other weights are good already.
        task: Names that layer and the loss.
        batches: Gives every image once, normalised (N, 3, H, W), with targets (N, ...).
        recipe: ``head_penalty``, label smoothing.
        class_weights: For the loss.
    """
    layer = task.final_layer(net)
    assert layer is not None
    features, targets = _features(net, layer, batches())
    # So that one penalty does for nets whose features are of other sizes.
    scale = features.std().clamp(min=1e-6)
    weights = [parameter for parameter in layer.parameters() if parameter.ndim > 1]
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=MAX_STEPS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        losses = task.loss(
            layer(features),
            targets,
            label_smoothing=recipe.label_smoothing,
            class_weights=class_weights,
        )
        squares = torch.stack([(weight * scale).square().sum() for weight in weights])
        total = losses.mean() + recipe.head_penalty / 2 * squares.sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    optimizer.zero_grad()


@torch.no_grad()
def _features(
    net: nn.Module, layer: nn.Module, batches: Iterator[tuple[Tensor, Targets]]
) -> tuple[Tensor, Tensor]:
    """What the layer reads for every image, and for its mirror image."""
    read: list[Tensor] = []
    targets: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    net.eval()
    try:
        for images, target in batches:
            for view in (images, images.flip(3)):
                assert isinstance(target, Tensor)
                net(view)
                targets.append(target)
    finally:
        hook.remove()
    return torch.cat(read), torch.cat(targets)
