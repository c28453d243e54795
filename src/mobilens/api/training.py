"""Training from Python."""

from __future__ import annotations

import os
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.data.listing import Source
from mobilens.errors import UsageError
from mobilens.extras import require_train_extra
from mobilens.observer import SILENT, Observer
from mobilens.sources import names_of
from mobilens.spec.model import WidthRule
from mobilens.vision.predictor import VAL_FRACTION

if TYPE_CHECKING:
    from mobilens.deliver import Delivered
    from mobilens.training.recipe import Recipe
    from mobilens.training.settings import TrainSettings


def train(
    data: Source,
    *,
    task: str = "classify",
    head: str = "",
    class_agnostic: bool = False,
    model: str = "mobilenet_v3_small",
    width: float = 1.0,
    width_rule: WidthRule = "paper",
    resolution: int | tuple[int, int] | None = None,
    output_stride: int | None = None,
    reduced_tail: bool = False,
    val_fraction: float = VAL_FRACTION,
    weights: str | Path | None = "auto",
    recipe: str | Path | Recipe | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    device: str = "auto",
    minutes: float | None = None,
    strict: bool = False,
    offline: bool = False,
    data_licence: str = "",
    out: str | Path | None = None,
    observer: Observer = SILENT,
) -> Delivered:
    """Train a model on labelled photos; what comes back is proven and measured.

    Args:
        data: Folder of class folders, or of ``train`` and ``validation``; a CSV file; patterns.
            For other tasks what holds their labels, such as COCO's JSON.
        task: ``"classify"``, ``"detect"``, ``"segment"``, ``"keypoints"`` or ``"embed"``.
        head: Kind of head, where a task has several; its first by default.
        class_agnostic: Of boxes, whether better ones suppress those of every class, and not only
            of their own.
        model: One of ``list_models()``.
        width: Width multiplier.
        width_rule: ``"paper"`` or ``"torchvision"``; they differ for V3 only.
        resolution: Input side, or (height, width), pixels; the task's or the paper's by default.
        output_stride: Of the backbone, 8, 16 or 32; the task's by default.
        reduced_tail: Of V3, half as many channels after the last stride.
        val_fraction: Share that is held out to measure on, where the data is not divided.
        weights: ``"auto"``, ``"none"`` (or None), a name or a file.
        recipe: Name, ``recipe.json`` of another run (its recipe alone counts, not its other
            settings), or a ``Recipe``; by default ``"transfer"``
            with weights, ``"transfer_v3_small"`` for that net, and ``"scratch"`` without.
        epochs: In place of the recipe's; likewise the next two.
        batch_size: Images a step.
        lr: Highest learning rate.
        seed: Of everything random.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
        minutes: Cuts the epochs to fit into this time.
        strict: Whether a file that does not decode is an error, instead of being skipped.
        offline: Use no network for weights.
        data_licence: Terms of the photos, in words, for the model file.
        out: Folder for the results; a new one in ``runs`` by default.
        observer: Is told of progress, such as ``mobilens.TerminalObserver()``.

    Returns:
        Where checkpoint, model file and report lie, and what the file reached.

    Raises:
        MissingExtraError: The [train] extra is not installed.
        UsageError: A value is out of range, or ``out`` holds another run.
        DataError: The data cannot be used.
        WeightsError: The weights cannot be had or do not fit.
        ExportError: The file does not answer as the checkpoint does.
    """
    _require_training()
    from mobilens.training.folder import run_folder
    from mobilens.training.settings import TrainSettings, find_recipe

    source = names_of(data) if data is not None else ()
    if not source:
        raise UsageError("no data was given", expected="a folder, a CSV file or patterns")
    settings = TrainSettings(
        source=source,
        task=task,
        head=head,
        class_agnostic=class_agnostic,
        recipe=find_recipe(recipe) if isinstance(recipe, (str, Path)) else recipe,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        model=model,
        width=width,
        width_rule=width_rule,
        resolution=resolution,
        output_stride=output_stride,
        reduced_tail=reduced_tail,
        val_fraction=val_fraction,
        weights=str(weights or "none"),
        seed=seed,
        device=device,
        minutes=minutes,
        strict=strict,
        offline=offline,
        data_licence=data_licence,
        directory=str(Path.cwd()),
    )
    folder = run_folder(out, source[0], model)
    return _run(replace(settings, command=_command(settings, folder, recipe)), folder, observer)


def resume(folder: str | Path, *, observer: Observer = SILENT) -> Delivered:
    """Go on with a run that was stopped or killed; the result is that of one in a single go.

    Args:
        folder: Folder of the run.
        observer: Is told of progress.

    Raises:
        MissingExtraError: The [train] extra is not installed.
        DataError: The folder holds no run, or its data has changed.
    """
    _require_training()
    from mobilens.training.folder import settings_to_resume

    return _run(settings_to_resume(Path(folder)), Path(folder), observer)


def _require_training() -> None:
    """Refuse before anything heavy is imported."""
    require_train_extra("training")
    if "RANK" in os.environ:
        raise UsageError(
            "several processes train together",
            expected="one process from Python",
            remedy="torchrun --nproc-per-node 2 -m mobilens train DATA --out DIR",
        )


def _run(settings: TrainSettings, folder: Path, observer: Observer) -> Delivered:
    from mobilens.deliver import train_and_deliver

    delivered = train_and_deliver(settings, folder, observer)
    assert delivered is not None  # one process trains from Python
    return delivered


def _command(settings: TrainSettings, folder: Path, recipe: str | Path | Recipe | None) -> str:
    """The command line that does the same, for the record."""
    words = ["mobilens", "train", *settings.source]
    plain = type(settings)(settings.source)
    # With the file of another run, its settings would stand where none are named.
    repeats = isinstance(recipe, (str, Path)) and str(recipe).endswith(".json")
    for field in fields(settings):
        value = getattr(settings, field.name)
        option = "--" + field.name.replace("_", "-")
        default = not repeats and value == getattr(plain, field.name)
        unsaid = value is None or value is False or value == "" or default
        if field.name in ("source", "recipe", "command", "directory") or unsaid:
            continue
        words += [option] if value is True else [option, str(value)]
    if recipe is not None:
        # Every recipe is in the folder at the end of the run, one without a name too.
        named = isinstance(recipe, (str, Path))
        words += ["--recipe", str(recipe if named else folder / "recipe.json")]
    return shlex.join([*words, "--out", str(folder)])
