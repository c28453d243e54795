"""Models and data put to use, from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.data.dataset import DataSplits, load_split, load_splits
from mobilens.data.lint import Finding, LintReport, check_splits
from mobilens.data.listing import Source
from mobilens.evaluation import Evaluation, label_suspects
from mobilens.evaluation import evaluate as evaluate_predictor
from mobilens.model import Model, open_predictor
from mobilens.observer import SILENT, Observer
from mobilens.runtime.verify import VerificationReport, verify_bundle
from mobilens.sources import measured_part
from mobilens.vision.predictor import VAL_FRACTION
from mobilens.vision.tasks import task_vision

if TYPE_CHECKING:
    pass


def load(
    path: str | Path,
    *,
    threads: int | None = None,
    preprocess: str | Path | None = None,
    labels: str | Path | None = None,
) -> Model:
    """Open a model file, or a checkpoint where torch is installed.

    Args:
        path: ``model.onnx`` or ``best.safetensors`` of a run.
        threads: Threads for one answer and for decoding; every core by default.
        preprocess: For a file of another tool, how its pixels are prepared: a JSON file, or text
            such as ``"size=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225"``.
        labels: Likewise, a text file with the names of its classes; numbers by default.

    Raises:
        BundleError: It is no model file, or cannot be trusted.
        WeightsError: It is called a checkpoint and is none.
        MissingExtraError: A checkpoint, and torch is not installed.
        UsageError: ``threads`` is below 1.
    """
    return Model(path, threads=threads, preprocess=preprocess, labels=labels)


def evaluate(
    model: str | Path,
    data: Source,
    *,
    split: str = "val",
    batch_size: int = 32,
    threads: int | None = None,
    preprocess: str | Path | None = None,
    labels: str | Path | None = None,
    observer: Observer = SILENT,
) -> Evaluation:
    """Measure a model file or a checkpoint on labelled photos.

    Args:
        model: Model file or checkpoint.
        data: As for ``train``.
        split: ``"val"``, ``"train"``, ``"test"`` or ``"all"``. For ``"val"``, photos that are not
            divided are all measured, but of the very ones that the model was trained with only
            those that were held out.
        batch_size: Photos answered at once, 1 or more.
        threads: Threads for one answer and for decoding; every core by default.
        preprocess: For a file of another tool, as for ``load``; likewise the next.
        labels: Names of its classes.
        observer: Is told of progress.

    Raises:
        BundleError: The model cannot be trusted.
        DataError: The data cannot be used, or has classes that the model does not know.
    """
    predictor = open_predictor(model, threads, preprocess=preprocess, labels=labels)
    return evaluate_predictor(
        predictor,
        measured_part(data, split, predictor, observer),
        batch_size=batch_size,
        threads=threads,
        observer=observer,
    )


def verify(path: str | Path) -> VerificationReport:
    """Prove a model file again: its manifest, every byte of it, and its golden answers.

    Args:
        path: Model file.

    Raises:
        BundleError: It is no model file of mobilens.
        VerificationError: It does not hold what it promises; the message names what broke.
    """
    return verify_bundle(path)


def check(
    data: Source,
    *,
    task: str = "classify",
    val_fraction: float = VAL_FRACTION,
    model: str | Path | None = None,
    observer: Observer = SILENT,
) -> LintReport:
    """Look for what would spoil a result: unreadable, duplicate, leaking, too few, mislabelled.

    Args:
        data: As for ``train``.
        task: What it shall be learnt for: says which labels to look for.
        val_fraction: Share that ``train`` shall hold out, where the data is not divided.
        model: Model file or checkpoint whose doubts about labels are listed too.
        observer: Is told of progress.

    Raises:
        DataError: The data cannot be used, or has classes that the model does not know.
    """
    splits = load_splits(data, labels=task_vision(task).LABELS, val_fraction=val_fraction)
    # First, so that a model of other classes is refused at once.
    suspects = _mislabelled(model, data, splits, observer) if model else []
    return check_splits(splits, observer=observer).with_findings(suspects)


def _mislabelled(
    model: str | Path, data: Source, splits: DataSplits, observer: Observer
) -> list[Finding]:
    """Ask a model about every image that can be read."""
    predictor = open_predictor(model)
    dataset = load_split(data, "all", predictor.task.class_names)
    evaluation = evaluate_predictor(
        predictor,
        dataset,
        observer=observer,
        label="predict",
    )
    parts = [part for part in (splits.train, splits.val, splits.test) if part is not None]
    return [one for part in parts for one in label_suspects(evaluation, dataset.root, part)]
