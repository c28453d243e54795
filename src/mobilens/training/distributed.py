"""Several processes, one training: who does what, and BatchNorm over all of them.

Started by ``torchrun``, every process takes its share of each batch. The sums that a batch goes
into (gradients, BatchNorm's statistics) run over all processes, so they learn what one would.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mobilens.errors import UsageError


@dataclass(frozen=True)
class World:
    """This process among all.

    Attributes:
        rank: Its number; 0 writes files and speaks.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def share(self, length: int) -> slice:
        """This process's part of a batch of this length; the parts differ by one at most."""
        return slice(length * self.rank // self.size, length * (self.rank + 1) // self.size)

    def agree(self, value: int) -> int:
        """The leading process's value, in every process."""
        if self.size == 1:
            return value
        values = [value]
        torch.distributed.broadcast_object_list(values)
        return values[0]

    def mean(self, value: float) -> float:
        """The mean of every process's value, in every process."""
        if self.size == 1:
            return value
        values = [value] * self.size
        torch.distributed.all_gather_object(values, value)
        return sum(values) / self.size

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            torch.distributed.barrier()


@contextmanager
def joined_world(device: torch.device) -> Iterator[World]:
    """Join the processes that ``torchrun`` started, if it did."""
    if "RANK" not in os.environ or torch.distributed.is_initialized():
        yield World()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)  # where collectives put what they send
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()


_GPUS: dict[str, Callable[[], bool]] = {
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
}


def local_device(name: str) -> torch.device:
    """Choose the device: ``"auto"`` is a GPU if there is one, each process its own.

    Raises:
        UsageError: There is no such device here.
    """
    if name == "auto":
        name = next((gpu for gpu, there in _GPUS.items() if there()), "cpu")
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"the device {name!r} cannot be used: {reason}",
            expected=", ".join(["cpu", *(gpu for gpu, there in _GPUS.items() if there())]),
            remedy="--device auto",
        ) from None
    return device


def distribute(net: nn.Module, world: World, device: torch.device) -> nn.Module:
    """Wrap a net so that gradients, BatchNorm statistics and dropout are those of one process."""
    if world.size == 1:
        return net
    for name, module in list(net.named_modules()):
        parent, _, leaf = name.rpartition(".")
        if isinstance(module, nn.BatchNorm2d):
            setattr(net.get_submodule(parent), leaf, SyncBatchNorm2d.sharing(module))
        elif isinstance(module, nn.Dropout):
            setattr(net.get_submodule(parent), leaf, SharedDropout(module.p))
    devices = [device] if device.type == "cuda" else None
    return DistributedDataParallel(net, device_ids=devices)


class SyncBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over the batch of all processes; torch's own has none for CPUs."""

    @classmethod
    def sharing(cls, norm: nn.BatchNorm2d) -> SyncBatchNorm2d:
        """Make one with the very parameters and statistics of a plain BatchNorm."""
        made = cls(norm.num_features, eps=norm.eps, momentum=norm.momentum)
        made.weight, made.bias = norm.weight, norm.bias
        made.running_mean, made.running_var = norm.running_mean, norm.running_var
        made.num_batches_tracked = norm.num_batches_tracked
        made.train(norm.training)
        return made

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), same shape out."""
        if not self.training:
            return super().forward(x)
        total, mean, variance = _moments_of_all(x.float())  # bfloat16 is too coarse for sums
        if self.running_mean is not None and self.running_var is not None:
            momentum = self.momentum or 0.0
            unbiased = variance.detach() * (total / (total - 1)).detach()
            self.running_mean.lerp_(mean.detach(), momentum)
            self.running_var.lerp_(unbiased, momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        out: Tensor = x * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
        return out.to(x.dtype)


class SharedDropout(nn.Dropout):
    """Dropout whose draws are those of one process with the whole batch.

    Every process draws for all, from the same state of the random numbers, and takes its part.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...), same shape out."""
        if not self.training or not self.p:
            return x
        counts = torch.zeros(torch.distributed.get_world_size(), dtype=torch.int64, device=x.device)
        rank = torch.distributed.get_rank()
        counts[rank] = len(x)
        torch.distributed.all_reduce(counts)
        first = int(counts[:rank].sum())
        kept = x.new_empty((int(counts.sum()), *x.shape[1:])).bernoulli_(1 - self.p)
        return x * kept[first : first + len(x)].div(1 - self.p)


def _moments_of_all(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count of a channel's values, and each channel's mean and variance, over all processes."""
    channels = x.shape[1]
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    count = x.new_tensor([x.numel() / channels])
    # Everybody's row, in one sum: moments of each are exact where sums of squares would cancel.
    rows = x.new_zeros(torch.distributed.get_world_size(), 2 * channels + 1)
    rows[torch.distributed.get_rank()] = torch.cat([count, mean, variance])
    rows = _SumOfAll.apply(rows)
    counts, means, variances = rows.split([1, channels, channels], dim=1)
    total = counts.sum(0)
    mean = (counts * means).sum(0) / total
    variance = (counts * (variances + (means - mean).square())).sum(0) / total
    return total, mean, variance


class _SumOfAll(torch.autograd.Function):
    """Sum over all processes; the gradient of a sum that all of them use is likewise one."""

    @staticmethod
    def forward(_: Any, rows: Tensor) -> Tensor:
        total = rows.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total
