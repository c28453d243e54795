"""A checkpoint becomes a model file, and no file leaves without its proof."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mobilens.atomic import written_together
from mobilens.data.dataset import Dataset
from mobilens.errors import BundleError, ExportError
from mobilens.evaluation import Evaluation, evaluate
from mobilens.exporting.draft import (
    draft_manifest,
    require_name,
    say_skipped,
    seal,
    stated_accuracy,
)
from mobilens.exporting.exported import Exported, differing
from mobilens.exporting.original import Original
from mobilens.exporting.targets import Target, build_of, target_named
from mobilens.graph.pixels import fold_normalisation
from mobilens.nn.checkpoint import Checkpoint
from mobilens.observer import SILENT, Observer
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import Precision
from mobilens.runtime.predictor import BundlePredictor
from mobilens.runtime.verify import verify_bundle


def export_checkpoint(
    checkpoint: Checkpoint,
    path: Path,
    dataset: Dataset | None,
    *,
    target: str = "onnx",
    observer: Observer = SILENT,
) -> Exported:
    """Write a model file in float32; arguments and errors as of ``export_float``.

    Args:
        checkpoint: What to export.
        path: Where the file goes.
        dataset: What to measure on; None writes a file whose accuracy is not stated.
        target: Kind of file.
        observer: Is told of progress.
    """
    return export_float(Original(checkpoint, dataset, observer), path, target=target)


def export_float(
    original: Original,
    path: Path,
    *,
    target: str = "onnx",
    precision: Precision = "float32",
    threads: int | None = None,
) -> Exported:
    """Write a model file, once its answers are the checkpoint's on every image.

    Files that are not run here are written without, and say so.

    Args:
        original: What to export, and what it is measured on.
        path: Where the file goes; it appears there whole and proven, or not at all.
        target: Kind of file, one of ``targets.TARGETS``.
        precision: ``"float32"``, unless its files are not run here, so that no loss is measured.
        threads: Threads for one answer, where nothing else is said when it is opened.

    Raises:
        MissingExtraError: What the target needs is not installed.
        ExportError: An answer differs from the checkpoint's, or the new file does not verify;
            nothing is written.
        WeightsError: The checkpoint's tensors are not those of its model.
        UsageError: ``path`` is a folder, or bears a checkpoint's suffix.
    """
    kind = target_named(target, precision)
    require_name(path, FORMATS[target].suffix)
    checkpoint, dataset = original.checkpoint, original.dataset
    graph = original.finished(fold_normalisation(original.graph), kind)
    manifest = replace(
        draft_manifest(checkpoint, original.predictor, graph, dataset, kind),
        precision=precision,
        threads=threads,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # The engine reads real files, so the proof is of the very bytes that are then renamed.
    with written_together(path, kind.companions) as temporary:
        build_of(kind)(graph, manifest, temporary)
        seal(temporary, manifest)
        if dataset is not None:
            before, after = _measured(temporary, kind, original)
            manifest = replace(manifest, accuracy=stated_accuracy(before, after))
            seal(temporary, manifest)
        try:
            report = verify_bundle(temporary)
        except BundleError as error:
            raise ExportError(f"{error.given}; nothing was written") from None
    if dataset is None:
        return Exported(path, report.size_bytes, None, None, 0, manifest)
    agreeing = 0 if after is None else before.num_images
    return Exported(path, report.size_bytes, before, after, agreeing, manifest)


def _measured(file: Path, kind: Target, original: Original) -> tuple[Evaluation, Evaluation | None]:
    """Measure checkpoint and file, or the checkpoint alone where the file is not run here."""
    if not kind.unproven:
        return _prove(file, original)
    say_skipped(original.evaluation, original.observer)
    return original.evaluation, None


def _prove(file: Path, original: Original) -> tuple[Evaluation, Evaluation]:
    """Measure checkpoint and file on the same images and compare every answer."""
    assert original.dataset is not None
    label, observer = "proving the model file", original.observer
    before = original.evaluation
    after = evaluate(BundlePredictor(file), original.dataset, observer=observer, label=label)
    changed = differing(original.checkpoint.task, before, after)
    if changed:
        raise ExportError(
            f"the file answers {len(changed)} of {before.num_images} images differently from "
            f"the checkpoint, the first is {changed[0]}; nothing was written",
            expected="the same answer on every image",
            remedy="report this with the checkpoint: a float export should never differ",
        )
    say_skipped(before, observer)
    return before, after
