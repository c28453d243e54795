"""One training step with frozen BatchNorm statistics: folded into the filters, and apart from them.

    python benchmarks/train_step.py [--rounds 10] [--threads 2] [--json]

Both ways step in turns, in one process, with the parts that the transfer recipe freezes frozen.
Weights and images are random: they change no speed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilens.cli.terminal import table
from mobilens.nn.backbone import build
from mobilens.nn.layers import ConvNormAct
from mobilens.spec.zoo import build_spec
from mobilens.training.frozen import freeze, train_mode
from mobilens.training.memory import keep_freed_memory
from mobilens.training.optim import build_optimizer
from mobilens.training.recipe import build_recipe

MODELS = ("mobilenet_v3_small", "mobilenet_v2")
BATCH, SIDE = 32, 224


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    rates = {model: measure(model, args.rounds) for model in MODELS}
    if args.json:
        print(json.dumps({"threads": args.threads, "images_per_second": rates}, indent=2))
        return 0
    rows = [
        (model, f"{rate['apart']:.0f}", f"{rate['folded']:.0f}", f"{rate['ratio']:.2f}x")
        for model, rate in rates.items()
    ]
    print(table(("images/s", "apart", "folded", "ratio"), rows))
    return 0


def measure(model: str, rounds: int) -> dict[str, float]:
    """Step both ways in turns, after two steps each to warm up; give medians."""
    step = stepper(model)
    seconds: dict[str, list[float]] = {"apart": [], "folded": []}
    for turn in range(rounds + 2):
        for way, times in seconds.items():
            started = time.perf_counter()
            if way == "apart":
                with patch.object(ConvNormAct, "forward", apart):
                    step()
            else:
                step()
            if turn > 1:
                times.append(time.perf_counter() - started)
    rates = {way: BATCH / statistics.median(times) for way, times in seconds.items()}
    return rates | {"ratio": rates["folded"] / rates["apart"]}


def apart(layer: ConvNormAct, x: Tensor) -> Tensor:
    """Convolution, BatchNorm, activation, one after the other."""
    return layer.act(layer.norm(layer.conv(x)))


def stepper(model: str) -> Callable[[], None]:
    """A step of the transfer recipe's optimiser on a batch of noise."""
    recipe = build_recipe("transfer")
    net: nn.Module = build(build_spec(model, num_classes=10))
    net = net.to(memory_format=torch.channels_last)
    freeze(net, recipe)
    train_mode(net, recipe)
    optimizer = build_optimizer(net, recipe)
    images = torch.randn(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    targets = torch.arange(BATCH) % 10

    def step() -> None:
        loss = F.cross_entropy(net(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    raise SystemExit(main())
