"""Folded weights become trainable: BatchNorm statistics are recovered on data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn

from mobilens.errors import WeightsError
from mobilens.nn.layers import ConvNormAct

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


class _Moments:
    """Mean and variance a channel over many batches, in double precision."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(())
        self.squares = torch.zeros(())  # sum of squared distances from the mean

    def update(self, x: Tensor) -> None:
        """Add (N, C, ...)."""
        count = x.numel() // x.shape[1]
        variance, mean = _var_mean(x)
        # Not every accelerator has double precision.
        variance, mean = variance.cpu().double(), mean.cpu().double()
        total = self.count + count
        # Chan's rule for two sets: exact where the sum of squares would cancel.
        shift = mean - self.mean
        self.mean = self.mean + shift * (count / total)
        self.squares = (
            self.squares + variance * count + shift.square() * (self.count * count / total)
        )
        self.count = total

    @property
    def variance(self) -> Tensor:
        """Of the set, not an estimate for more than it."""
        return self.squares / max(self.count, 1)


def _var_mean(x: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and mean of each channel of (N, C, ...)."""
    if x.device.type != "cpu":
        return torch.var_mean(x, [axis for axis in range(x.ndim) if axis != 1], correction=0)
    # BatchNorm's own kernel: on channels_last ten times as fast as torch.var_mean.
    unused = x.new_zeros(x.shape[1])
    mean, variance = torch.batch_norm_update_stats(x, unused, unused.clone(), 0.0)
    return variance, mean


def recover_batchnorm(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set every BatchNorm's statistics to those of data, without changing what the net answers.

    In evaluation mode a BatchNorm is one scale and one shift a channel. Those stay as they are;
    the running mean and variance become the measured ones, and weight and bias what keeps scale
    and shift. Training mode, which uses the batch's own statistics, then gives nearly the same
    answers, so weights whose BatchNorm was folded can be trained on. As no answer changes on the
    way, one pass measures all layers. A channel that never varies keeps its scale and shift too:
    epsilon stands in for its variance.

    Args:
        net: Changed in place; its mode stays as it is.
        batches: Images, (N, C, H, W), normalised. A few hundred in all are enough.

    Raises:
        WeightsError: There was no batch.
    """
    norms = [module for module in net.modules() if isinstance(module, BatchNorm)]
    moments = [_Moments() for _ in norms]
    hooks = [
        norm.register_forward_pre_hook(partial(_observe, measured.update))
        for norm, measured in zip(norms, moments, strict=True)
    ]
    training = {module: module.training for module in net.modules()}
    net.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                net(batch)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in training.items():
            module.training = mode
    if any(measured.count == 0 for measured in moments):
        raise WeightsError(
            "no images to measure BatchNorm statistics on", expected="one batch or more"
        )
    for norm, measured in zip(norms, moments, strict=True):
        _set_statistics(norm, measured.mean, measured.variance)


@torch.no_grad()
def balance_filters(net: nn.Module) -> None:
    """Scale every filter before a BatchNorm so that its outputs vary by one, as its statistics say.

    The net answers as before. But weights come in all sizes: where BatchNorm was folded and
    recovered, filters of one layer may differ a hundredfold, and a step of an optimiser that moves
    all weights alike is then too much for some and nothing for others.

    Args:
        net: Changed in place. Its statistics must be those of data.
    """
    for module in net.modules():
        if isinstance(module, ConvNormAct) and isinstance(module.norm, nn.BatchNorm2d):
            _balance(module.conv, module.norm)


def _balance(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # A channel that never varies has nothing to be scaled by.
    scale = norm.running_var.clamp(min=norm.eps).rsqrt()
    conv.weight.mul_(scale.view(-1, 1, 1, 1))
    old = norm.running_var + norm.eps
    norm.running_mean.mul_(scale)
    norm.running_var.mul_(scale.square())
    norm.weight.mul_(torch.sqrt((norm.running_var + norm.eps) / old) / scale)


def _observe(update: Callable[[Tensor], None], _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    update(inputs[0])


@torch.no_grad()
def _set_statistics(norm: BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    old_mean, old_variance, weight, bias = (
        tensor.detach().cpu().double()
        for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    scale = weight / torch.sqrt(old_variance + norm.eps)
    shift = bias - scale * old_mean
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(scale * torch.sqrt(variance + norm.eps))
    norm.bias.copy_(shift + scale * mean)
