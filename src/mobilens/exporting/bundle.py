"""A checkpoint becomes a model file, and no file leaves without its proof."""

from __future__ import annotations

import contextlib
import importlib.metadata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mobilens.atomic import written_together
from mobilens.data.dataset import Dataset
from mobilens.errors import BundleError, ExportError, ImageError, UsageError
from mobilens.evaluation import Evaluation, dataset_name, evaluate
from mobilens.exporting.targets import build_of, target_named
from mobilens.graph.pixels import fold_normalisation
from mobilens.graph.rewrite import simplify
from mobilens.graph.trace import trace
from mobilens.nn.checkpoint import Checkpoint
from mobilens.observer import SILENT, Observer
from mobilens.runtime.bundle import write_manifest
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import (
    Accuracy,
    GoldenSample,
    InputSpec,
    Licence,
    Manifest,
    MeasuredOn,
    ModelCost,
)
from mobilens.runtime.predictor import BundlePredictor
from mobilens.runtime.verify import verify_bundle
from mobilens.tasks import build_trained, torch_task
from mobilens.tasks.predictor import TorchPredictor
from mobilens.vision.image import load_prepared
from mobilens.vision.predictor import Pixels
from mobilens.vision.tasks import task_vision

# Float32 on another processor differs in the seventh digit; an answer of another net in the first.
TOLERANCE = 1e-4
GOLDEN_SAMPLES = 4
# Golden photos are kept this many times coarser: enough to prove, small, and shy of detail.
GOLDEN_COARSENESS = 4
TOOLS = ("mobilens", "numpy", "torch")


@dataclass(frozen=True)
class Exported:
    """A model file and its proof.

    Attributes:
        path: The file.
        size_bytes: Its size, with what belongs to it.
        checkpoint: What the checkpoint reached; None when nothing was measured.
        file: What the file reached on its own runtime, likewise.
        agreeing: On how many images both gave the same answer.
    """

    path: Path
    size_bytes: int
    checkpoint: Evaluation | None
    file: Evaluation | None
    agreeing: int


def export_checkpoint(
    checkpoint: Checkpoint,
    path: Path,
    dataset: Dataset | None,
    *,
    target: str = "onnx",
    observer: Observer = SILENT,
) -> Exported:
    """Write a model file, once its answers are the checkpoint's on every image.

    Args:
        checkpoint: What to export.
        path: Where the file goes; it appears there whole and proven, or not at all.
        dataset: What to measure on; None writes a file whose accuracy is not stated.
        target: Kind of file, one of ``targets.TARGETS``.
        observer: Is told of progress.

    Raises:
        MissingExtraError: What the target needs is not installed.
        ExportError: An answer differs from the checkpoint's, or the new file does not verify;
            nothing is written.
        WeightsError: The checkpoint's tensors are not those of its model.
        UsageError: ``path`` is a folder, or bears a checkpoint's suffix.
    """
    kind = target_named(target)
    _require_name(path, FORMATS[target].suffix)
    if checkpoint.model.in_channels != 3:
        raise UsageError(
            f"the model reads {checkpoint.model.in_channels} channels", expected="3, RGB"
        )
    graph = fold_normalisation(simplify(trace(checkpoint)))
    predictor = TorchPredictor(build_trained(checkpoint), checkpoint.task)
    manifest = Manifest(
        task=checkpoint.task,
        model=checkpoint.model.to_json(),
        cost=ModelCost(checkpoint.model.cost().params, checkpoint.model.cost().macs),
        input=InputSpec(graph.input, checkpoint.task.preprocessing.size),
        outputs=tuple(graph.outputs),
        golden=_golden(predictor, dataset),
        tolerance=TOLERANCE,
        licence=_licence(checkpoint.provenance),
        provenance=_public(checkpoint.provenance),
        tools={tool: importlib.metadata.version(tool) for tool in TOOLS} | kind.tools(),
        mobilens=importlib.metadata.version("mobilens"),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # The engine reads real files, so the proof is of the very bytes that are then renamed.
    with written_together(path, kind.companions) as temporary:
        build_of(kind)(graph, manifest, temporary)
        _seal(temporary, manifest)
        proof = _prove(temporary, predictor, dataset, path, observer)
        if proof.checkpoint is not None and proof.file is not None:
            main = torch_task(checkpoint.task.kind).main_score
            manifest = replace(manifest, accuracy=_accuracy(main, proof.checkpoint, proof.file))
            _seal(temporary, manifest)
        try:
            report = verify_bundle(temporary)
        except BundleError as error:
            raise ExportError(f"{error.given}; nothing was written") from None
    return replace(proof, size_bytes=report.size_bytes)


def _require_name(path: Path, suffix: str) -> None:
    if path.is_dir():
        raise UsageError(
            f"{path} is a folder", expected="a file", remedy=f"--out {path / 'model'}{suffix}"
        )
    if path.suffix.lower() == ".safetensors":
        raise UsageError(
            f"{path} is the name of a checkpoint",
            expected="the name of a model file",
            remedy=f"--out {path.with_suffix(suffix)}",
        )
    others = {info.suffix for info in FORMATS.values()} - {suffix}
    if path.suffix.lower() in others:
        raise UsageError(
            f"{path} is the name of another kind of model file",
            expected=f"a name that ends in {suffix}",
            remedy=f"--out {path.with_suffix(suffix)}",
        )


def _seal(path: Path, manifest: Manifest) -> None:
    path.write_bytes(write_manifest(path.read_bytes(), manifest, path))


def _licence(provenance: dict[str, Any]) -> Licence:
    stated = (provenance.get("settings") or {}).get("data_licence")
    return Licence(str(stated or "not stated"), provenance.get("weights_licence") or "own")


def _public(provenance: dict[str, Any]) -> dict[str, Any]:
    """What a file that travels may tell: no folders of the machine it was made on."""
    settings = provenance.get("settings") or {}
    weights = provenance.get("weights")
    return {
        "weights": Path(weights).name if weights else None,
        "recipe": settings.get("recipe"),
        "seed": settings.get("seed"),
        "data_fingerprint": provenance.get("data_fingerprint"),
    }


def _prove(
    file: Path,
    predictor: TorchPredictor,
    dataset: Dataset | None,
    path: Path,
    observer: Observer,
) -> Exported:
    """Measure checkpoint and file on the same images and compare every answer."""
    if dataset is None:
        return Exported(path, 0, None, None, 0)
    label = "proving the model file"
    before = evaluate(predictor, dataset, observer=observer, label=label)
    after = evaluate(BundlePredictor(file), dataset, observer=observer, label=label)
    vision = task_vision(predictor.task.kind)
    differing = [
        sample.path
        for sample, one, other in zip(
            before.samples, before.predictions, after.predictions, strict=True
        )
        if not vision.agree(one, other)
    ]
    if differing:
        raise ExportError(
            f"the file answers {len(differing)} of {before.num_images} images differently from "
            f"the checkpoint, the first is {differing[0]}; nothing was written",
            expected="the same answer on every image",
            remedy="report this with the checkpoint: a float export should never differ",
        )
    if before.skipped:
        first = before.skipped[0]
        observer.say(
            f"{len(before.skipped)} of {len(dataset)} images cannot be read and are left out of "
            f"the figures; the first: {first.path}: {first.reason}"
        )
    return Exported(path, 0, before, after, before.num_images)


def _accuracy(name: str, checkpoint: Evaluation, file: Evaluation) -> Accuracy:
    return Accuracy(
        checkpoint={name: checkpoint.scores.main.value},
        file={name: file.scores.main.value},
        dataset=MeasuredOn(
            name=dataset_name(checkpoint.dataset),
            fingerprint=checkpoint.dataset.fingerprint(),
            num_images=checkpoint.num_images,
        ),
    )


def _golden(predictor: TorchPredictor, dataset: Dataset | None) -> tuple[GoldenSample, ...]:
    """A few inputs with the checkpoint's answers."""
    pixels = np.stack(_golden_pixels(predictor, dataset))
    outputs = predictor.forward(pixels)
    if not all(np.isfinite(values).all() for values in outputs.values()):
        raise ExportError(
            "the checkpoint answers with NaN or infinity; nothing was written",
            expected="finite answers",
            remedy="a checkpoint from before its training diverged",
        )
    return tuple(
        GoldenSample.record(image, {name: values[index] for name, values in outputs.items()})
        for index, image in enumerate(pixels)
    )


def _golden_pixels(predictor: TorchPredictor, dataset: Dataset | None) -> list[Pixels]:
    preprocessing = predictor.task.preprocessing
    photos: list[Pixels] = []
    samples = dataset.samples if dataset else ()
    # Spread over the set, whose order is by class.
    for index in np.linspace(0, len(samples) - 1, min(GOLDEN_SAMPLES, len(samples))).astype(int):
        with contextlib.suppress(ImageError):  # the evaluation names what cannot be read
            photos.append(_coarse(load_prepared(samples[index].path, preprocessing)))
    if photos:
        return photos
    stream = np.random.default_rng(0)
    shape = (GOLDEN_SAMPLES, *preprocessing.size, 3)
    return [_coarse(noise) for noise in stream.integers(0, 256, shape, np.uint8)]


def _coarse(pixels: Pixels) -> Pixels:
    """Repeat every few pixels' first, so that the picture packs to a tenth."""
    height, width = pixels.shape[:2]
    step = GOLDEN_COARSENESS
    small = pixels[::step, ::step]
    return small.repeat(step, 0).repeat(step, 1)[:height, :width]
