"""Recipes: every number of a training run, by name, as plain data."""

from __future__ import annotations

import bisect
import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mobilens.errors import SpecError, UnknownNameError
from mobilens.spec import codec
from mobilens.training.augment import Augmentation

# More than this was of no further use on sets of about a hundred photos (docs/log.md).
MAX_REPEATS = 4


# Largest weight of a new batch in BatchNorm's running statistics.
BN_MOMENTUM = 0.1
# What a 32-bit float holds.
MAX_LR = 3e38


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        name: What it is called.
        epochs: Times that every image is seen, after the head's own start.
        min_steps: Steps that training has at least: few images are seen more times than ``epochs``
            says, up to four times as often; 0 for no such floor.
        batch_size: Images a step, over all processes.
        optimizer: ``"adamw"``, ``"sgd"`` (Nesterov) or ``"rmsprop"``.
        lr: Highest learning rate.
        momentum: Of SGD and RMSProp; AdamW's first beta.
        optimizer_eps: Added to AdamW's and RMSProp's denominator. TensorFlow's RMSProp adds it
            under the root, so its published values stand here as their root.
        weight_decay: Decoupled for AdamW, added to the gradient for the others.
        decay_depthwise: Whether depthwise filters decay too; norms and biases never do.
        clip_norm: Longest gradient, over all parameters; longer ones are shortened. 0 for no limit.
        schedule: ``"cosine"`` to zero; ``"step"`` multiplies by ``gamma`` every ``gamma_epochs``,
            which is exponential decay in stairs.
        gamma: Factor of a step.
        gamma_epochs: Epochs between steps.
        warmup_epochs: Epochs over which the rate rises from zero.
        head_penalty: Where positive, the new head alone is fitted to the loaded weights' features
            first, with half of this times its squared weights added to the loss.
        frozen_stride: Parts up to the feature of this stride keep the loaded weights; 0 for none.
        freeze_batchnorm: Whether BatchNorm keeps the statistics of the loaded weights and does
            not use the batch's.
        crop_fraction: Share of the short side that the model sees of a photo.
        label_smoothing: Share of each target spread over all classes.
        ema_epochs: Time constant of the weights' moving average, in epochs; 0 for none.
        cycles: Times that training begins again from the same weights, each with its share of the
            epochs, rate from warm-up to the end, and other draws; the mean of their averages is
            what is measured and kept (arXiv 2203.05482).
        blend: Whether weights between those that training began with and those at its end are tried
            too (arXiv 2109.01903).
        dropout: Before the classifier; None for the paper's.
        bn_epochs: Time constant of BatchNorm's running statistics, in epochs, as long as a batch
            does not weigh more than a tenth in them; 0 for that tenth.
        init_std: Deviation of convolutions' weights before training, a normal distribution cut at
            two of it; None sets each by its fan-out. Where weights are loaded, they stay.
        balance: ``"weights"`` weights rare classes more in the loss, ``"auto"`` only when the
            largest class is at least ten times the smallest, ``"none"`` never.
        augmentation: What is done to images.
    """

    name: str
    epochs: int
    min_steps: int = 0
    batch_size: int = 32
    optimizer: Literal["adamw", "sgd", "rmsprop"] = "adamw"
    lr: float = 1e-3
    momentum: float = 0.9
    optimizer_eps: float = 1e-8
    weight_decay: float = 0.02
    decay_depthwise: bool = False
    clip_norm: float = 0.0
    schedule: Literal["cosine", "step"] = "cosine"
    gamma: float = 0.1
    gamma_epochs: float = 1.0
    warmup_epochs: float = 1.0
    head_penalty: float = 0.0
    frozen_stride: int = 0
    freeze_batchnorm: bool = False
    crop_fraction: float = 0.875
    label_smoothing: float = 0.1
    ema_epochs: float = 2.0
    cycles: int = 1
    blend: bool = False
    dropout: float | None = None
    bn_epochs: float = 0.0
    init_std: float | None = None
    balance: Literal["auto", "weights", "none"] = "auto"
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        # A 5 given for a 5.0 would be other bytes in the checkpoint.
        for name, item in codec.read_fields(self, "recipe").items():
            object.__setattr__(self, name, item)
        for name in ("epochs", "batch_size", "lr", "optimizer_eps", "gamma", "gamma_epochs"):
            if not getattr(self, name) > 0:
                raise SpecError(f"{name} is {getattr(self, name)}", expected="above 0")
        for name in (
            "min_steps",
            "weight_decay",
            "warmup_epochs",
            "head_penalty",
            "ema_epochs",
            "bn_epochs",
            "frozen_stride",
            "clip_norm",
        ):
            if not getattr(self, name) >= 0:
                raise SpecError(f"{name} is {getattr(self, name)}", expected="0 or more")
        if not 1 <= self.cycles <= self.epochs:
            raise SpecError(f"cycles is {self.cycles}", expected="1 to the number of epochs")
        if not self.lr < MAX_LR:
            raise SpecError(f"lr is {self.lr}", expected=f"below {MAX_LR:g}")
        if not 0 <= self.momentum < 1:
            raise SpecError(f"momentum is {self.momentum}", expected="0 to below 1")
        if not 0 <= self.label_smoothing <= 1:
            raise SpecError(f"label_smoothing is {self.label_smoothing}", expected="0 to 1")

    def cycle_at(self, epoch: float) -> tuple[int, int]:
        """First epoch of the cycle that a moment lies in, and the first epoch after it."""
        bounds = [self.epochs * cycle // self.cycles for cycle in range(self.cycles + 1)]
        cycle = min(bisect.bisect_right(bounds, epoch), self.cycles)
        return bounds[cycle - 1], bounds[cycle]

    def with_epochs(self, epochs: int) -> Recipe:
        """The same with fewer or more epochs.

        A cycle has three epochs or more, and warms up for a fifth of them at most.
        """
        cycles = max(1, min(self.cycles, epochs // 3))
        warmup = min(self.warmup_epochs, epochs / cycles / 5)
        return replace(self, epochs=epochs, min_steps=0, cycles=cycles, warmup_epochs=warmup)

    def for_images(self, count: int) -> Recipe:
        """The same for a training set of this size, with the epochs that ``min_steps`` asks for."""
        needed = math.ceil(self.min_steps / math.ceil(count / self.batch_size))
        epochs = max(self.epochs, min(needed, MAX_REPEATS * self.epochs))
        return replace(self, epochs=epochs, min_steps=0)

    def batchnorm_momentum(self, steps: int) -> float:
        """Weight of a new batch in BatchNorm's statistics, with this many steps an epoch."""
        if not self.bn_epochs:
            return BN_MOMENTUM
        return min(BN_MOMENTUM, 1 - math.exp(-1 / (steps * self.bn_epochs)))

    def without_weights(self) -> Recipe:
        """The same for a net that begins from nothing: all of it has to learn."""
        return replace(
            self,
            min_steps=0,
            head_penalty=0.0,
            frozen_stride=0,
            freeze_batchnorm=False,
            cycles=1,
            blend=False,
        )

    def to_json(self) -> dict[str, Any]:
        """Give JSON values that ``from_json`` reads back unchanged."""
        return dict(codec.to_json(self))

    @classmethod
    def from_json(cls, value: Any) -> Recipe:
        """Build from JSON values.

        Raises:
            SpecError: A field is missing, unknown or wrong.
        """
        return codec.from_json(cls, value, "recipe")


def _transfer() -> Recipe:
    """ImageNet weights to hundreds or thousands of photos: the default.

    Short trainings, each over before it learns by heart, and their mean. Of a hundred photos
    many epochs are still few steps: there they are longer.
    """
    return Recipe(
        "transfer",
        epochs=16,
        min_steps=500,
        lr=2e-4,
        weight_decay=0.1,
        clip_norm=1.0,
        warmup_epochs=0.7,
        head_penalty=0.03,
        frozen_stride=8,
        freeze_batchnorm=True,
        crop_fraction=1.0,
        cycles=4,
        blend=True,
        dropout=0.4,
        augmentation=Augmentation(crop_scale=(0.4, 1.0)),
    )


def _transfer_v3_small() -> Recipe:
    """The same for V3-Small, the default for it: it wants a higher rate and larger crops.

    At this rate V2 loses seven points in its first epoch and ends lower; at V2's, V3-Small ends
    with a higher loss (docs/log.md).
    """
    larger = Augmentation(crop_scale=(0.55, 1.0))
    return replace(_transfer(), name="transfer_v3_small", epochs=14, lr=5e-4, augmentation=larger)


def _transfer_mixup() -> Recipe:
    """``transfer`` with Mixup: for labels that are often wrong."""
    plain = _transfer()
    mixed = replace(plain.augmentation, mixup=0.2)
    return replace(plain, name="transfer_mixup", augmentation=mixed)


def _transfer_cutmix() -> Recipe:
    """``transfer`` with CutMix: for things that are often half hidden."""
    plain = _transfer()
    mixed = replace(plain.augmentation, cutmix=1.0)
    return replace(plain, name="transfer_cutmix", augmentation=mixed)


def _transfer_erasing() -> Recipe:
    """``transfer`` with random erasing: for nets that look at one small part alone."""
    plain = _transfer()
    erased = replace(plain.augmentation, random_erasing=0.25)
    return replace(plain, name="transfer_erasing", augmentation=erased)


def _scratch() -> Recipe:
    """No weights: more epochs, and mixing against learning by heart."""
    return Recipe(
        "scratch",
        epochs=100,
        batch_size=64,
        lr=2e-3,
        weight_decay=0.05,
        warmup_epochs=5,
        ema_epochs=5,
        augmentation=Augmentation(mixup=0.2, random_erasing=0.1),
    )


def _beyond_labels(name: str, **numbers: Any) -> Recipe:
    """What recipes of other tasks than a class for each photo have in common, and their own."""
    return Recipe(
        name,
        weight_decay=0.05,
        clip_norm=10.0,
        ema_epochs=2,
        label_smoothing=0.0,
        balance="none",
        **numbers,
    )


def _detect() -> Recipe:
    """Boxes, from ImageNet weights to hundreds or thousands of photos."""
    return _beyond_labels(
        "detect",
        epochs=60,
        batch_size=16,
        lr=1e-3,
        warmup_epochs=2,
        frozen_stride=4,
        augmentation=Augmentation(geometry="jitter", policy="colour", mosaic=0.5),
    )


def _segment() -> Recipe:
    """A class for every pixel, from ImageNet weights to hundreds of photos."""
    return _beyond_labels(
        "segment",
        epochs=40,
        batch_size=8,
        lr=5e-4,
        warmup_epochs=1,
        frozen_stride=2,
        augmentation=Augmentation(geometry="jitter", policy="colour", jitter_scale=(0.7, 2.0)),
    )


def _keypoints() -> Recipe:
    """Points of a thing, from ImageNet weights to hundreds of photos."""
    return _beyond_labels(
        "keypoints",
        epochs=60,
        batch_size=16,
        lr=1e-3,
        warmup_epochs=2,
        frozen_stride=2,
        augmentation=Augmentation(
            geometry="jitter", policy="colour", jitter_scale=(0.75, 1.3), rotation=30.0
        ),
    )


def _embed() -> Recipe:
    """Vectors of who or what is seen, from ImageNet weights to hundreds or thousands of photos."""
    return _beyond_labels(
        "embed",
        epochs=40,
        batch_size=32,
        lr=5e-4,
        warmup_epochs=2,
        frozen_stride=4,
        augmentation=Augmentation(
            geometry="jitter",
            policy="colour",
            jitter_scale=(0.85, 1.3),
            rotation=10.0,
            random_erasing=0.25,
        ),
    )


# A name that stands for a module is a function of that name in it.
RECIPES: dict[str, Callable[[], Recipe] | str] = {
    "transfer": _transfer,
    "transfer_v3_small": _transfer_v3_small,
    "transfer_mixup": _transfer_mixup,
    "transfer_cutmix": _transfer_cutmix,
    "transfer_erasing": _transfer_erasing,
    "scratch": _scratch,
    "detect": _detect,
    "segment": _segment,
    "keypoints": _keypoints,
    "embed": _embed,
    "mobilenet_v1": "mobilens.training.papers",
    "mobilenet_v2": "mobilens.training.papers",
    "mobilenet_v3": "mobilens.training.papers",
    "mobilenet_v4_conv_small": "mobilens.training.papers",
    "torchvision": "mobilens.training.papers",
}


def build_recipe(name: str) -> Recipe:
    """Look a recipe up by its name.

    Raises:
        UnknownNameError: No such recipe.
    """
    if name not in RECIPES:
        raise UnknownNameError.among("recipe", name, RECIPES)
    found = RECIPES[name]
    if isinstance(found, str):
        found = getattr(importlib.import_module(found), name)
    return found()


# Of tasks that have one recipe, with weights and without.
OF_TASK = {"detect": "detect", "segment": "segment", "keypoints": "keypoints", "embed": "embed"}


def default_recipe(task: str, model: str, *, has_weights: bool) -> Recipe:
    """Choose the recipe of a run that names none.

    Args:
        task: What is learnt.
        model: Architecture. V2 and V3-Small were measured; the nets that were not have V2's
            recipe, which does less harm, and the minimalistic V3-Small that of V3-Small.
        has_weights: Whether training begins with weights.
    """
    if task in OF_TASK:
        return build_recipe(OF_TASK[task])
    if not has_weights:
        return build_recipe("scratch")
    small = model.startswith("mobilenet_v3_small")
    return build_recipe("transfer_v3_small" if small else "transfer")
