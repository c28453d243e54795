"""The training loop: one reads it top to bottom."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilens.errors import DataError, MobilensError, UsageError
from mobilens.observer import Observer
from mobilens.spec.task import TaskSpec
from mobilens.tasks import Targets, TorchTask, to_device
from mobilens.tasks.normalise import Normalise
from mobilens.training.augment import Draws, augment_batch, epoch_draws, mix_batch
from mobilens.training.cache import PixelCache
from mobilens.training.distributed import World, distribute
from mobilens.training.frozen import train_mode
from mobilens.training.log import EpochLog
from mobilens.training.optim import WeightAverage, build_optimizer, lr_factor
from mobilens.training.recipe import Recipe
from mobilens.training.soup import Weights, WeightSoup
from mobilens.training.state import Progress, load_state, save_state
from mobilens.training.views import Views
from mobilens.vision.tasks import VisionTask, task_vision

EVAL_BATCH_SIZE = 64
# Shares of the way from the first weights to the last that are tried; at 0 only the head is new.
BLENDS = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class TrainData:
    """Images in memory, with what they should be answered with.

    Attributes:
        train: Whole images for random views.
        train_targets: The truth of each, in its pixels.
        val: Images prepared as the model file will see them.
        val_targets: The truth of each, in its pixels.
        fingerprint: Of both.
    """

    train: PixelCache
    train_targets: Sequence[Any]
    val: PixelCache
    val_targets: Sequence[Any]
    fingerprint: str


@dataclass(frozen=True)
class Fit:
    """What stays the same from the first epoch to the last.

    Attributes:
        net: The net, on its device; trained in place.
        task: Loss and answers.
        spec: What is learnt, and how pixels are prepared.
        recipe: Every number.
        data: What it learns from.
        size: (height, width) of training views.
        normalise: Pixels to what the net reads.
        device: Where it runs.
        world: This process among all.
        seed: Of everything random.
        class_weights: For the loss.
    """

    net: nn.Module
    task: TorchTask
    spec: TaskSpec
    recipe: Recipe
    data: TrainData
    size: tuple[int, int]
    normalise: Normalise
    device: torch.device
    world: World
    seed: int
    class_weights: Tensor | None

    @property
    def vision(self) -> VisionTask:
        """What is done with answers and truths."""
        return task_vision(self.spec.kind)

    @cached_property
    def views(self) -> Views:
        """Training images as the net sees them."""
        return Views(
            self.data.train,
            self.data.train_targets,
            self.vision,
            self.size,
            self.spec.preprocessing.fill,
            self.recipe.augmentation,
        )

    @property
    def steps(self) -> int:
        """Optimiser steps an epoch."""
        return math.ceil(len(self.data.train) / self.recipe.batch_size)


def fit(
    run: Fit,
    folder: Path,
    observer: Observer,
    save_best: Callable[[dict[str, Tensor], dict[str, float]], None],
) -> Progress:
    """Train until the recipe's last epoch, from the last one that the folder holds.

    After each epoch the moving average of the weights is measured, mixed with those of earlier
    cycles; when it is the best so far, ``save_best`` is given its tensors and figures. Then the
    whole state is written, so the run can be killed at any moment and goes on to the same weights.

    Args:
        run: What to train, and on what.
        folder: Where ``log.csv`` and ``last.safetensors`` are written.
        observer: Is told of progress.
        save_best: Writes the best weights.

    Raises:
        DataError: The data is not what the run began with.
        UsageError: A step would have too few images.
        MobilensError: The loss is no number any more.
    """
    _require_batches(run)
    averaged = copy.deepcopy(run.net)  # of the same kind, to measure the average with
    # First of all: it gives every process the leading one's weights, which all else is made from.
    wrapped = distribute(run.net, run.world, run.device)
    optimizer = build_optimizer(run.net, run.recipe)
    average = _average(run)
    soup = WeightSoup(run.net, keep_origin=run.recipe.blend or run.recipe.cycles > 1)
    progress = load_state(folder, run.net, average, soup, optimizer) or Progress(
        fingerprint=run.data.fingerprint
    )
    _require_same_data(run, progress, folder)
    if progress.epoch:
        observer.say(f"going on after epoch {progress.epoch} of {run.recipe.epochs}")
    log = EpochLog(folder, progress.history) if run.world.leads else None
    for epoch in range(progress.epoch, run.recipe.epochs):
        started = time.perf_counter()
        if epoch and epoch == run.recipe.cycle_at(epoch)[0]:
            # From the first weights again, as if nothing had been learnt; the end is kept.
            soup.add(average.tensors)
            run.net.load_state_dict(soup.origin)
            optimizer, average = build_optimizer(run.net, run.recipe), _average(run)
            observer.say(_cycle_line(soup.cycles + 1, run.recipe.cycles))
        loss = _train_epoch(run, wrapped, optimizer, average, progress, observer)
        averaged.load_state_dict(soup.including(average.tensors))
        scores = score(run, averaged)
        _require_finite(scores["loss"], f"validation loss after epoch {epoch + 1}", progress)
        row = _row(run.recipe, epoch + 1, loss, scores)
        best = progress.passed(row, _rank(run, scores))
        if best and run.world.leads:
            save_best(averaged.state_dict(), row)
        if log is not None:
            # Seconds differ from run to run, so they stay out of the state.
            log.write(row, round(time.perf_counter() - started, 2))
            save_state(folder, run.net, average, soup, optimizer, progress)
        observer.say(_line(row, run.recipe.epochs, time.perf_counter() - started))
    if log is not None:
        log.close()
    if run.recipe.blend:
        _blend(run, averaged, soup, average.tensors, progress, observer, save_best)
    run.world.wait()
    return progress


def _average(run: Fit) -> WeightAverage:
    recipe = run.recipe
    decay = math.exp(-1 / (run.steps * recipe.ema_epochs)) if recipe.ema_epochs else 0.0
    return WeightAverage(run.net, decay)


def _blend(
    run: Fit,
    net: nn.Module,
    soup: WeightSoup,
    end: Weights,
    progress: Progress,
    observer: Observer,
    save_best: Callable[[dict[str, Tensor], dict[str, float]], None],
) -> None:
    """Look for better weights between the first and the last, and keep them if there are.

    They are chosen as epochs are. Choosing by the loss alone gave the same score on photos that
    took no part in the choice, and a lower one on those that did (docs/log.md).
    """
    tried: list[tuple[list[float], float, dict[str, float]]] = []
    for share in observer.progress(BLENDS, len(BLENDS), "blending first and last weights"):
        net.load_state_dict(soup.between(end, share))
        scores = score(run, net)
        tried.append((_rank(run, scores), share, scores))
    rank, share, scores = max(tried, key=lambda one: one[:2])
    if rank <= progress.best_scores:
        return
    progress.best_scores, progress.best_epoch = rank, progress.epoch
    row = {f"val_{name}": round(value, 5) for name, value in scores.items()}
    where = f"{share:.1f} of the way from the first weights" if share else "the first weights alone"
    observer.say(f"blend       {where}  {_figures(row)}")
    if run.world.leads:
        save_best(soup.between(end, share), {"epoch": progress.epoch, "blend": share} | row)


def _train_epoch(
    run: Fit,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage,
    progress: Progress,
    observer: Observer,
) -> float:
    """Show every image once; give the mean loss."""
    epoch, recipe = progress.epoch, run.recipe
    # All randomness of an epoch hangs on its number, so that a restart repeats it.
    torch.manual_seed(run.seed * 1_000_003 + epoch * 1_009)
    draws = epoch_draws(len(run.data.train), run.seed, epoch)
    order = np.random.Generator(np.random.Philox(key=[run.seed, epoch + 2**32])).permutation(
        len(run.data.train)
    )
    # Batches of nearly one size: a last one of few images would spoil BatchNorm's statistics.
    batches = np.array_split(order, run.steps)
    train_mode(net, recipe)
    mosaic = epoch < recipe.epochs * (1 - recipe.augmentation.close_mosaic)
    done = (epoch - recipe.cycle_at(epoch)[0]) * run.steps
    total, seen = 0.0, 0
    shown = observer.progress(
        batches, run.steps, f"epoch {epoch + 1}/{recipe.epochs}", lambda: f"loss {total / seen:.3f}"
    )
    for step, batch in enumerate(shown):
        # In the middle of the step: neither the first step nor the last is at rate zero.
        factor = lr_factor(recipe, epoch + (step + 0.5) / run.steps)
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * factor
        loss = batch_loss(run, net, batch, draws, mosaic=mosaic)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.clip_norm:
            nn.utils.clip_grad_norm_(net.parameters(), recipe.clip_norm)
        optimizer.step()
        average.update(run.net, done + step + 1)
        total += loss.item() * len(batch)
        seen += len(batch)
        _require_finite(total, f"loss in epoch {epoch + 1}, step {step + 1}", progress)
    return run.world.mean(total / len(order))


def batch_loss(
    run: Fit, net: nn.Module, batch: NDArray[np.int64], draws: Draws, *, mosaic: bool = True
) -> Tensor:
    """Loss of this process's share of a batch.

    Args:
        run: The run.
        net: Its net, wrapped if there are several processes.
        batch: Indices of training images, over all processes.
        draws: Random numbers of the epoch.
        mosaic: Whether images may be put together.
    """
    mine = run.world.share(len(batch))
    targets: Targets
    images, targets = _load(run, batch[mine], draws, mosaic=mosaic)
    if run.recipe.augmentation.mixes:
        # Each with its mirror place in the whole batch, which another process may have.
        assert isinstance(targets, Tensor)
        others = images.flip(0), targets.flip(0)
        if run.world.size > 1:
            other_images, other_targets = _load(run, np.flip(batch)[mine].copy(), draws)
            assert isinstance(other_targets, Tensor)
            others = other_images, other_targets
        images, targets = mix_batch(
            (images, targets), others, draws[batch[0]], run.recipe.augmentation
        )
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.device.type == "cuda"):
        raw = net(images)
    losses = run.task.loss(
        raw,
        targets,
        label_smoothing=run.recipe.label_smoothing,
        class_weights=run.class_weights,
    )
    # Gradients are averaged over processes: scaled so, the result is the batch's mean.
    return losses.sum() * (run.world.size / len(batch))


def _load(
    run: Fit, chosen: NDArray[np.int64], draws: Draws, *, mosaic: bool = True
) -> tuple[Tensor, Targets]:
    """Draw views of the images of one step, augment and normalise them."""
    views = [run.views.view(int(i), draws[i], mosaic=mosaic) for i in chosen]
    pixels = augment_batch(
        torch.stack([pixels for pixels, _ in views]), draws[chosen], run.recipe.augmentation
    )
    pixels = pixels.to(run.device).permute(0, 2, 3, 1)
    images = run.normalise(pixels).contiguous(memory_format=torch.channels_last)
    targets = run.task.targets([target for _, target in views], run.spec)
    return images, to_device(targets, run.device)


@torch.inference_mode()
def score(run: Fit, net: nn.Module) -> dict[str, float]:
    """Measure a net on the validation images: the task's main score, and the plain loss."""
    net.eval()
    cache, metric, loss = run.data.val, run.vision.new_metric(run.spec), 0.0
    # What a step has fits into memory, also where every pixel has an answer.
    batch_size = min(EVAL_BATCH_SIZE, run.recipe.batch_size)
    for start in range(0, len(cache), batch_size):
        indices = range(start, min(start + batch_size, len(cache)))
        pixels = torch.from_numpy(cache.stacked(indices)).to(run.device)
        raw = net(run.normalise(pixels))
        targets = run.task.targets([run.data.val_targets[i] for i in indices], run.spec)
        loss += run.task.loss(raw, to_device(targets, run.device)).sum().item()
        outputs = {name: out.cpu().numpy() for name, out in run.task.answers(raw).items()}
        placements = [cache.placements[i] for i in indices]
        truths = [cache.dataset.samples[i].target for i in indices]
        metric.update(run.vision.decode(outputs, run.spec, placements), truths)
    return {run.vision.MAIN_SCORE: metric.value(), "loss": loss / len(cache)}


def _require_batches(run: Fit) -> None:
    smallest = len(run.data.train) // run.steps
    needed = max(2, run.world.size)
    if smallest < needed:
        raise UsageError(
            f"a step has {smallest} of the {len(run.data.train)} training images",
            expected=f"{needed} or more: BatchNorm needs two, and every process one",
            remedy="a larger --batch-size, or more images",
        )


def _require_same_data(run: Fit, progress: Progress, folder: Path) -> None:
    if progress.fingerprint != run.data.fingerprint:
        raise DataError(
            f"the data has changed since the run in {folder} began",
            expected="the same images and labels",
            remedy="a new run with another --out",
        )


def _require_finite(loss: float, what: str, progress: Progress) -> None:
    if not math.isfinite(loss):
        kept = f"best.safetensors holds the weights of epoch {progress.best_epoch}"
        raise MobilensError(
            f"the {what} is {loss}: training has diverged",
            remedy="a lower --lr" + (f"; {kept}" if progress.best_epoch else ""),
        )


def _rank(run: Fit, scores: dict[str, float]) -> list[float]:
    """What weights are chosen by: small validation sets tie often, the lower loss decides then."""
    return [scores[run.vision.MAIN_SCORE], -scores["loss"]]


def _row(recipe: Recipe, epoch: int, loss: float, scores: dict[str, float]) -> dict[str, float]:
    row = {"epoch": epoch, "train_loss": round(loss, 5)}
    row |= {f"val_{name}": round(value, 5) for name, value in scores.items()}
    # The rate in its middle: at its end it is that of the next, or of a new cycle.
    return row | {"lr": recipe.lr * lr_factor(recipe, epoch - 0.5)}


def _cycle_line(cycle: int, cycles: int) -> str:
    return (
        f"cycle {cycle}/{cycles}   from the first weights again; "
        "what is measured is the mean of all cycles"
    )


def _line(row: dict[str, float], epochs: int, seconds: float) -> str:
    epoch = int(row["epoch"])
    minutes, rest = divmod(round((epochs - epoch) * seconds), 60)
    left = f", {minutes}:{rest:02} left" if epoch < epochs else ""
    return f"epoch {epoch:>3}/{epochs}  {_figures(row)}  {seconds:.1f} s{left}"


def _figures(row: dict[str, float]) -> str:
    return "  ".join(
        f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in row.items()
        if name not in ("epoch", "lr")
    )
