"""Top-1 on ImageNet photos of the folded TensorFlow weights: a plain pipeline beside mobilens.

    python benchmarks/imagenet_regression.py DATA [--photos 500] [--json]

DATA holds ``imagenet500/images``, whose file names begin with the class index, and ``weights``.
The plain pipeline shares nothing with mobilens: Pillow decodes in full, resizes the short side to
256 and crops 224; the nets are a few functional lines below that read the files' own keys. mobilens
runs with the weights as loaded, and again after ``recover_batchnorm`` on 128 of the photos.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from mobilens.cli.terminal import table
from mobilens.nn.backbone import build
from mobilens.nn.weights import apply_pretrained, load_pretrained, recover_batchnorm
from mobilens.spec.zoo import build_spec
from mobilens.vision.image import load_prepared

FILES = {
    "mobilenet_v1": "mobilenet_v1_100_224.safetensors",
    "mobilenet_v2": "mobilenet_v2_100_224_tf2.safetensors",
    "mobilenet_v3_small": "mobilenet_v3_small_100_224.safetensors",
}
BATCH = 50

Weights = dict[str, Tensor]


def plain_pixels(path: Path) -> np.ndarray:
    """Decode in full, short side to 256, centre 224."""
    image = Image.open(path).convert("RGB")
    scale = 256 / min(image.size)
    size = round(image.width * scale), round(image.height * scale)
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224)))


def conv(w: Weights, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """Convolve with TensorFlow's SAME padding; depthwise where the kernel has one input."""
    weight = w[f"{name}.weight"]
    kernel, pads = weight.shape[2], []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    groups = x.shape[1] if weight.shape[1] == 1 else 1
    return F.conv2d(F.pad(x, pads), weight, w[f"{name}.bias"], stride, groups=groups)


def plain_net(w: Weights, strides: list[int], x: Tensor) -> Tensor:
    """V1, V2 or V3-Small, whichever the keys are of."""
    is_v3 = "head2.weight" in w
    x = (F.hardswish if is_v3 else F.relu6)(conv(w, "stem", x, 2))
    for i, stride in enumerate(strides):
        x = plain_block(w, f"blocks.{i}", x, stride, F.relu6 if not is_v3 else block_act(i))
    if "head.weight" in w:
        x = (F.hardswish if is_v3 else F.relu6)(conv(w, "head", x))
    x = x.mean((2, 3), keepdim=True)
    if is_v3:
        x = F.hardswish(conv(w, "head2", x))
    return F.linear(x.flatten(1), w["classifier.weight"], w["classifier.bias"])


def block_act(index: int) -> Callable[[Tensor], Tensor]:
    """V3-Small: ReLU in the first three blocks."""
    return F.relu if index < 3 else F.hardswish


def plain_block(
    w: Weights, name: str, x: Tensor, stride: int, act: Callable[[Tensor], Tensor]
) -> Tensor:
    """One block, with the parts that the keys name."""
    y = act(conv(w, f"{name}.expand", x)) if f"{name}.expand.weight" in w else x
    y = act(conv(w, f"{name}.dw", y, stride))
    if f"{name}.pw.weight" in w:
        return act(conv(w, f"{name}.pw", y))
    if f"{name}.se.reduce.weight" in w:
        gate = F.relu(conv(w, f"{name}.se.reduce", y.mean((2, 3), keepdim=True)))
        y = y * F.hardsigmoid(conv(w, f"{name}.se.expand", gate))
    y = conv(w, f"{name}.project", y)
    return x + y if y.shape == x.shape else y


def read_plain(path: Path) -> tuple[Weights, list[int]]:
    """Tensors under the file's keys, and the strides that its metadata states."""
    with safe_open(path, framework="pt") as file:
        strides = ast.literal_eval(file.metadata()["strides"])
        return {key: file.get_tensor(key).float() for key in file.keys()}, strides  # noqa: SIM118


@torch.inference_mode()
def top1(net: Callable[[Tensor], Tensor], pixels: Tensor, targets: Tensor) -> float:
    """Percent right."""
    right = sum(
        int((net(images(pixels[i : i + BATCH])).argmax(1) == targets[i : i + BATCH]).sum())
        for i in range(0, len(pixels), BATCH)
    )
    return 100 * right / len(pixels)


def images(pixels: Tensor) -> Tensor:
    """Turn uint8 (N, h, w, 3) into (N, 3, h, w), -1 to 1."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def measure(data: Path, photos: int) -> dict[str, dict[str, float]]:
    """Top-1 in percent, by model and pipeline."""
    paths = sorted((data / "imagenet500" / "images").iterdir())
    paths = [paths[i * len(paths) // photos] for i in range(photos)]
    targets = torch.tensor([int(path.name.split("_")[0]) for path in paths])
    plain = torch.from_numpy(np.stack([plain_pixels(path) for path in paths]))
    figures = {}
    for name, file in FILES.items():
        weights = load_pretrained(data / "weights" / file, build_spec(name))
        pixels = [load_prepared(path, weights.preprocessing) for path in paths]
        ours = torch.from_numpy(np.stack(pixels))
        net = build(weights.model).eval()
        apply_pretrained(net, weights)
        w, strides = read_plain(data / "weights" / file)
        row = {"plain": top1(lambda x, w=w, s=strides: plain_net(w, s, x), plain, targets)}
        row["mobilens"] = top1(net, ours, targets)
        chosen = ours[:: max(1, len(ours) // 128)][:128]
        recover_batchnorm(net, (images(chosen[i : i + 32]) for i in range(0, 128, 32)))
        row["mobilens, statistics recovered"] = top1(net, ours, targets)
        figures[name] = row
        print(f"{name} done", file=sys.stderr)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--photos", type=int, default=500, metavar="N")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    figures = measure(args.data, args.photos)
    if args.json:
        print(json.dumps(figures, indent=2))
        return
    columns = list(next(iter(figures.values())))
    rows = [(name, *(f"{row[key]:.1f}" for key in columns)) for name, row in figures.items()]
    print(table(("top-1, %", *columns), rows))


if __name__ == "__main__":
    main()
