"""Which photos a command reads: to measure on, to learn from, and those that ranges come from."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.data.dataset import Dataset, DataSplits, load_split, load_splits
from mobilens.data.files import find_images
from mobilens.data.labels import label_kind
from mobilens.data.listing import Source
from mobilens.errors import DataError, SpecError, UsageError
from mobilens.observer import Observer
from mobilens.spec.task import TaskSpec
from mobilens.vision.image import Region
from mobilens.vision.predictor import Learnt, Predictor
from mobilens.vision.tasks import task_vision

if TYPE_CHECKING:
    from mobilens.nn.checkpoint import Checkpoint


def proof_data(
    checkpoint: Checkpoint, path: str | Path, data: Source | None, observer: Observer
) -> Dataset:
    """What a checkpoint's file is measured on: data that is given, or its own.

    Raises:
        DataError: The data cannot be used, or is not where it was.
        UsageError: None is given, and the checkpoint does not say what it was trained with.
    """
    if data is not None:
        return _part_of(data, "val", checkpoint.task, Learnt.of(checkpoint.provenance), observer)
    remedy = "name validation data (--data), or let no accuracy be stated (--no-data)"
    source = _own_source(checkpoint, Path(path))
    if not source:
        raise UsageError(f"{path} does not say what it was trained with", remedy=remedy)
    try:
        return _divided(source, checkpoint).val
    except DataError as error:
        raise DataError(error.given, expected=error.expected, remedy=remedy) from None


def calibration_files(
    checkpoint: Checkpoint, path: Path, given: Source | None
) -> list[tuple[Path | Region, str]]:
    """Photos to calibrate on, each with its class, or its folder's name where none is known.

    Raises:
        DataError: There is none, or what it was trained with is not where it was.
        UsageError: None is given, and the checkpoint does not say what it was trained with.
    """
    if given is not None:
        return [(file, file.parent.name) for file in _images_of(names_of(given))]
    return training_files(checkpoint, path)


def training_files(checkpoint: Checkpoint, path: Path) -> list[tuple[Path | Region, str]]:
    """What a checkpoint was trained with, each photo with its class.

    Raises:
        DataError: It is not where it was.
        UsageError: The checkpoint does not say what it was.
    """
    remedy = "name training photos, or others like those to be answered (--calibrate)"
    source = _own_source(checkpoint, path)
    if not source:
        raise UsageError(f"{path} does not say what it was trained with", remedy=remedy)
    try:
        return labelled(_divided(source, checkpoint).train)
    except DataError as error:
        raise DataError(error.given, expected=error.expected, remedy=remedy) from None


def labelled(dataset: Dataset) -> list[tuple[Path | Region, str]]:
    """What its photos are read as, each with its class."""
    kind, counts = label_kind(dataset.labels), list(dataset.class_counts().values())
    names = (*dataset.class_names, "")
    # Of several classes, the rarest.
    return [
        (sample.source, names[min(kind.classes(sample.target), key=counts.__getitem__, default=-1)])
        for sample in dataset.samples
    ]


def _images_of(names: tuple[str, ...]) -> list[Path]:
    """Images by name, and those in folders."""
    files: list[Path] = []
    for path in map(Path, names):
        try:
            files += find_images(path).images if path.is_dir() else [path]
        except OSError as error:
            raise DataError(f"{path} cannot be listed: {error.strerror}") from None
    if not files:
        raise DataError(f"no image in {', '.join(names)}", expected="photos to calibrate on")
    return files


def _own_source(checkpoint: Checkpoint, path: Path) -> tuple[str, ...]:
    """What a checkpoint was trained with, from any folder if its run's settings lie beside it."""
    from mobilens.training.folder import settings_of_run

    source = tuple((checkpoint.provenance.get("settings") or {}).get("source") or ())
    # A checkpoint may lie anywhere, beside another program's recipe.json too.
    with contextlib.suppress(DataError, SpecError):
        settings = settings_of_run(path.parent)
        if settings.source == source:
            return settings.located().source
    return source


def measured_part(data: Source, split: str, predictor: Predictor, observer: Observer) -> Dataset:
    """The part that a model is measured on, which leaves out what it has learnt."""
    learnt, hint = predictor.learnt, " (all: --split all)"
    return _part_of(data, split, predictor.task, learnt, observer, hint=hint)


def _part_of(
    data: Source,
    split: str,
    task: TaskSpec,
    learnt: Learnt,
    observer: Observer,
    *,
    hint: str = "",
) -> Dataset:
    labels = task_vision(task.kind).LABELS
    dataset = load_split(data, split, task.class_names, labels=labels)
    if dataset.split == "all" and split == "val":
        return _not_learnt(data, dataset, learnt, observer, hint)
    return dataset


def _not_learnt(
    data: Source, whole: Dataset, learnt: Learnt, observer: Observer, hint: str
) -> Dataset:
    """Of undivided data that a model was trained with, what was held out; else all of it."""
    with contextlib.suppress(DataError):
        splits = load_splits(data, labels=whole.labels, val_fraction=learnt.val_fraction)
        if splits.fingerprint() == learnt.fingerprint:
            observer.say(
                f"the model was trained with these images: the {len(splits.val):,} of "
                f"{len(whole):,} that it did not learn from are measured{hint}"
            )
            return splits.val
    observer.say(
        f"no validation part: all {len(whole):,} images are measured; "
        "any that the model was trained on flatter the result"
    )
    return whole


def named_alike(checkpoint: Checkpoint, data: Source) -> DataSplits:
    """Data divided as training divides it, if it has the classes of a checkpoint."""
    labels = task_vision(checkpoint.task.kind).LABELS
    load_split(data, "all", checkpoint.task.class_names, labels=labels)
    return _divided(data, checkpoint)


def _divided(data: Source, checkpoint: Checkpoint) -> DataSplits:
    """Data as the training of a checkpoint divides it."""
    labels = task_vision(checkpoint.task.kind).LABELS
    return load_splits(
        data, labels=labels, val_fraction=Learnt.of(checkpoint.provenance).val_fraction
    )


def names_of(given: Source) -> tuple[str, ...]:
    """One name or several as several, each written in one way."""
    each = (given,) if isinstance(given, (str, Path)) else given
    return tuple(str(Path(one)) for one in each)  # "./model.onnx" is "model.onnx"
