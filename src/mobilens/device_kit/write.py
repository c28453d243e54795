"""Write a kit: model files, photos as the nets read them, and this package's own source."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobilens.data.dataset import Dataset
from mobilens.device_kit import run as script
from mobilens.device_kit.contents import LIST, MODELS, PHOTOS, RESULT, Kit, KitFile
from mobilens.errors import DataError, ImageError, UsageError
from mobilens.evaluation import dataset_name
from mobilens.observer import SILENT, Observer
from mobilens.runtime.bundle import Bundle, read_bundle
from mobilens.runtime.engines import ELSEWHERE
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import MeasuredOn
from mobilens.spec import codec
from mobilens.spec.task import Preprocessing
from mobilens.vision.image import load_prepared

SOURCE = Path(__file__).resolve().parents[1]
PLAIN = ("numpy", "pillow", "tqdm")
# Packages of the engines that install without torch. The first measures the machine's peak too.
PEAK = "onnxruntime"
ENGINES = {
    PEAK: (PEAK,),
    "openvino": ("openvino",),
    "litert": ("ai-edge-litert",),
    "ncnn": ("ncnn",),
}
# A file for a card, not for a server: at 224 pixels some 50 MB.
MOST_PHOTOS = 500

README = f"""\
Measures the model files in {MODELS}/ on this machine. It needs Python 3.11 or newer and, once, pip.
Run:    python3 run.py          (sets up .venv here and installs what requirements.txt lists)
   or:  python3 run.py --here   (with the packages that this Python has already)
Then bring {RESULT} back and show it beside others: mobilens benchmark --import {RESULT}
Nothing is sent anywhere; deleting this folder removes everything.
"""


@dataclass(frozen=True)
class _Photos:
    """Arrays for ``photos.npz``, and which of them each file takes."""

    arrays: dict[str, NDArray[np.generic]]
    of_file: list[tuple[str, str]]
    data: MeasuredOn | None


def write_kit(
    folder: Path,
    files: Sequence[str],
    *,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1,),
    rounds: int = 5,
    datasets: Sequence[Dataset] = (),
    observer: Observer = SILENT,
) -> Path:
    """Write a folder that measures model files wherever it is copied to.

    Args:
        folder: Where to; it must not exist, or be empty.
        files: Model files.
        threads: Threads for one answer.
        batches: Images in one run.
        rounds: Fresh processes for each configuration.
        datasets: Validation photos for each file, with its classes; at most 500 of those that all
            share go with the files, evenly picked.
        observer: Is told what a person should know.

    Raises:
        UsageError: The folder holds something, or no file was given.
        BundleError: A file is no model file of mobilens, or was changed.
        DataError: No photo is shared by all, or can be read.
    """
    if not files:
        raise UsageError("no model file was given", expected="one or more for the kit")
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already", expected="a new folder, or an empty one")
    bundles = _checked(files, observer)
    photos = _Photos({}, [("", "")] * len(bundles), None)
    if datasets:
        photos = _photos(bundles, datasets, observer)
    building = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True)
        names = [_copied(bundle, building / MODELS, index) for index, bundle in enumerate(bundles)]
        engines = [FORMATS[bundle.format].engine for bundle in bundles]
        parts = zip(names, engines, photos.of_file, strict=True)
        kit = Kit(
            files=tuple(KitFile(name, engine, *arrays) for name, engine, arrays in parts),
            threads=tuple(threads),
            batches=tuple(batches),
            rounds=rounds,
            packages=_pinned(PLAIN),
            engines={name: _pinned(ENGINES[name]) for name in ENGINES if name in {PEAK, *engines}},
            data=photos.data,
        )
        _write(building, kit, photos)
        if folder.exists():
            folder.rmdir()
        building.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _checked(files: Sequence[str], observer: Observer) -> list[Bundle]:
    """Open the files, and refuse what no kit can measure."""
    bundles = [read_bundle(file) for file in files]
    for bundle in bundles:
        if (engine := FORMATS[bundle.format].engine) in ELSEWHERE:
            raise UsageError(
                f"{bundle.path} is not run by Python: {ELSEWHERE[engine]}",
                expected="files for another runtime",
            )
        bundle.check_seal()
        if engine not in ENGINES:
            observer.say(
                f"{bundle.path}: a kit does not install {engine}, which needs torch: the file is "
                "measured there only where it is installed (python3 run.py --here)"
            )
    return bundles


def _write(folder: Path, kit: Kit, photos: _Photos) -> None:
    (folder / LIST).write_text(json.dumps(codec.to_json(kit), indent=2), encoding="utf-8")
    listed = [*kit.packages, *(each for needs in kit.engines.values() for each in needs)]
    (folder / "requirements.txt").write_text("\n".join(listed) + "\n")
    (folder / "README.txt").write_text(README)
    shutil.copyfile(str(script.__file__), folder / "run.py")
    ignore = shutil.ignore_patterns("__pycache__", "digits*")
    shutil.copytree(SOURCE, folder / SOURCE.name, ignore=ignore)
    if photos.arrays:
        np.savez_compressed(folder / PHOTOS, **photos.arrays)  # type: ignore[arg-type]


def _copied(bundle: Bundle, folder: Path, index: int) -> str:
    """Copy a file with those that belong to it, into a folder of its own if the name is taken."""
    suffixes = FORMATS[bundle.format].companions
    each = [bundle.path, *(bundle.path.with_suffix(suffix) for suffix in suffixes)]
    inside = Path() if not any((folder / one.name).exists() for one in each) else Path(str(index))
    (folder / inside).mkdir(parents=True, exist_ok=True)
    for one in each:
        shutil.copyfile(one, folder / inside / one.name)
    return (inside / bundle.path.name).as_posix()


def _pinned(packages: Sequence[str]) -> tuple[str, ...]:
    """Packages in the versions that are installed here, for those are the ones that were tried."""
    return tuple(f"{name}=={_public_version(name)}" for name in packages if _public_version(name))


def _public_version(name: str) -> str:
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


def _photos(bundles: Sequence[Bundle], datasets: Sequence[Dataset], observer: Observer) -> _Photos:
    """Prepare the photos once for each way that one of the nets reads them."""
    if any(dataset.labels != "class" for dataset in datasets):
        raise UsageError(
            "photos go into a kit for models that classify alone",
            expected="a kit without --data: it measures times and sizes of any model",
        )
    shared = set.intersection(*({one.path for one in each.samples} for each in datasets))
    first = datasets[0]
    whole = first.without([one.path for one in first.samples if one.path not in shared])
    step = max(1, -(-len(whole) // MOST_PHOTOS))
    if step > 1:
        observer.say(f"every {step}th of {len(whole):,} photos goes into the kit")
    some = _readable(replace(whole, samples=whole.samples[::step]), observer)
    paths = [sample.path for sample in some.samples]
    arrays: dict[str, NDArray[np.generic]] = {}
    ways: dict[Preprocessing, str] = {}
    orders: dict[tuple[str, ...], str] = {}
    of_file = []
    for bundle, dataset in zip(bundles, datasets, strict=True):
        way, names = bundle.manifest.task.preprocessing, bundle.manifest.task.class_names
        if way not in ways:
            ways[way] = f"pixels_{len(ways)}"
            arrays[ways[way]] = np.stack([load_prepared(path, way) for path in paths])
        if names not in orders:
            orders[names] = f"targets_{len(orders)}"
            truth = {sample.path: sample.target for sample in dataset.samples}
            arrays[orders[names]] = np.array([truth[path] for path in paths])
        of_file.append((ways[way], orders[names]))
    about = MeasuredOn(dataset_name(some), some.fingerprint(), len(some))
    return _Photos(arrays, of_file, about)


def _readable(dataset: Dataset, observer: Observer) -> Dataset:
    broken = []
    for sample in dataset.samples:
        try:
            load_prepared(sample.path, Preprocessing())
        except ImageError as error:
            observer.say(f"left out: {error.given}")
            broken.append(sample.path)
    if len(broken) == len(dataset):
        raise DataError(f"no photo of {dataset.root} can go into the kit", expected="one or more")
    return dataset.without(broken)
