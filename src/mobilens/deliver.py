"""A finished training run becomes a proven model file and one page that shows it all."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass, replace
from pathlib import Path

from mobilens.data.files import common_folder
from mobilens.data.lint import Finding, check_splits
from mobilens.evaluation import Evaluation, label_suspects
from mobilens.exporting.bundle import export_checkpoint
from mobilens.exporting.exported import Exported
from mobilens.nn.checkpoint import Checkpoint
from mobilens.observer import Observer
from mobilens.report import Epoch, LatencyRow, ModelFile, RunReport, write_report
from mobilens.runtime.benchmark import benchmark
from mobilens.runtime.measurement import BenchmarkReport
from mobilens.training.folder import locked
from mobilens.training.run import TrainResult, run_training
from mobilens.training.settings import TrainSettings
from mobilens.vision.classification_scores import ClassificationScores
from mobilens.vision.tasks import task_vision

MODEL_FILE = "model.onnx"
REPORT_FILE = "report.html"
LIBRARIES = ("mobilens", "torch", "onnx", "onnxruntime", "numpy", "pillow")


@dataclass(frozen=True)
class Delivered:
    """What a person gets from a run.

    Attributes:
        folder: Where everything lies.
        checkpoint: The best weights, to go on from.
        file: The model file, proven.
        report: The page.
        evaluation: What the file reached on the validation data.
        findings: What the check of the data found.
    """

    folder: Path
    checkpoint: Path
    file: Path
    report: Path
    evaluation: Evaluation
    findings: tuple[Finding, ...]


def train_and_deliver(
    settings: TrainSettings, folder: Path, observer: Observer
) -> Delivered | None:
    """Run from the first file to the last, alone in its folder.

    Args:
        settings: What to train, on what.
        folder: Where everything is written; a run in it that is not finished is continued.
        observer: Is told of progress.

    Returns:
        What was delivered; None in a process that only helps another.

    Raises:
        UsageError: Another process trains in the folder; and as ``run_training`` and ``deliver``.
    """
    with locked(folder):
        result = run_training(settings, folder, observer)
        return deliver(result, observer) if result.leads else None


def deliver(result: TrainResult, observer: Observer) -> Delivered:
    """Export, prove, time and report a run.

    Args:
        result: The run; the leading process alone delivers it.
        observer: Is told of progress.

    Raises:
        ExportError: The file does not answer as the checkpoint does.
    """
    checkpoint = Checkpoint.load(result.checkpoint)
    exported = export_checkpoint(
        checkpoint, result.folder / MODEL_FILE, result.splits.val, observer=observer
    )
    assert exported.file is not None
    timings = _time(exported.path, observer)
    page = result.folder / REPORT_FILE
    blend = checkpoint.provenance["scores"].get("blend")
    findings = _findings(result, exported.file, observer)
    write_report(page, _report(result, blend, exported, exported.file, timings, findings))
    return Delivered(result.folder, result.checkpoint, exported.path, page, exported.file, findings)


def _time(file: Path, observer: Observer) -> BenchmarkReport:
    """Time the file for one image and for many, on one thread and two."""
    return benchmark(
        [file],
        threads=(1, 2),
        batches=(1, 16),
        rounds=2,
        seconds=0.3,
        observer=observer,
        label="timing the model file",
    )


def _report(
    result: TrainResult,
    blend: float | None,
    exported: Exported,
    evaluation: Evaluation,
    timings: BenchmarkReport,
    findings: tuple[Finding, ...],
) -> RunReport:
    score = f"val_{task_vision(result.task.kind).MAIN_SCORE}"
    epochs = tuple(
        Epoch(
            epoch=int(row["epoch"]),
            train_loss=row["train_loss"],
            val_loss=row["val_loss"],
            val_score=row.get(score),
        )
        for row in result.history
    )
    latency = tuple(
        LatencyRow(
            engine=f"{row.engine} {row.engine_version}",
            threads=row.threads,
            batch=row.batch,
            p50_ms=row.p50_ms,
            p95_ms=row.p95_ms,
            images_per_second=row.images_per_second,
        )
        for row in timings.measurements
    )
    assert result.settings.recipe is not None
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return RunReport(
        model=result.model,
        task=result.task,
        train=result.splits.train,
        evaluation=evaluation,
        command=result.settings.command,
        recipe=_public(result.settings).to_json(),
        weights=Path(result.weights).name if result.weights else "from scratch",
        epochs=epochs,
        file=ModelFile(
            exported.path.name,
            exported.size_bytes,
            exported.agreeing,
            evaluation.num_images,
        ),
        findings=findings,
        data_notes=result.splits.notes,
        skipped=result.skipped,
        latency=latency,
        licences=_licences(result),
        seconds=result.seconds,
        blend=blend,
        cycles=result.settings.recipe.cycles,
        device=f"{timings.device.cpu}, {timings.device.cores} cores, {timings.device.system}",
        versions={"python": platform.python_version()} | versions,
    )


def _public(settings: TrainSettings) -> TrainSettings:
    """Settings for a page that is passed on: of this machine's folders, what the command names."""
    weights = settings.weights
    if weights not in settings.command:
        weights = Path(weights).name
    return replace(settings, directory="", weights=weights)


def _licences(result: TrainResult) -> tuple[tuple[str, str], ...]:
    stated = {
        "Weights that training began with": result.weights_licence,
        "Photos": result.settings.data_licence,
    }
    return tuple((what, licence) for what, licence in stated.items() if licence)


def _findings(
    result: TrainResult, evaluation: Evaluation, observer: Observer
) -> tuple[Finding, ...]:
    """What the check of the data says, and for classes the labels that the model doubts."""
    report = check_splits(result.splits, observer=observer)
    for finding in report.findings:
        if finding.severity == "problem":
            observer.say(f"problem in the data: {finding.message}")
    if not isinstance(evaluation.scores, ClassificationScores):
        return report.findings
    root = common_folder(part.root for part in (result.splits.train, result.splits.val))
    return report.with_findings(label_suspects(evaluation, root)).findings
