"""Parameter groups, optimisers, schedules and the moving average of weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mobilens.training.recipe import Recipe

# Of the squared gradients' average, in every recipe published for MobileNets.
RMSPROP_DECAY = 0.9


def parameter_groups(net: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Split the parameters that learn by whether they decay.

    Depthwise filters have few weights and no redundancy: decaying them costs accuracy
    (MobileNetV1, section 3.2), so by default they do not decay. Norms, biases and slopes of PReLU
    never do.

    Args:
        net: The whole net.
        recipe: What decays, and how much.
    """
    groups: dict[bool, list[nn.Parameter]] = {}
    for module in net.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            if isinstance(module, nn.Conv2d) and module.groups > 1 and name == "weight":
                decays = recipe.decay_depthwise
            elif isinstance(module, (nn.Conv2d, nn.Linear)) and name == "weight":
                decays = True
            else:
                decays = False
            groups.setdefault(decays, []).append(parameter)
    return [
        {"params": parameters, "weight_decay": recipe.weight_decay if decays else 0.0}
        for decays, parameters in groups.items()
    ]


def build_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the recipe's optimiser over a net."""
    groups = parameter_groups(net, recipe)
    match recipe.optimizer:
        case "adamw":
            betas = (recipe.momentum, 0.999)
            return torch.optim.AdamW(groups, lr=recipe.lr, betas=betas, eps=recipe.optimizer_eps)
        case "sgd":
            nesterov = recipe.momentum > 0  # without momentum there is nothing to look ahead by
            return torch.optim.SGD(
                groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov
            )
        case "rmsprop":
            return torch.optim.RMSprop(
                groups,
                lr=recipe.lr,
                alpha=RMSPROP_DECAY,
                eps=recipe.optimizer_eps,
                momentum=recipe.momentum,
            )


def lr_factor(recipe: Recipe, epoch: float) -> float:
    """Learning rate over its highest value, at a moment of training.

    Args:
        recipe: Schedule, epochs, cycles and warm-up.
        epoch: Epochs done, with fraction.
    """
    first, end = recipe.cycle_at(epoch)
    epoch -= first
    if epoch < recipe.warmup_epochs:
        return epoch / recipe.warmup_epochs
    match recipe.schedule:
        case "cosine":
            span = max(end - first - recipe.warmup_epochs, 1e-9)
            done = min((epoch - recipe.warmup_epochs) / span, 1.0)
            return 0.5 * (1 + math.cos(math.pi * done))
        case "step":
            return math.pow(recipe.gamma, math.floor(epoch / recipe.gamma_epochs))


class WeightAverage:
    """Exponential moving average of a net's parameters and statistics.

    Args:
        net: The net to follow; the average starts at its present weights.
        decay: Weight of the past at each step, 0 to 1.

    Attributes:
        tensors: The average, by the net's own names.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Follow the net after a step, counted from 1; early on the average follows faster."""
        decay = min(self.decay, (1 + step) / (10 + step))
        floats: tuple[list[Tensor], list[Tensor]] = ([], [])
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                floats[0].append(self.tensors[name])
                floats[1].append(tensor)
            else:
                self.tensors[name].copy_(tensor)
        torch._foreach_lerp_(floats[0], floats[1], 1 - decay)
