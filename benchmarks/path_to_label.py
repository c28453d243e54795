"""From image files to labels: mobilens beside torchvision's and timm's own pipelines.

    python benchmarks/path_to_label.py PHOTOS [--model FILE] [--rounds 5] [--json]

PHOTOS is a folder of real photos. Three sets of JPEGs at quality 90 (4:2:0) are made of them: long
side 500 pixels; 12 megapixels, enlarged; 12 megapixels, enlarged, with the noise that a sensor
adds, which doubles the file. Every pipeline answers for the same files with MobileNetV3-Small, all
in this process, in turns, each in the settings that its documentation gives; a peer's figure is
that of its fastest variant. Weights are random: they change no speed. With a trained --model it
also counts the labels that reduced decoding leaves as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image, ImageOps
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_image
from torchvision.models import MobileNet_V3_Small_Weights, mobilenet_v3_small
from torchvision.transforms import v2

from mobilens.cli.terminal import table
from mobilens.exporting.bundle import export_checkpoint
from mobilens.nn.backbone import build
from mobilens.nn.checkpoint import Checkpoint
from mobilens.runtime.predictor import load_predictor
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec
from mobilens.vision import image as ours
from mobilens.vision.files import predict_files

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
BATCH = 32
IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
PEERS = ("torchvision", "torchvision v2 on uint8", "timm")
Run = Callable[[Sequence[Path]], None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of real photos")
    parser.add_argument("--model", type=Path, help="bundle of mobilens (default: a temporary file)")
    parser.add_argument("--small", type=int, default=256, help="photos of 500 pixels")
    parser.add_argument("--large", type=int, default=32, help="photos of 12 megapixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(CORES)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        sets = make_sets(args.photos, Path(scratch), args.small, args.large)
        runs = mobilens_runs(args.model, Path(scratch)) | torchvision_runs() | timm_runs()
        report = [measure(name, files, runs, args.rounds) for name, files in sets.items()]
        if args.model:
            for entry, files in zip(report, sets.values(), strict=True):
                entry["same_labels"] = same_labels(args.model, files)
    if args.json:
        print(json.dumps({"cores": CORES, "sets": report}, indent=2))
    else:
        print_report(report)
    return 0


# Photos


def make_sets(photos: Path, scratch: Path, small: int, large: int) -> dict[str, list[Path]]:
    """Write the three sets of JPEGs."""
    found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in ours.IMAGE_SUFFIXES)
    if not found:
        sys.exit(f"no photos in {photos}")
    random = np.random.default_rng(0)
    sets: dict[str, list[Path]] = {"500 px": [], "12 MP": [], "12 MP, noisy": []}
    for name, count in zip(sets, (small, large, large), strict=True):
        folder = scratch / name
        folder.mkdir()
        for index in range(count):
            photo = Image.fromarray(ours.decode_image(found[index * len(found) // count]))
            photo = enlarged(photo) if "MP" in name else fitted(photo, 500)
            if "noisy" in name:
                photo = noisy(photo, random)
            sets[name].append(folder / f"{index:03}.jpg")
            photo.save(sets[name][-1], quality=90)
    return sets


def fitted(photo: Image.Image, long_side: int) -> Image.Image:
    scale = long_side / max(photo.size)
    size = (round(photo.width * scale), round(photo.height * scale))
    return photo.resize(size, Image.Resampling.LANCZOS)


def enlarged(photo: Image.Image) -> Image.Image:
    """Cut the middle to 4:3 and enlarge it to 12 megapixels, lying or standing."""
    size = (4000, 3000) if photo.width >= photo.height else (3000, 4000)
    return ImageOps.fit(photo, size, Image.Resampling.LANCZOS)


def noisy(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Add noise of 4 steps in brightness and 2 in each colour: about 2 bits a pixel as JPEG."""
    pixels = np.asarray(photo, np.float32)
    shape = pixels.shape
    pixels = pixels + 4 * random.standard_normal((*shape[:2], 1), np.float32)
    pixels += 2 * random.standard_normal(shape, np.float32)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


# Pipelines


def mobilens_runs(bundle: Path | None, scratch: Path) -> dict[str, Run]:
    """Ours with torchvision's resize kernel and with timm's, to compare like with like."""
    if bundle is None:
        bundle = scratch / "model.onnx"
        model = build_spec("mobilenet_v3_small")
        task = TaskSpec("classify", tuple(map(str, range(1000))), IMAGENET)
        export_checkpoint(Checkpoint(model, task, build(model).state_dict()), bundle, None)

    def run_with(interpolation: str) -> Run:
        predictor = load_predictor(bundle)
        preprocessing = replace(predictor.task.preprocessing, interpolation=interpolation)
        predictor.task = replace(predictor.task, preprocessing=preprocessing)

        def run(files: Sequence[Path]) -> None:
            assert all(result.prediction for result in predict_files(predictor, files))

        return run

    return {f"mobilens, {kernel}": run_with(kernel) for kernel in ("bilinear", "bicubic")}


class Files(Dataset):
    """Files through a peer's own loader and transform."""

    def __init__(self, files: Sequence[Path], load: Callable[[Path], torch.Tensor]) -> None:
        self.files, self.load = files, load

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.load(self.files[index])


def peer_runs(name: str, net: nn.Module, load: Callable[[Path], torch.Tensor]) -> dict[str, Run]:
    """One by one, and in batches from a DataLoader whose workers are alive already."""
    net = net.eval()
    batched = net.to(memory_format=torch.channels_last)
    loaders: dict[Path, DataLoader] = {}

    @torch.inference_mode()
    def loop(files: Sequence[Path]) -> None:
        for file in files:
            net(load(file).unsqueeze(0)).softmax(1).argmax(1).item()

    @torch.inference_mode()
    def loader(files: Sequence[Path]) -> None:
        key = files[0].parent
        if key not in loaders:
            # Small sets are cut so that no worker stands idle.
            batch_size = max(1, min(BATCH, len(files) // (2 * CORES)))
            loaders[key] = DataLoader(
                Files(files, load), batch_size, num_workers=CORES, persistent_workers=True
            )
        for batch in loaders[key]:
            images = batch.to(memory_format=torch.channels_last)
            batched(images).softmax(1).argmax(1).tolist()

    return {f"{name}, one by one": loop, f"{name}, DataLoader": loader}


def torchvision_runs() -> dict[str, Run]:
    """Its weights' own transforms behind both of its decoders, and its fast v2 ones by hand."""
    net = mobilenet_v3_small()
    preset = MobileNet_V3_Small_Weights.IMAGENET1K_V1.transforms()
    fast = v2.Compose(
        [
            v2.Resize(256, antialias=True),
            v2.CenterCrop(224),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET.mean, IMAGENET.std),
        ]
    )

    def tensor(path: Path) -> torch.Tensor:
        return decode_image(str(path), mode=ImageReadMode.RGB)

    def pil(path: Path) -> Image.Image:
        with Image.open(path) as photo:
            return photo.convert("RGB")

    return {
        **peer_runs("torchvision, decode_image", net, lambda path: preset(tensor(path))),
        **peer_runs("torchvision, Pillow", net, lambda path: preset(pil(path))),
        **peer_runs("torchvision v2 on uint8", net, lambda path: fast(tensor(path))),
    }


def timm_runs() -> dict[str, Run]:
    net = timm.create_model("mobilenetv3_small_100")
    config = timm.data.resolve_data_config(model=net)
    transform = timm.data.create_transform(**config)

    def load(path: Path) -> torch.Tensor:
        with Image.open(path) as photo:
            return transform(photo.convert("RGB"))

    return peer_runs("timm", net, load)


# Measurement


def measure(name: str, files: list[Path], runs: dict[str, Run], rounds: int) -> dict[str, object]:
    """Time every pipeline in turn, ``rounds`` times after one to warm up."""
    seconds: dict[str, list[float]] = {key: [] for key in runs}
    for turn in range(rounds + 1):
        for key, run in runs.items():
            started = time.perf_counter()
            run(files)
            if turn:
                seconds[key].append(time.perf_counter() - started)
        print(f"{name}: round {turn} of {rounds}", file=sys.stderr)
    rates = {key: len(files) / statistics.median(values) for key, values in seconds.items()}
    return {
        "set": name,
        "images": len(files),
        "mean_megabytes": sum(file.stat().st_size for file in files) / len(files) / 1e6,
        "images_per_second": rates,
        "ratio": {peer: ratio(rates, peer) for peer in PEERS},
        "pixel_difference": pixel_difference(files),
    }


def ratio(rates: dict[str, float], peer: str) -> float:
    """Ours, with the peer's resize kernel, over the fastest variant of the peer."""
    mine = rates["mobilens, bicubic" if peer == "timm" else "mobilens, bilinear"]
    return mine / max(rate for name, rate in rates.items() if name.rsplit(",")[0] == peer)


def pixel_difference(files: list[Path]) -> dict[str, float]:
    """Mean absolute difference from full decoding and the same resize, in steps of 255."""
    differences = []
    for file in files:
        plain = ours.prepare(ours.decode_image(file), IMAGENET).astype(np.int16)
        differences.append(float(np.abs(ours.load_prepared(file, IMAGENET) - plain).mean()))
    return {"mean": statistics.mean(differences), "worst_photo": max(differences)}


def same_labels(bundle: Path, files: list[Path]) -> int:
    """Count the photos that a trained model answers alike, fully decoded and as we decode them."""
    predictor = load_predictor(bundle)
    asked = predictor.task.preprocessing

    def label(pixels: np.ndarray) -> int:
        return int(predictor.forward(pixels[None])["probabilities"].argmax())

    return sum(
        label(ours.prepare(ours.decode_image(file), asked))
        == label(ours.load_prepared(file, asked))
        for file in files
    )


def print_report(report: list[dict]) -> None:
    for entry in report:
        difference = entry["pixel_difference"]
        print(f"\n{entry['set']}: {entry['images']} photos of {entry['mean_megabytes']:.2f} MB")
        rates = entry["images_per_second"].items()
        print(table(("pipeline", "images/s"), [(name, f"{rate:.1f}") for name, rate in rates]))
        for peer, value in entry["ratio"].items():
            print(f"mobilens over the fastest of {peer}: {value:.2f}x")
        print(f"pixels differ from full decoding by {difference['mean']:.3f} of 255,")
        print(f"in the worst photo by {difference['worst_photo']:.3f}")
        if "same_labels" in entry:
            print(f"the same label for {entry['same_labels']} of {entry['images']}")


if __name__ == "__main__":
    raise SystemExit(main())
