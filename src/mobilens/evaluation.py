"""Any predictor on any data set: the one place where numbers come from."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobilens.data.dataset import Dataset, Sample, SkippedFile
from mobilens.data.labels import label_kind
from mobilens.data.lint import Finding, find_mislabelled
from mobilens.data.listing import split_named
from mobilens.data.names import clean_name, relative_name
from mobilens.errors import DataError, UsageError
from mobilens.observer import SILENT, Observer
from mobilens.spec.task import TaskSpec
from mobilens.vision.classification import ClassificationPrediction
from mobilens.vision.files import predict_files
from mobilens.vision.intervals import Estimate
from mobilens.vision.predictor import Predictor
from mobilens.vision.tasks import Mistake, Prediction, Scores, task_vision

LISTED_MISTAKES = 25


@dataclass(frozen=True)
class WrongAnswer:
    """A file that was answered wrong.

    Attributes:
        path: Its name within the data set.
        sample: The file itself and its truth.
        mistake: What was expected, what was answered, and how wrong that is.
        prediction: The answer itself.
    """

    path: str
    sample: Sample
    mistake: Mistake
    prediction: Prediction


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model reached on a data set, and every answer that it gave.

    Attributes:
        scores: The task's figures with their intervals.
        dataset: What was evaluated.
        samples: The files answered and their truths, in the data set's order.
        predictions: The answer to each; of the task's own type.
        wrong: Wrong answers, the worst first.
        skipped: Files that could not be read.
        seconds: How long it took, decoding included.
    """

    scores: Scores
    dataset: Dataset
    samples: tuple[Sample, ...]
    predictions: tuple[Prediction, ...]
    wrong: tuple[WrongAnswer, ...]
    skipped: tuple[SkippedFile, ...]
    seconds: float

    @property
    def num_images(self) -> int:
        """How many images were answered."""
        return len(self.predictions)

    def to_json(self) -> dict[str, Any]:
        """Give the scores and where they come from as JSON values, without each answer."""
        return {
            **self.scores.to_json(),
            "num_images": self.num_images,
            "dataset": {
                "name": dataset_name(self.dataset),
                "split": self.dataset.split,
                "fingerprint": self.dataset.fingerprint(),
                "num_images": len(self.dataset),
            },
            "seconds": round(self.seconds, 3),
            "skipped": [vars(file) for file in self.skipped],
            "num_wrong": len(self.wrong),
            "worst_mistakes": [
                {"path": one.path, **vars(one.mistake)} for one in self.wrong[:LISTED_MISTAKES]
            ],
        }


def dataset_name(dataset: Dataset) -> str:
    """Name a data set by its folder; a folder such as ``train`` or ``val`` by the one above."""
    root = dataset.root.resolve()
    return clean_name(root.parent.name if split_named(root.name) else root.name)


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    *,
    batch_size: int = 32,
    threads: int | None = None,
    observer: Observer = SILENT,
    label: str = "evaluate",
) -> Evaluation:
    """Measure a model on a data set.

    Args:
        predictor: A checkpoint or an exported file, opened.
        dataset: Files with their truths, in the class order of the predictor's task.
        batch_size: Images answered at once, 1 or more.
        threads: Threads that decode files; one for each core by default.
        observer: Is told of progress.
        label: What the progress is called.

    Raises:
        DataError: The classes are not the model's, or no file could be read.
    """
    task = predictor.task
    if not label_kind(dataset.labels).OPEN:
        _check_classes(dataset, task.class_names)
    vision = task_vision(task.kind)
    metric = vision.new_metric(task)
    samples, predictions, skipped = [], [], []
    started = time.perf_counter()
    results = predict_files(
        predictor,
        (sample.source for sample in dataset.samples),
        batch_size=batch_size,
        threads=threads,
    )
    watched = observer.progress(results, len(dataset), label)
    for sample, result in zip(dataset.samples, watched, strict=True):
        if result.prediction is None:
            skipped.append(SkippedFile(dataset.name_of(sample), result.error or "not answered"))
            continue
        metric.update([result.prediction], [sample.target])
        samples.append(sample)
        predictions.append(result.prediction)
    seconds = time.perf_counter() - started
    if not samples:
        raise _nothing_read(dataset, skipped)
    found = vision.mistakes(predictions, [sample.target for sample in samples])
    wrong = [
        WrongAnswer(dataset.name_of(sample), sample, mistake, prediction)
        for sample, mistake, prediction in zip(samples, found, predictions, strict=True)
        if mistake
    ]
    return Evaluation(
        scores=metric.result(),
        dataset=dataset,
        samples=tuple(samples),
        predictions=tuple(predictions),
        wrong=tuple(sorted(wrong, key=lambda one: -one.mistake.severity)),
        skipped=tuple(skipped),
        seconds=seconds,
    )


def drop(before: Evaluation, after: Evaluation, task: TaskSpec) -> Estimate:
    """Measure what a second model answers worse than a first, on the images that both answered.

    Args:
        before: Answers of the first.
        after: Answers of the second, on the same data set.
        task: Of both.

    Returns:
        How much smaller the main figure is, with its 95 % interval.
    """
    answers = [dict(zip(_keys(each), each.predictions, strict=True)) for each in (before, after)]
    truths = dict(zip(_keys(before), before.samples, strict=True))
    both = [key for key in truths if key in answers[1]]
    first, second = ([found[key] for key in both] for found in answers)
    targets = [truths[key].target for key in both]
    return task_vision(task.kind).lost(first, second, targets, task)


def _keys(evaluation: Evaluation) -> list[tuple[Path, int]]:
    """A key for each sample: an image may be there several times, for several things in it."""
    seen: Counter[Path] = Counter()
    keys = []
    for sample in evaluation.samples:
        keys.append((sample.path, seen[sample.path]))
        seen[sample.path] += 1
    return keys


def label_suspects(
    evaluation: Evaluation, root: Path | None = None, part: Dataset | None = None
) -> list[Finding]:
    """Give the labels that the answers contradict with more than the model's usual confidence.

    Args:
        evaluation: The answers.
        root: Folder that files are named from; the data set's own by default.
        part: What to look at, all by default. A model is surer of what it has learnt, so training
            and validation images are best looked at apart.

    Raises:
        UsageError: The model does not classify.
    """
    wanted = {sample.path for sample in (part or evaluation.dataset).samples}
    samples, probabilities = [], []
    for sample, prediction in zip(evaluation.samples, evaluation.predictions, strict=True):
        if not isinstance(prediction, ClassificationPrediction):
            raise UsageError("the model does not classify", expected="a model that classifies")
        if sample.path in wanted:
            samples.append(sample)
            probabilities.append(prediction.probabilities)
    if not samples:
        return []
    dataset = evaluation.dataset
    named_from = (root or dataset.root).absolute()
    return find_mislabelled(
        [relative_name(sample.path.absolute(), named_from) for sample in samples],
        dataset.class_names,
        np.stack(probabilities),
        np.array([sample.target for sample in samples]),
    )


def _check_classes(dataset: Dataset, class_names: tuple[str, ...]) -> None:
    if dataset.class_names == class_names:
        return
    unknown = sorted(set(dataset.class_names) - set(class_names))
    missing = sorted(set(class_names) - set(dataset.class_names))
    differences = [
        f"only in the {who}: {', '.join(names[:10])}"
        for who, names in (("data", unknown), ("model", missing))
        if names
    ]
    raise DataError(
        "the data set's classes are not the model's",
        expected=f"the {len(class_names)} classes of the model, in its order",
        remedy="; ".join(differences) or "load the data with the model's class_names",
    )


def _nothing_read(dataset: Dataset, skipped: list[SkippedFile]) -> DataError:
    return DataError(
        f"none of the {len(skipped)} files of {dataset.root} could be read",
        expected="one readable image or more",
        remedy=f"the first says: {skipped[0].reason}" if skipped else "",
    )
