"""What the page of a run shows, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mobilens.data.dataset import Dataset, SkippedFile
from mobilens.data.lint.finding import Finding
from mobilens.evaluation import Evaluation
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import TaskSpec


@dataclass(frozen=True)
class Epoch:
    """One epoch of training.

    Attributes:
        epoch: Counted from 1 over the whole run.
        train_loss: Mean over the epoch; None where it was not measured.
        val_loss: On the validation data, likewise.
        val_score: The task's main score on the validation data, 0 to 1, likewise.
    """

    epoch: int
    train_loss: float | None
    val_loss: float | None
    val_score: float | None


@dataclass(frozen=True)
class ModelFile:
    """The exported file.

    Attributes:
        name: File name.
        bytes: Its size.
        agreeing: On how many validation images its answer is the checkpoint's.
        compared: On how many they were compared.
    """

    name: str
    bytes: int
    agreeing: int
    compared: int


@dataclass(frozen=True)
class LatencyRow:
    """One way of running the file, timed.

    Attributes:
        engine: What ran it, with its version.
        threads: Threads used.
        batch: Images in a call.
        p50_ms: Median time of a call, milliseconds.
        p95_ms: 95th percentile, likewise.
        images_per_second: Throughput.
    """

    engine: str
    threads: int
    batch: int
    p50_ms: float
    p95_ms: float
    images_per_second: float


@dataclass(frozen=True, eq=False)
class RunReport:
    """A training run, from its data to its file.

    Attributes:
        model: The architecture.
        task: Classes and preprocessing.
        train: What it learned from.
        evaluation: What the finished model reached on the validation data.
        command: The exact command line.
        recipe: Everything that repeats the run, JSON values.
        weights: Where training began, in words; ``"from scratch"`` for none.
        epochs: The course of training.
        file: The exported file, if there is one.
        findings: What ``mobilens check`` has to say about the data.
        data_notes: How the data was read, one sentence each.
        skipped: Files of the training data that could not be read.
        latency: Timings of the file, the most telling first: its p50 is in the headline.
        device: The machine that they were taken on, in words.
        versions: Of Python, the program and its libraries, by name.
        licences: (what, licence) of data and weights, as far as known.
        seconds: How long the run took.
        blend: How far from the first weights to the last those lie that were kept, 0 to 1; None
            where they are those of one epoch.
        cycles: Times that training began again from the first weights; validation then measures
            the mean.
    """

    model: ModelSpec
    task: TaskSpec
    train: Dataset
    evaluation: Evaluation
    command: str
    recipe: Mapping[str, Any]
    weights: str
    epochs: tuple[Epoch, ...] = ()
    file: ModelFile | None = None
    findings: tuple[Finding, ...] = ()
    data_notes: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    latency: tuple[LatencyRow, ...] = ()
    device: str = ""
    versions: Mapping[str, str] | None = None
    licences: tuple[tuple[str, str], ...] = ()
    seconds: float | None = None
    blend: float | None = None
    cycles: int = 1
