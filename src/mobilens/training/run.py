"""One training run, from files on disk to the best checkpoint."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mobilens.data.dataset import Dataset, DataSplits, SkippedFile, load_splits
from mobilens.data.files import common_folder
from mobilens.data.labels import label_kind
from mobilens.data.listing import some
from mobilens.data.names import relative_name
from mobilens.errors import DataError, UnknownNameError, UsageError, WeightsError
from mobilens.nn.checkpoint import Checkpoint
from mobilens.nn.init import init_weights
from mobilens.nn.weights import (
    PretrainedWeights,
    apply_backbone,
    apply_pretrained,
    auto_weights,
    balance_filters,
    load_pretrained,
    recover_batchnorm,
)
from mobilens.observer import Observer, SilentObserver
from mobilens.spec.heads import ClassifierHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.tasks import Targets, TorchTask, to_device, torch_task
from mobilens.tasks.normalise import Normalise
from mobilens.training.augment import epoch_draws
from mobilens.training.cache import PixelCache, read_all
from mobilens.training.distributed import World, joined_world, local_device
from mobilens.training.folder import clear_leftovers, forget_unbegun
from mobilens.training.frozen import freeze, train_mode
from mobilens.training.head_start import train_head
from mobilens.training.loop import BLENDS, EVAL_BATCH_SIZE, Fit, TrainData, batch_loss, fit, score
from mobilens.training.memory import keep_freed_memory
from mobilens.training.optim import WeightAverage, build_optimizer
from mobilens.training.recipe import Recipe
from mobilens.training.settings import SETTINGS_FILE, TrainSettings
from mobilens.training.state import STATE_FILE
from mobilens.vision.image import load_placed, load_short_side, prepare
from mobilens.vision.tasks import task_vision
from mobilens.vision.view import View

BEST_FILE = "best.safetensors"

# Images that BatchNorm statistics of folded weights are measured on.
RECOVERY_IMAGES = 512
# Steps that are timed to see what fits into a time.
TRIAL_STEPS = 5
# Around letterboxed images: about the mean of photos.
GREY = (114, 114, 114)
# Largest class over smallest from which on "auto" weights the loss: weights favour the mean over
# classes, not the share of right answers where photos to come are as uneven as these.
IMBALANCE = 10.0


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves.

    Attributes:
        folder: Where its files are.
        settings: What was asked for, with every number of the recipe settled.
        model: The net's description.
        task: Classes and preprocessing.
        splits: The data, less what did not decode.
        skipped: What did not decode.
        history: One row an epoch.
        best_epoch: Epoch whose weights were kept, counted from 1.
        weights: Name of the weights that it began with, or None.
        weights_licence: Their licence, or None.
        seconds: From the first file read to the best checkpoint; None of a resumed run.
        world: This process among all; only the leading one's files count.
    """

    folder: Path
    settings: TrainSettings
    model: ModelSpec
    task: TaskSpec
    splits: DataSplits
    skipped: tuple[SkippedFile, ...]
    history: list[dict[str, float]]
    best_epoch: int
    weights: str | None
    weights_licence: str | None
    seconds: float | None
    world: World

    @property
    def leads(self) -> bool:
        """Whether this process goes on to deliver the run."""
        return self.world.leads

    @property
    def checkpoint(self) -> Path:
        """The best weights."""
        return self.folder / BEST_FILE


def run_training(settings: TrainSettings, folder: Path, observer: Observer) -> TrainResult:
    """Train as the settings say; a run in the folder that is not finished is continued.

    Args:
        settings: What to train, on what.
        folder: Where files are written; it is made if need be.
        observer: Is told of progress.

    Raises:
        DataError: The data cannot be used, or has changed since the run began.
        WeightsError: The weights cannot be had or do not fit.
        UsageError: A step would have too few images.
        MobilensError: The loss is no number any more.
    """
    device = local_device(settings.device)
    if device.type == "cpu":
        keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    is_new = not (folder / SETTINGS_FILE).is_file()
    with joined_world(device) as world:
        if world.leads:
            clear_leftovers(folder)
        else:
            observer = SilentObserver()
        try:
            return _run(settings, folder, observer, device, world)
        except (DataError, UsageError, WeightsError):
            if world.leads and is_new:
                forget_unbegun(folder)
            raise


def _run(
    settings: TrainSettings, folder: Path, observer: Observer, device: torch.device, world: World
) -> TrainResult:
    started = time.monotonic()
    here = settings.located()
    source = here.source
    vision = task_vision(settings.task)
    splits = load_splits(source, labels=vision.LABELS, val_fraction=settings.val_fraction)
    for note in splits.notes:
        observer.say(note)
    if world.leads:
        # Before the first epoch too: from here on a killed run can be resumed.
        settings.save(folder / SETTINGS_FILE)
    begun = _begun(folder)
    start = begun or _new_start(here, len(splits.train.class_names), observer)
    recipe = settings.resolved_recipe(has_weights=start.name is not None)
    start, task_spec = _described(start, recipe, settings, splits.train)
    task = torch_task(settings.task)
    data, splits, skipped = _read(splits, task_spec, settings, observer)
    recipe = _fit_to_size(recipe, len(data.train), observer)
    torch.manual_seed(settings.seed)
    run = Fit(
        net=_build_net(task, start, recipe, math.ceil(len(data.train) / recipe.batch_size)).to(
            device
        ),
        task=task,
        spec=task_spec,
        recipe=recipe,
        data=data,
        size=start.model.resolution,
        normalise=Normalise(task_spec.preprocessing).to(device),
        device=device,
        world=world,
        seed=settings.seed,
        class_weights=_class_weights(splits.train, recipe, device, observer),
    )
    if start.weights is not None:
        _prepare_net(run, start.weights, task_spec.preprocessing, observer)
    freeze(run.net, recipe)
    if settings.minutes is not None:
        recipe = _fit_into(run, settings.minutes * 60 - (time.monotonic() - started), observer)
        run = replace(run, recipe=recipe)
    settings = settings.settled(recipe, start.name or "none")
    if world.leads:
        settings.save(folder / SETTINGS_FILE)
    provenance = _provenance(settings, start, data)

    def save_best(tensors: dict[str, Tensor], row: dict[str, float]) -> None:
        checkpoint = Checkpoint(start.model, task_spec, tensors, provenance | {"scores": row})
        checkpoint.save(folder / BEST_FILE)

    progress = fit(run, folder, observer, save_best)
    return TrainResult(
        folder=folder,
        settings=settings,
        model=start.model,
        task=task_spec,
        splits=splits,
        skipped=skipped,
        history=progress.history,
        best_epoch=progress.best_epoch,
        weights=start.name,
        weights_licence=start.licence,
        seconds=None if begun else time.monotonic() - started,
        world=world,
    )


@dataclass(frozen=True)
class _Start:
    """What a run begins with: a model, what its pixels are like, and perhaps weights.

    Of a run that is continued, ``weights`` is None, since its state holds them; name and
    licence are those that it began with.
    """

    model: ModelSpec
    preprocessing: Preprocessing
    weights: PretrainedWeights | None = None
    name: str | None = None
    licence: str | None = None


def _described(
    start: _Start, recipe: Recipe, settings: TrainSettings, train: Dataset
) -> tuple[_Start, TaskSpec]:
    """What task and recipe change in the model and in how its pixels are prepared."""
    vision = task_vision(settings.task)
    model = start.model
    kind = settings.head or vision.HEADS[0]
    if kind not in vision.HEADS:
        raise UnknownNameError.among(f"head of {settings.task}", kind, vision.HEADS)
    if stride := settings.output_stride or vision.OUTPUT_STRIDE:
        model = model.with_output_stride(stride)
    if model.head.kind != kind:
        model = model.with_head(kind, len(train.class_names))
    if recipe.dropout is not None and isinstance(model.head, ClassifierHead):
        model = replace(model, head=replace(model.head, dropout=recipe.dropout))
    preprocessing = replace(
        start.preprocessing, crop_fraction=recipe.crop_fraction, resize=vision.RESIZE
    )
    if vision.RESIZE == "letterbox":
        preprocessing = replace(preprocessing, fill=GREY)
    # What is learnt of is nothing that answers speak of, where they are to be of others.
    names = () if label_kind(train.labels).OPEN else train.class_names
    spec = TaskSpec(settings.task, names, preprocessing, train.links, settings.class_agnostic)
    return replace(start, model=model), spec


def _provenance(settings: TrainSettings, start: _Start, data: TrainData) -> dict[str, Any]:
    return {
        "weights": start.name,
        "weights_licence": start.licence,
        # Less its line and folder: the same run by another line, elsewhere, is the same bytes.
        "settings": replace(settings, command="", directory="").to_json(),
        "data_fingerprint": data.fingerprint,
        "torch": torch.__version__,
    }


def _begun(folder: Path) -> _Start | None:
    """What the run in a folder began with, if it has finished an epoch; no other file is read."""
    if not (folder / STATE_FILE).is_file() or not (folder / BEST_FILE).is_file():
        return None
    best = Checkpoint.load(folder / BEST_FILE)
    known = best.provenance
    return _Start(
        best.model,
        best.task.preprocessing,
        name=known.get("weights"),
        licence=known.get("weights_licence"),
    )


def _new_start(settings: TrainSettings, num_classes: int, observer: Observer) -> _Start:
    model = settings.model_spec(num_classes)
    weights = _find_weights(settings, model, observer)
    if weights is None:
        return _Start(model, Preprocessing(size=model.resolution))
    known = f", top-1 {weights.top1} on ImageNet-1k" if weights.top1 else ""
    observer.say(f"weights: {weights.name} (licence {weights.licence}{known})")
    if weights.caveat:
        observer.say(f"weights: {weights.caveat}")
    return _Start(
        weights.model, weights.preprocessing, weights, name=weights.name, licence=weights.licence
    )


def _find_weights(
    settings: TrainSettings, model: ModelSpec, observer: Observer
) -> PretrainedWeights | None:
    if settings.weights == "none":
        observer.say("weights: none, training from scratch")
        return None
    offline = settings.offline
    if settings.weights != "auto":
        return load_pretrained(settings.weights, model, offline=offline, observer=observer)
    found = auto_weights(model, offline=offline, observer=observer)
    if found is None:
        observer.say("weights: none available, training from scratch")
    return found


def _read(
    splits: DataSplits,
    task_spec: TaskSpec,
    settings: TrainSettings,
    observer: Observer,
) -> tuple[TrainData, DataSplits, tuple[SkippedFile, ...]]:
    """Decode every image once; say what does not decode."""
    preprocessing = task_spec.preprocessing
    # An eighth more than the net reads, so that random crops are not all enlarged.
    short_side = math.ceil(max(preprocessing.size) * 8 / 7)
    train = read_all(
        splits.train,
        lambda image: load_short_side(image, short_side, fill=preprocessing.fill),
        observer=observer,
        label="reading training images",
    )
    val = read_all(
        splits.val,
        lambda image: load_placed(image, preprocessing),
        observer=observer,
        label="reading validation images",
    )
    paths = [
        (cache.dataset.root / file.path, file.reason)
        for cache in (train, val)
        for file in cache.skipped
    ]
    root = common_folder((splits.train.root, splits.val.root)).absolute()
    skipped = tuple(
        SkippedFile(relative_name(path.absolute(), root), reason) for path, reason in paths
    )
    lines = [f"{path}: {reason}" for path, reason in paths]
    for line in lines[:10]:
        observer.say(f"skipped: {line}")
    if len(lines) > 10:
        observer.say(f"skipped: {len(lines) - 10} more, named in the report")
    if lines and settings.strict:
        raise DataError(
            f"{len(lines)} images do not decode, the first is {lines[0]}",
            remedy="mend or remove them, or train without --strict",
        )
    for cache in (train, val):
        _require_images(cache)
    unseen = [name for name, count in train.dataset.class_counts().items() if not count]
    if unseen and train.dataset.labels != "class":
        observer.say(f"nothing to learn from of {some(unseen)}")
    elif unseen:
        raise DataError(
            f"no training image of {some(unseen)} decodes",
            expected="at least one image of each class to learn from",
            remedy="mobilens check, which names each with its reason",
        )
    data = TrainData(
        train=train,
        train_targets=_targets(train, task_spec),
        val=val,
        val_targets=_targets(val, task_spec),
        fingerprint=splits.fingerprint(),
    )
    return data, replace(splits, train=train.dataset, val=val.dataset), skipped


def _require_images(cache: PixelCache) -> None:
    if not len(cache):
        raise DataError(
            f"none of the {len(cache.skipped)} {cache.dataset.split} images decodes",
            remedy="mobilens check, which names each with its reason",
        )


def _targets(cache: PixelCache, task_spec: TaskSpec) -> list[Any]:
    """The truth of each image in the pixels of the cache."""
    move = task_vision(task_spec.kind).move
    pairs = zip(cache.dataset.samples, cache.placements, strict=True)
    return [move(sample.target, View.of(placement)) for sample, placement in pairs]


def _fit_to_size(recipe: Recipe, images: int, observer: Observer) -> Recipe:
    fitted = recipe.for_images(images)
    if fitted.epochs > recipe.epochs:
        observer.say(
            f"{images} training images are few: {fitted.epochs} epochs instead of {recipe.epochs}"
        )
    if images < recipe.batch_size:
        observer.say(
            f"{images} training images are fewer than the batch of {recipe.batch_size} that the "
            "recipe was made for: an epoch is one step; a smaller --batch-size, and --lr in "
            "proportion, may do better"
        )
    return fitted


def _build_net(task: TorchTask, start: _Start, recipe: Recipe, steps: int) -> nn.Module:
    net = task.build_net(start.model)
    if start.weights is not None:
        whole = start.weights.classifies and isinstance(start.model.head, ClassifierHead)
        (apply_pretrained if whole else apply_backbone)(net, start.weights)
    elif recipe.init_std is not None:
        init_weights(net, recipe.init_std)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = recipe.batchnorm_momentum(steps)
    return net


def _prepare_net(
    run: Fit, weights: PretrainedWeights, preprocessing: Preprocessing, observer: Observer
) -> None:
    """Recover statistics of folded weights, and give the new head a start."""

    def batches(limit: int | None = None) -> Iterator[tuple[Tensor, Targets]]:
        """Training images as the model file will see them, with their targets."""
        cache = run.data.train
        # Spread over the whole set, whose order is by class.
        count = min(limit or len(cache), len(cache))
        chosen = np.linspace(0, len(cache) - 1, count).astype(np.int64)
        for indices in np.array_split(chosen, math.ceil(count / EVAL_BATCH_SIZE)):
            images = [cache[i].permute(1, 2, 0).numpy() for i in indices]
            pixels = np.stack([prepare(image, preprocessing) for image in images])
            batch = run.normalise(torch.from_numpy(pixels).to(run.device))
            targets = run.task.targets([run.data.train_targets[i] for i in indices], run.spec)
            yield batch, to_device(targets, run.device)

    if weights.folded:
        recover_batchnorm(run.net, (images for images, _ in batches(RECOVERY_IMAGES)))
    balance_filters(run.net)
    if run.recipe.head_penalty and run.task.final_layer(run.net) is not None:
        started = time.perf_counter()
        train_head(
            run.net,
            run.task,
            batches,
            run.recipe,
            class_weights=run.class_weights,
        )
        name = run.vision.MAIN_SCORE
        main = score(run, run.net)[name]
        seconds = time.perf_counter() - started
        observer.say(f"head alone  val {name} {main:.4f}  {seconds:.1f} s")


def _class_weights(
    train: Dataset, recipe: Recipe, device: torch.device, observer: Observer
) -> Tensor | None:
    """Weights of mean one over the images: the rarer a class, the more each of its images."""
    if train.labels != "class":
        return None
    counts = torch.tensor(list(train.class_counts().values()), dtype=torch.float32)
    uneven = bool(counts.max() >= IMBALANCE * counts.min())
    if recipe.balance == "none" or (recipe.balance == "auto" and not uneven):
        return None
    observer.say(
        f"classes have {counts.min():.0f} to {counts.max():.0f} training images: the rarer a "
        "class, the more each of its images weighs"
    )
    # The square root: full inverse frequency lets a handful of images rule the loss.
    weights = counts.clamp(min=1).rsqrt()
    return (weights * counts.sum() / (weights * counts).sum()).to(device)


def _fit_into(run: Fit, seconds: float, observer: Observer) -> Recipe:
    """Cut the recipe's epochs to what fits into a time, measured on a few steps."""
    net = copy.deepcopy(run.net)
    train_mode(net, run.recipe)
    optimizer = build_optimizer(net, run.recipe)
    average = WeightAverage(net, 0.5)
    draws = epoch_draws(len(run.data.train), run.seed, 0)
    batch = np.arange(min(run.recipe.batch_size, len(run.data.train)))
    times = []
    for _ in range(TRIAL_STEPS):
        started = time.perf_counter()
        loss = batch_loss(run, net, batch, draws)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(net, 1)
        loss.item()  # a GPU only queues the work: wait for it
        times.append(time.perf_counter() - started)
    started = time.perf_counter()
    score(run, net)
    measuring = time.perf_counter() - started
    # The first step is slower: kernels are chosen and memory is taken. The files that an epoch
    # leaves take a little time too.
    epoch = 1.05 * (float(np.median(times[1:])) * run.steps + measuring)
    if run.recipe.blend:
        seconds -= len(BLENDS) * measuring
    epochs = run.world.agree(max(1, min(run.recipe.epochs, int(seconds / epoch))))
    if epochs < run.recipe.epochs:
        observer.say(
            f"{epochs} of {run.recipe.epochs} epochs fit into the time ({epoch:.1f} s each)"
        )
    return run.recipe.with_epochs(epochs)
