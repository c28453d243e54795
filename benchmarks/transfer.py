"""Training on one's own photos: a linear probe and a plain fine-tune beside ``mobilens train``.

    python benchmarks/transfer.py DATA --weights FILE [--model NAME] [--seeds 3] [--json]

DATA is whatever ``mobilens train`` reads. All three begin with the same net and weights; the probe
and the fine-tune are what one writes first, with torchvision's transforms. The score is top-1 on
the validation photos, in percent, of the fine-tune after its best epoch. The probe has no seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import v2

import mobilens
from mobilens.cli.terminal import table
from mobilens.data.dataset import Dataset, DataSplits, load_splits
from mobilens.nn.backbone import build
from mobilens.nn.weights import (
    PretrainedWeights,
    apply_pretrained,
    load_pretrained,
    recover_batchnorm,
)
from mobilens.spec.zoo import build_spec

BATCH = 32
EPOCHS = 15
LR = 5e-4
CENTRE = (v2.Resize(256), v2.CenterCrop(224))
AUGMENT = (v2.RandomResizedCrop(224, (0.3, 1.0)), v2.RandomHorizontalFlip())

Batches = DataLoader[tuple[Tensor, Tensor]]


class Photos(TorchDataset[tuple[Tensor, int]]):
    """What a transform makes of a data set's photos."""

    def __init__(
        self, dataset: Dataset, weights: PretrainedWeights, *transforms: nn.Module
    ) -> None:
        self.samples = dataset.samples
        scale = v2.Normalize(weights.preprocessing.mean, weights.preprocessing.std)
        self.transform = v2.Compose(
            [*transforms, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), scale]
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        sample = self.samples[index]
        with Image.open(sample.path) as image:
            return self.transform(ImageOps.exif_transpose(image).convert("RGB")), sample.target


def batches(photos: Photos, *, shuffle: bool = False) -> Batches:
    """Decoded by two processes."""
    return DataLoader(photos, BATCH, shuffle=shuffle, num_workers=2, drop_last=shuffle)


def start(data: Batches, weights: PretrainedWeights) -> tuple[nn.Module, nn.Module]:
    """Build the net with its weights and a fresh classifier, and give both."""
    net = build(weights.model)
    apply_pretrained(net, weights)
    if weights.folded:
        recover_batchnorm(net, (images for _, (images, _) in zip(range(4), data, strict=False)))
    return net, net.get_submodule("head.classifier")


@torch.no_grad()
def top1(net: nn.Module, data: Batches) -> float:
    """Percent right."""
    net.eval()
    right = [(net(images).argmax(1) == targets).float() for images, targets in data]
    return 100 * float(torch.cat(right).mean())


def probe(splits: DataSplits, weights: PretrainedWeights) -> float:
    """Fit the classifier on frozen features: logistic regression."""
    train, val = (batches(Photos(part, weights, *CENTRE)) for part in (splits.train, splits.val))
    net, classifier = start(train, weights)
    read: list[Tensor] = []
    hook = classifier.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    top1(net, train)
    hook.remove()
    features, targets = torch.cat(read), torch.tensor([s.target for s in splits.train.samples])
    optimizer = torch.optim.LBFGS(
        classifier.parameters(), max_iter=200, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        decay = sum(parameter.square().sum() for parameter in classifier.parameters())
        total = F.cross_entropy(classifier(features), targets) + 1e-4 * decay
        total.backward()
        return total

    optimizer.step(loss)
    return top1(net, val)


def fine_tune(splits: DataSplits, weights: PretrainedWeights, seed: int) -> float:
    """Train all of it: AdamW, warm-up and cosine, label smoothing; the best epoch counts."""
    torch.manual_seed(seed)
    val = batches(Photos(splits.val, weights, *CENTRE))
    net, _ = start(batches(Photos(splits.train, weights, *CENTRE)), weights)
    net.to(memory_format=torch.channels_last)
    data = batches(Photos(splits.train, weights, *AUGMENT), shuffle=True)
    optimizer = torch.optim.AdamW(net.parameters(), LR, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LR, total_steps=EPOCHS * len(data), pct_start=0.1
    )
    scores = []
    for epoch in range(EPOCHS):
        net.train()
        for images, targets in data:
            optimizer.zero_grad()
            images = images.to(memory_format=torch.channels_last)
            F.cross_entropy(net(images), targets, label_smoothing=0.1).backward()
            optimizer.step()
            schedule.step()
        scores.append(top1(net, val))
        print(f"fine-tune, seed {seed}, epoch {epoch + 1}: {scores[-1]:.1f}", file=sys.stderr)
    return max(scores)


def ours(data: str, weights: PretrainedWeights, model: str, seed: int) -> float:
    """``mobilens train``, all else by default: export, proof and report included."""
    with tempfile.TemporaryDirectory() as folder:
        mobilens.train(data, model=model, weights=weights.name, seed=seed, out=Path(folder) / "run")
        evaluation = mobilens.evaluate(Path(folder) / "run" / "model.onnx", data)
        return 100 * float(evaluation.to_json()["top1"])


def measure(args: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Scores and seconds of each way, seed by seed, the ways in turn."""
    splits = load_splits(args.data)
    spec = build_spec(args.model, num_classes=len(splits.train.class_names))
    weights = load_pretrained(args.weights, spec)
    ways = {
        "linear probe": lambda seed: probe(splits, weights) if not seed else None,
        "plain fine-tune": lambda seed: fine_tune(splits, weights, seed),
        "mobilens": lambda seed: ours(args.data, weights, args.model, seed),
    }
    figures: dict[str, dict[str, list[float]]] = {
        name: {"top1": [], "seconds": []} for name in ways
    }
    for seed in range(args.seeds):
        for name, way in ways.items():
            began = time.perf_counter()
            score = way(seed)
            if score is not None:
                figures[name]["top1"].append(score)
                figures[name]["seconds"].append(time.perf_counter() - began)
                print(f"{name}, seed {seed}: {score:.1f}", file=sys.stderr)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--weights", required=True, metavar="FILE")
    parser.add_argument("--model", default="mobilenet_v3_small", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    figures = measure(args)
    if args.json:
        print(json.dumps(figures, indent=2))
        return
    rows = [
        (
            name,
            ", ".join(f"{score:.1f}" for score in row["top1"]),
            f"{statistics.mean(row['top1']):.1f}",
            f"{statistics.median(row['seconds']):.0f}",
        )
        for name, row in figures.items()
    ]
    print(table(("", "top-1, % by seed", "mean", "seconds"), rows))


if __name__ == "__main__":
    main()
