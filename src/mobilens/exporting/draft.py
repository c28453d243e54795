"""What is said of a model file before it exists, and what is refused before anything is written."""

from __future__ import annotations

import contextlib
import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np

from mobilens.data.dataset import Dataset
from mobilens.errors import ExportError, ImageError, UsageError
from mobilens.evaluation import Evaluation, dataset_name
from mobilens.exporting.targets import TARGETS, Target
from mobilens.graph.ops import Graph
from mobilens.nn.checkpoint import Checkpoint
from mobilens.observer import Observer
from mobilens.runtime.bundle import write_manifest
from mobilens.runtime.formats import FORMATS, main_file
from mobilens.runtime.manifest import (
    Accuracy,
    GoldenSample,
    InputSpec,
    Licence,
    Manifest,
    MeasuredOn,
    ModelCost,
)
from mobilens.tasks.predictor import TorchPredictor
from mobilens.vision.image import load_prepared
from mobilens.vision.predictor import Pixels, Predictor
from mobilens.vision.tasks import task_vision

# Float32 on another processor differs in the seventh digit; an answer of another net in the first.
TOLERANCE = 1e-4
GOLDEN_SAMPLES = 4
# Golden photos are kept this many times coarser: enough to prove, small, and shy of detail.
GOLDEN_COARSENESS = 4
TOOLS = ("mobilens", "numpy", "torch")


def draft_manifest(
    checkpoint: Checkpoint,
    predictor: TorchPredictor,
    graph: Graph,
    dataset: Dataset | None,
    target: Target,
) -> Manifest:
    """Say what a file will be, all but what is measured on it.

    Args:
        checkpoint: What it comes from.
        predictor: The checkpoint, opened.
        graph: What it computes.
        dataset: Where its golden inputs come from; patterns where there is none.
        target: What kind of file it is.

    Raises:
        ExportError: The checkpoint answers with NaN or infinity.
    """
    return Manifest(
        task=checkpoint.task,
        model=checkpoint.model.to_json(),
        cost=ModelCost(checkpoint.model.cost().params, checkpoint.model.cost().macs),
        input=InputSpec(graph.input, checkpoint.task.preprocessing.size),
        outputs=tuple(graph.outputs),
        golden=golden_samples(predictor, _golden_pixels(predictor, dataset)),
        tolerance=TOLERANCE,
        licence=_licence(checkpoint.provenance),
        provenance=_public(checkpoint.provenance),
        tools={tool: importlib.metadata.version(tool) for tool in TOOLS} | target.tools(),
        mobilens=importlib.metadata.version("mobilens"),
        unproven=target.unproven or None,
    )


def require_colour(checkpoint: Checkpoint) -> None:
    """Refuse a net that does not read RGB.

    Raises:
        UsageError: It reads another number of channels.
    """
    if checkpoint.model.in_channels != 3:
        raise UsageError(
            f"the model reads {checkpoint.model.in_channels} channels", expected="3, RGB"
        )


def require_name(path: Path, suffix: str) -> None:
    """Refuse names that would mislead.

    Args:
        path: Where a model file shall go.
        suffix: What names of its kind end in.

    Raises:
        UsageError: It is a folder, or the name of a checkpoint or of another kind of file.
    """
    if path.is_dir() and not (path.suffix == suffix and main_file(path) != path):
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
    others |= {Path(f"model{end}").suffix for kind in TARGETS.values() for end in kind.companions}
    if path.suffix.lower() in others:
        raise UsageError(
            f"{path} is the name of another kind of model file",
            expected=f"a name that ends in {suffix}",
            remedy=f"--out {path.with_suffix(suffix)}",
        )


def seal(path: Path, manifest: Manifest) -> None:
    """Put a manifest into a file, in place of one that is there."""
    file = main_file(path)
    file.write_bytes(write_manifest(file.read_bytes(), manifest, path))


def stated_accuracy(checkpoint: Evaluation, file: Evaluation | None) -> Accuracy:
    """Say what checkpoint and file reached.

    Args:
        checkpoint: Measured on the checkpoint.
        file: Measured on the file; None where it is not run here.
    """
    return Accuracy(
        checkpoint=checkpoint.scores.stated,
        file={} if file is None else file.scores.stated,
        dataset=MeasuredOn(
            name=dataset_name(checkpoint.dataset),
            fingerprint=checkpoint.dataset.fingerprint(),
            num_images=checkpoint.num_images,
        ),
    )


def say_skipped(evaluation: Evaluation, observer: Observer) -> None:
    """Tell which images are left out of the figures, where there are any."""
    if evaluation.skipped:
        first = evaluation.skipped[0]
        observer.say(
            f"{len(evaluation.skipped)} of {len(evaluation.dataset)} images cannot be read and are "
            f"left out of the figures; the first: {first.path}: {first.reason}"
        )


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
        "val_fraction": settings.get("val_fraction"),
        "quantisation": provenance.get("quantisation"),
    }


def golden_samples(predictor: Predictor, images: list[Pixels]) -> tuple[GoldenSample, ...]:
    """Write down a few inputs with the answers of a model.

    Args:
        predictor: The model.
        images: Inputs, (height, width, 3), RGB, uint8.

    Raises:
        ExportError: It answers with NaN or infinity.
    """
    outputs = predictor.forward(np.stack(images))
    if not all(np.isfinite(values).all() for values in outputs.values()):
        raise ExportError(
            "the checkpoint answers with NaN or infinity; nothing was written",
            expected="finite answers",
            remedy="a checkpoint from before its training diverged",
        )
    vision = task_vision(predictor.task.kind)
    answers = vision.decode(outputs, predictor.task)
    return tuple(
        GoldenSample.record(image, vision.record(answer))
        for image, answer in zip(images, answers, strict=True)
    )


def _golden_pixels(predictor: TorchPredictor, dataset: Dataset | None) -> list[Pixels]:
    preprocessing = predictor.task.preprocessing
    photos: list[Pixels] = []
    samples = dataset.samples if dataset else ()
    # Spread over the set, whose order is by class.
    for index in np.linspace(0, len(samples) - 1, min(GOLDEN_SAMPLES, len(samples))).astype(int):
        with contextlib.suppress(ImageError):  # the evaluation names what cannot be read
            photos.append(_coarse(load_prepared(samples[index].source, preprocessing)))
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
