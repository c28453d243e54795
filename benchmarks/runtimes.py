"""Five families on five runtimes, in float and in INT8, beside plain exports of other libraries.

    python benchmarks/runtimes.py DATA --calibrate PHOTOS --out DIR [--weights DIR]
        [--checkpoint FAMILY=FILE] [--rounds 5] [--only FAMILY,RUNTIME] [--page FILE]

DATA is whatever ``mobilens evaluate`` reads, with ImageNet's 1,000 classes by number. A family's
net is the checkpoint that is named for it; else what the folder of --weights holds for it (the
folded TensorFlow files of imagenet_regression.py); else random, with the BatchNorm statistics of
PHOTOS: that one has no accuracy, and its INT8 is measured by how often it answers as in float. A
checkpoint of ``mobilens train`` is measured on its own validation photos, and calibrated on its own
training photos.

For each family and runtime it writes a file in float, one in INT8 that loses 1.0 point at most, and
torchvision's and timm's net, and measures them all in turns. What is done lies in DIR, so that the
same command goes on where it was stopped; what other code, packages or data made is done again. At
the end docs/benchmarks.md (--page) is written from all that is there.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from imagenet_regression import FILES
from runtimes_page import FAMILIES, LIBRARIES, RUNTIMES, page
from torch import nn

import mobilens
from mobilens.api import export
from mobilens.atomic import written
from mobilens.compress import calibration
from mobilens.data.dataset import load_split
from mobilens.data.files import find_images
from mobilens.errors import ExportError, MobilensError
from mobilens.exporting import peers
from mobilens.exporting.exported import Exported
from mobilens.exporting.peers import export_plain, peer_of
from mobilens.exporting.targets import target_named
from mobilens.nn.backbone import build
from mobilens.nn.checkpoint import Checkpoint
from mobilens.nn.weights import apply_pretrained, load_pretrained
from mobilens.observer import SayOnce, TerminalObserver
from mobilens.runtime.benchmark import Rival, benchmark
from mobilens.runtime.device import this_device
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.measurement import Measurement
from mobilens.spec import codec
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec
from mobilens.tasks import build_trained
from mobilens.tasks.normalise import Normalise
from mobilens.tasks.predictor import TorchPredictor
from mobilens.vision.files import predict_files

OURS = "mobilens"
PRECISIONS = ("float32", "int8")
THREADS = (1, 2)
MAX_DROP = 1.0
# What a random net loses by 8 bits tells nothing, so the first file is taken.
ANY_DROP = 100.0
NAMES = tuple(map(str, range(1000)))
STATISTICS = 64
PACKAGES = (
    *("torch", "torchvision", "timm", "onnx", "onnxscript", "onnxruntime", "openvino"),
    *("ai-edge-litert", "litert-torch", "executorch", "ncnn", "pnnx"),
)
# Code that decides what an exported file is.
WRITERS = ("compress", "exporting", "graph", "nn", "spec", "tasks")

observer = SayOnce(TerminalObserver())


@dataclass(frozen=True)
class Net:
    """What files are made of.

    Attributes:
        family: Its name.
        checkpoint: The file.
        origin: Where its weights come from, in words; ``"random"`` tells nothing by its answers.
        photos: What its files are measured on, in words; empty for the checkpoint's own data.
        data: The same to be read; likewise None.
        calibrate: What ranges are measured on; likewise.
        key: Changes with all of these.
    """

    family: str
    checkpoint: Path
    origin: str
    photos: str
    data: str | None
    calibrate: list[str] | None
    key: str

    @property
    def model(self) -> ModelSpec:
        """The architecture, with its classes: what other libraries' nets must be too."""
        return Checkpoint.load(self.checkpoint).model


def net_of(family: str, args: argparse.Namespace) -> Net:
    """Find or make the checkpoint of a family."""
    photos = photos_of(args.calibrate)
    names = list(map(str, photos))
    seen = [args.data, load_split(args.data, "val").fingerprint(), names]
    if family in args.checkpoint:
        path = args.checkpoint[family]
        own = (Checkpoint.load(path).provenance.get("settings") or {}).get("source")
        origin = "trained by mobilens on its own photos" if own else path.name
        if own:
            return Net(family, path, origin, "", None, None, key_of(path.read_bytes()))
    elif args.weights and family in FILES:
        path, origin = args.out / f"{family}.safetensors", FILES[family]
        with written(path) as temporary:
            pretrained(family, args.weights / FILES[family]).save(temporary)
    else:
        return random_net(family, args, photos, seen)
    key = key_of(path.read_bytes(), *seen)
    return Net(family, path, origin, Path(args.data).name, args.data, names, key)


def photos_of(names: Sequence[str]) -> list[Path]:
    """Photos by name and those in folders, in the order that a calibration takes them."""
    files = []
    for path in map(Path, names):
        files += find_images(path).images if path.is_dir() else [path]
    return calibration.choose([(file, file.parent.name) for file in files])


def pretrained(family: str, file: Path) -> Checkpoint:
    """Read the folded weights."""
    weights = load_pretrained(file, build_spec(family))
    net = build(weights.model)
    apply_pretrained(net, weights)
    return Checkpoint(
        weights.model, TaskSpec("classify", NAMES, weights.preprocessing), net.state_dict()
    )


def random_net(
    family: str, args: argparse.Namespace, photos: list[Path], made_of: list[Any]
) -> Net:
    """Make a net whose values vary as a trained one's do, and a list of what it answers."""
    key = key_of(*made_of, torch.__version__, writers())
    path, answers = (args.out / f"{family}-{key}{end}" for end in (".safetensors", ".csv"))
    if not path.exists():
        with written(path) as temporary:
            _random(family, photos).save(temporary)
    if not answers.exists():
        observer.say(f"{family}: its answers in float")
        checkpoint = Checkpoint.load(path)
        predictor = TorchPredictor(build_trained(checkpoint), checkpoint.task)
        files = [sample.path for sample in load_split(args.data, "val", NAMES).samples]
        found = zip(files, predict_files(predictor, files, batch_size=32), strict=True)
        rows = [f"{file},{one.prediction.label}" for file, one in found if one.prediction]
        with written(answers) as temporary:
            temporary.write_text("\n".join(["path,label", *rows]) + "\n", encoding="utf-8")
    names = list(map(str, photos))
    return Net(family, path, "random", Path(args.data).name, str(answers), names, key)


@torch.no_grad()
def _random(family: str, photos: list[Path]) -> Checkpoint:
    torch.manual_seed(0)
    spec = build_spec(family)
    prepared = Preprocessing(size=spec.resolution)
    pixels = torch.from_numpy(calibration.load(photos[:STATISTICS], prepared))
    seen = Normalise(prepared)(pixels)
    net = build(spec)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics of all that it sees
    net.train()(seen)
    scores = net.eval()(seen)
    # Left alone it answers every photo with the same class.
    classifier = net.get_submodule("head.classifier")
    factor = (1 / scores.std(0)).clamp(max=200)
    classifier.bias.copy_(factor * (classifier.bias - scores.mean(0)))
    classifier.weight.mul_(factor.view(-1, 1))
    return Checkpoint(spec, TaskSpec("classify", NAMES, prepared), net.state_dict())


def key_of(*parts: Any) -> str:
    """Eight letters that change with what is given."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
    return digest.hexdigest()[:8]


def writers() -> bytes:
    """Digest of the code that decides what a file is."""
    source = Path(mobilens.__file__).parent
    files = sorted(file for part in WRITERS for file in (source / part).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()


def versions() -> dict[str, str]:
    """Packages that are installed, with their versions."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Give what was made before, or make it and keep it."""
    if not path.exists():
        value = make()
        with written(path) as temporary:
            temporary.write_text(json.dumps(value, indent=1), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def ours(net: Net, target: str, precision: str, path: Path) -> dict[str, Any]:
    """Write one of our files; what it reached, or why there is none."""
    began = time.perf_counter()
    observer.say(f"{net.family}, {target}, {precision}: writing")
    try:
        made = export(
            net.checkpoint,
            path,
            to=target,
            data=net.data,
            precision=precision,
            max_drop=ANY_DROP if net.origin == "random" else MAX_DROP,
            calibrate=net.calibrate if precision == "int8" else None,
            observer=observer,
        )
    except ExportError as error:
        if precision == "float32":  # it loses nothing, so something is wrong
            raise
        return {"refused": error.given.removesuffix("; nothing was written")}
    found = reached(made) | {"seconds": time.perf_counter() - began}
    return found | {"data": net.photos or made.manifest.accuracy.dataset.name}


def reached(made: Exported) -> dict[str, Any]:
    """Figures of an export, all shares as (value, low, high)."""
    main = made.file.scores.main
    found: dict[str, Any] = {
        "accuracy": [main.value, main.low, main.high],
        "bytes": made.size_bytes,
        "images": made.file.num_images,
    }
    if made.manifest.reduction:
        reduction = made.manifest.reduction
        found |= {"drop": [reduction.drop, *reduction.drop_interval], "rung": reduction.rung}
    return found


def theirs(net: Net, engine: str, library: str, place: Path) -> dict[str, Any]:
    """Write a library's net into a folder of its own, or say why there is none."""
    shutil.rmtree(place, ignore_errors=True)
    observer.say(f"{net.family}, {engine}: {library}'s plain export")
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        try:
            file = export_plain(peer_of(net.model, library), engine, Path(temporary))
        except ExportError as error:
            return {"left_out": error.given}
        place.mkdir()
        for each in (file, file.with_suffix(".bin")):  # OpenVINO's and ncnn's numbers
            if each.exists():
                each.rename(place / each.name)
    return {"file": file.name}


def measure(net: Net, target: str, out: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """All files of one family on one runtime, in turns."""
    engine, suffix = FORMATS[target].engine, FORMATS[target].suffix
    files, found = {}, {}
    for precision in PRECISIONS:
        path = folder / f"{precision}{suffix}"
        found[precision] = kept(
            path.with_suffix(".json"), lambda p=precision, f=path: ours(net, target, p, f)
        )
        if "refused" not in found[precision]:
            files[precision] = str(path)
    made_of = net.model.to_json(), versions(), Path(peers.__file__).read_bytes()
    plain = out / net.family / f"plain-{key_of(*made_of)}"
    plain.mkdir(exist_ok=True)
    rivals, left_out = [], {}
    for library in LIBRARIES:
        place = plain / f"{engine}-{library}"
        about = kept(
            place.with_suffix(".json"),
            lambda name=library, at=place: theirs(net, engine, name, at),
        )
        if "left_out" in about:
            left_out[library] = about["left_out"]
        else:
            path = str(place / about["file"])
            rivals.append(Rival(path, engine, library, library, tuple(files.values())))
    if "int8" in files:
        # Compared within the rounds, as the others are.
        rivals.append(Rival(files["float32"], engine, OURS, OURS, (files["int8"],)))
    report = benchmark(
        list(files.values()),
        threads=THREADS,
        rounds=rounds,
        rivals=rivals,
        observer=observer,
        label=f"{net.family} on {target}",
    )
    for precision, path in files.items():
        names = (path, OURS) if precision == "float32" else (path,)
        found[precision] |= times([one for one in report.measurements if one.path in names])
    return {
        "family": net.family,
        "runtime": target,
        "origin": net.origin,
        "rounds": rounds,
        "device": codec.to_json(this_device()),
        "versions": versions(),
        "left_out": left_out,
        "theirs": {
            one: times([each for each in report.measurements if each.path == one])
            for one in LIBRARIES
            if one not in left_out
        },
        **found,
    }


def times(each: list[Measurement]) -> dict[str, Any]:
    """Figures of one file by its threads."""
    libraries = sorted({name for one in each for name in one.ratios})
    return {
        "bytes": each[0].size_bytes,
        "ms": {str(one.threads): one.p50_ms for one in each},
        "over": {
            name: {str(one.threads): codec.to_json(one.ratios[name]) for one in each}
            for name in libraries
        },
    }


def folder_of(net: Net, target: str, out: Path) -> Path:
    """Where all of one family and runtime lies, apart from what was made otherwise."""
    key = key_of(net.key, writers(), versions(), codec.to_json(this_device()))
    return out / net.family / f"{target}-{key}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--calibrate", nargs="+", required=True, metavar="PHOTOS")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--weights", type=Path, metavar="DIR")
    parser.add_argument(
        "--checkpoint", action="append", type=named, default=[], metavar="FAMILY=FILE"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=[], metavar="FAMILY,RUNTIME"
    )
    default = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
    parser.add_argument("--page", type=Path, default=default, metavar="FILE")
    args = parser.parse_args()
    args.checkpoint = dict(args.checkpoint)
    unknown = {*args.only, *args.checkpoint} - {*FAMILIES, *RUNTIMES}
    if unknown:
        parser.error(f"{', '.join(unknown)}: not one of {', '.join((*FAMILIES, *RUNTIMES))}")
    return args


def named(text: str) -> tuple[str, Path]:
    family, _, file = text.partition("=")
    return family, Path(file)


def command(args: argparse.Namespace) -> str:
    """The command that made the page, without the folders of this machine."""
    words = ["python benchmarks/runtimes.py", Path(args.data).name, "--calibrate"]
    words += [Path(name).name for name in args.calibrate]
    words += ["--weights", args.weights.name] if args.weights else []
    words += [f"--checkpoint {family}={file.name}" for family, file in args.checkpoint.items()]
    return " ".join([*words, "--rounds", str(args.rounds), "--out DIR"])


def cell_of(net: Net, target: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """What is known of a family on a runtime, measured now if it is asked for; else nothing."""
    folder = folder_of(net, target, args.out)
    result = folder / f"times-{args.rounds}.json"
    if not (result.exists() or wanted(args.only, net.family, target)):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    found = kept(result, lambda: measure(net, target, args.out, folder, args.rounds))
    if (seconds := time.perf_counter() - began) > 1:
        observer.say(f"{net.family} on {target}: {seconds:.0f} s")
    return [found]


def known(family: str, out: Path) -> bool:
    """Whether something of a family was measured before."""
    return any((out / family).glob("*/times-*.json"))


def wanted(only: list[str], family: str, target: str) -> bool:
    """Whether a family on a runtime is among those that are named: all, where none is."""
    families, targets = ({*only} & {*every} or {*every} for every in (FAMILIES, RUNTIMES))
    return family in families and target in targets


def main() -> int:
    """Measure what is not there yet and write the page."""
    args = arguments()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    for target in RUNTIMES:
        if any(wanted(args.only, family, target) for family in FAMILIES):
            target_named(target, "int8")  # before anything is written
    cells, failed = [], 0
    for family in FAMILIES:
        if not (any(wanted(args.only, family, one) for one in RUNTIMES) or known(family, args.out)):
            continue
        net = net_of(family, args)
        for target in RUNTIMES:
            try:
                cells += cell_of(net, target, args)
            except MobilensError as error:  # the others are measured all the same
                failed += 1
                observer.say(f"{family} on {target}: {error}")
    with written(args.page) as temporary:
        temporary.write_text(page(cells, command(args)), encoding="utf-8")
    observer.say(f"{args.page}: {len(cells)} of {len(FAMILIES) * len(RUNTIMES)} are measured")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        observer.say("stopped; the same command goes on from here")
        raise SystemExit(130) from None
    except MobilensError as error:
        sys.exit(str(error))
