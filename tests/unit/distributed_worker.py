"""One of two processes of test_distributed.py; it writes what it found to a file."""

import sys

import torch

from mobilens.nn.backbone import build
from mobilens.spec.zoo import build_spec
from mobilens.training.distributed import SyncBatchNorm2d, distribute, joined_world


def batch_norm_case(world, length, offset, scale):
    """Forward and backward of this process's share of a batch."""
    torch.manual_seed(length)
    images = offset + scale * torch.randn(length, 4, 6, 5)
    weights = torch.randn(length, 4, 6, 5)
    plain = torch.nn.BatchNorm2d(4, eps=1e-3, momentum=0.2)
    torch.nn.init.uniform_(plain.weight, 0.5, 2.0)
    torch.nn.init.uniform_(plain.bias, -1.0, 1.0)
    norm = SyncBatchNorm2d.sharing(plain.train()) if world else plain
    part = world.share(length) if world else slice(None)
    mine = images[part].clone().requires_grad_()
    out = norm(mine)
    (out * weights[part]).sum().backward()
    return {
        "out": out.detach(),
        "input_grad": mine.grad,
        "weight_grad": plain.weight.grad,
        "bias_grad": plain.bias.grad,
        "running_mean": plain.running_mean,
        "running_var": plain.running_var,
        "count": plain.num_batches_tracked,
        "answer": norm.eval()(images).detach(),
    }


def net_case(world, length):
    """Gradients and statistics of a small net, as the training loop computes them."""
    torch.manual_seed(0)
    net = build(build_spec("mobilenet_v3_small", width_mult=0.25, resolution=32, num_classes=3))
    net.head.dropout.p = 0.0
    images, targets = torch.randn(length, 3, 32, 32), torch.arange(length) % 3
    wrapped = distribute(net, world, torch.device("cpu")) if world else net
    part = world.share(length) if world else slice(None)
    size = world.size if world else 1
    raw = wrapped.train()(images[part])
    losses = torch.nn.functional.cross_entropy(raw, targets[part], reduction="none")
    (losses.sum() * (size / length)).backward()
    grads = {f"grad.{name}": parameter.grad for name, parameter in net.named_parameters()}
    return grads | {f"state.{name}": value.clone() for name, value in net.state_dict().items()}


BATCH_NORM_CASES = {
    "even": (6, 0.0, 1.0),
    "uneven": (7, 1.0, 2.0),
    "far from zero": (5, 300.0, 0.5),
    "one image each": (2, 0.0, 1.0),
}


def findings(world):
    return {
        "norm": {name: batch_norm_case(world, *case) for name, case in BATCH_NORM_CASES.items()},
        "net": net_case(world, 7),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined_world(torch.device("cpu")) as world:
        found = findings(world) | {
            "rank": world.rank,
            "size": world.size,
            "leads": world.leads,
            "agreed": world.agree(10 + world.rank),
            "mean": world.mean(float(world.rank)),
        }
        world.wait()
        torch.save(found, f"{sys.argv[1]}/{world.rank}.pt")
