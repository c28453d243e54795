"""A checkpoint becomes a model file, and no file leaves without its proof."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mobilens.atomic import written_together
from mobilens.data.dataset import Dataset
from mobilens.errors import BundleError, ExportError
from mobilens.evaluation import Evaluation, evaluate
from mobilens.exporting.draft import (
    draft_manifest,
    require_colour,
    require_name,
    say_skipped,
    seal,
    stated_accuracy,
)
from mobilens.exporting.targets import Target, build_of, target_named
from mobilens.graph.pixels import fold_normalisation
from mobilens.graph.rewrite import simplify
from mobilens.graph.trace import trace
from mobilens.nn.checkpoint import Checkpoint
from mobilens.observer import SILENT, Observer
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import Manifest
from mobilens.runtime.predictor import BundlePredictor
from mobilens.runtime.verify import verify_bundle
from mobilens.tasks import build_trained, torch_task
from mobilens.tasks.predictor import TorchPredictor
from mobilens.vision.tasks import task_vision


@dataclass(frozen=True)
class Exported:
    """A model file and its proof.

    Attributes:
        path: The file.
        size_bytes: Its size, with what belongs to it.
        checkpoint: What the checkpoint reached; None when nothing was measured.
        file: What the file reached on its own runtime, likewise; None too where it is not run here.
        agreeing: On how many images both gave the same answer.
        manifest: What the file says about itself.
    """

    path: Path
    size_bytes: int
    checkpoint: Evaluation | None
    file: Evaluation | None
    agreeing: int
    manifest: Manifest


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
    require_name(path, FORMATS[target].suffix)
    require_colour(checkpoint)
    graph = fold_normalisation(simplify(trace(checkpoint)))
    predictor = TorchPredictor(build_trained(checkpoint), checkpoint.task)
    manifest = draft_manifest(checkpoint, predictor, graph, dataset, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The engine reads real files, so the proof is of the very bytes that are then renamed.
    with written_together(path, kind.companions) as temporary:
        build_of(kind)(graph, manifest, temporary)
        seal(temporary, manifest)
        if dataset is not None:
            before, after = _measured(temporary, kind, predictor, dataset, observer)
            main = torch_task(checkpoint.task.kind).main_score
            manifest = replace(manifest, accuracy=stated_accuracy(main, before, after))
            seal(temporary, manifest)
        try:
            report = verify_bundle(temporary)
        except BundleError as error:
            raise ExportError(f"{error.given}; nothing was written") from None
    if dataset is None:
        return Exported(path, report.size_bytes, None, None, 0, manifest)
    agreeing = 0 if after is None else before.num_images
    return Exported(path, report.size_bytes, before, after, agreeing, manifest)


def _measured(
    file: Path, kind: Target, predictor: TorchPredictor, dataset: Dataset, observer: Observer
) -> tuple[Evaluation, Evaluation | None]:
    """Measure checkpoint and file, or the checkpoint alone where the file is not run here."""
    if not kind.unproven:
        return _prove(file, predictor, dataset, observer)
    before = evaluate(predictor, dataset, observer=observer, label="measuring the checkpoint")
    say_skipped(before, observer)
    return before, None


def _prove(
    file: Path, predictor: TorchPredictor, dataset: Dataset, observer: Observer
) -> tuple[Evaluation, Evaluation]:
    """Measure checkpoint and file on the same images and compare every answer."""
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
    say_skipped(before, observer)
    return before, after
