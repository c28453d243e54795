"""Filters of a graph, carried back to the checkpoint that they came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from mobilens.graph.ops import Conv, Graph, Linear
from mobilens.graph.trace import trace
from mobilens.nn.checkpoint import Checkpoint
from mobilens.nn.layers import ConvNormAct
from mobilens.tasks import build_trained

Rewrite = Callable[[Graph], Graph]
# Channels that a BatchNorm multiplies by less are dead, and stay as they are.
DEAD = 1e-12


def carried_back(checkpoint: Checkpoint, graph: Graph, rewrite: Rewrite) -> Checkpoint:
    """Give the checkpoint whose graph, rewritten, has the filters and biases of this one.

    What tracing and rewriting do to a filter is a factor for each of its values, and to a bias a
    factor and a sum that depends on the filters alone. The factors are read off nets whose filters
    are ones.

    Args:
        checkpoint: The net, as it was.
        graph: ``rewrite(trace(checkpoint))`` with other filters and biases.
        rewrite: What was done; it must not look at filters.
    """
    ones = _with_filters(checkpoint, lambda _, old: torch.ones_like(old), lambda _, old: old)
    more = _with_filters(ones, lambda _, old: old, lambda _, old: old + 1)
    factors, raised = (_filters(rewrite(trace(one))) for one in (ones, more))
    wanted = _filters(graph)

    def weight(name: str, old: Tensor) -> Tensor:
        return wanted[name][0] / factors[name][0] if name in wanted else old

    turned = _with_filters(checkpoint, weight, lambda _, old: old)
    reached = _filters(rewrite(trace(turned)))

    def bias(name: str, old: Tensor) -> Tensor:
        if name not in wanted:
            return old
        return old + (wanted[name][1] - reached[name][1]) / (raised[name][1] - factors[name][1])

    return _with_filters(turned, lambda _, old: old, bias)


def _filters(graph: Graph) -> dict[str, tuple[Tensor, Tensor]]:
    return {
        op.output: (torch.from_numpy(op.weight).double(), torch.from_numpy(op.bias).double())
        for op in graph.ops
        if isinstance(op, (Conv, Linear))
    }


Change = Callable[[str, Tensor], Tensor]


@torch.no_grad()
def _with_filters(checkpoint: Checkpoint, weight: Change, bias: Change) -> Checkpoint:
    """Give a checkpoint with other filters and biases, a BatchNorm seen as part of its filters."""
    net = build_trained(checkpoint)
    normed = {}
    for path, module in net.named_modules():
        if isinstance(module, ConvNormAct) and isinstance(module.norm, nn.BatchNorm2d):
            normed[f"{path}.conv"] = module.norm
    for path, module in net.named_modules():
        if not isinstance(module, (nn.Conv2d, nn.Linear)):
            continue
        norm = normed.get(path)
        factor, shift = _affine(norm) if norm else (torch.ones(()), torch.zeros(()))
        rows = factor.view(-1, *[1] * (module.weight.ndim - 1)) if norm else factor
        live = rows.abs() > DEAD
        changed = weight(path, module.weight.double() * rows).view_as(module.weight) / rows
        module.weight.copy_(torch.where(live, changed, module.weight.double()))
        if norm is not None:
            norm.bias.copy_(bias(path, norm.bias.double() + shift) - shift)
        elif module.bias is not None:
            module.bias.copy_(bias(path, module.bias.double()))
    return replace(checkpoint, tensors=dict(net.state_dict()))


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a BatchNorm multiplies by, and what it adds besides its bias."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return factor, -norm.running_mean.double() * factor


def without_bias(checkpoint: Checkpoint) -> frozenset[str]:
    """Name the filters that a checkpoint has no bias for, nor a BatchNorm with one.

    Args:
        checkpoint: The net.
    """
    net = build_trained(checkpoint)
    normed = {f"{path}.conv" for path, module in net.named_modules() if _is_normed(module)}
    return frozenset(
        path
        for path, module in net.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is None and path not in normed
    )


def _is_normed(module: nn.Module) -> bool:
    return isinstance(module, ConvNormAct) and isinstance(module.norm, nn.BatchNorm2d)
