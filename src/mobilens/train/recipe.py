"""Recipes: every number of a training run, by name, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from mobilens.errors import SpecError, UnknownNameError
from mobilens.nn.init import InitScheme
from mobilens.spec import codec
from mobilens.train.augment import Augmentation


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        name: What it is called.
        epochs: Times that every image is seen, after the head's own start.
        batch_size: Images a step, over all processes.
        optimizer: ``"adamw"``, ``"sgd"`` (Nesterov) or ``"rmsprop"``.
        lr: Highest learning rate.
        momentum: Of SGD and RMSProp.
        rmsprop_decay: Of the squared gradients' average.
        optimizer_eps: Added to AdamW's and RMSProp's denominator.
        weight_decay: Decoupled for AdamW, added to the gradient for the others.
        decay_depthwise: Whether depthwise filters decay too.
        decay_norm_and_bias: Whether scales, shifts and biases decay too.
        schedule: ``"cosine"`` to zero; ``"step"`` and ``"exponential"`` multiply by ``gamma``
            every ``gamma_epochs``, in stairs or smoothly.
        gamma: Factor of the step and exponential schedules.
        gamma_epochs: Epochs between factors.
        warmup_epochs: Epochs over which the rate rises from zero.
        head_epochs: Epochs of the new head alone on frozen features, before all of it; 0 for none.
        backbone_lr_scale: Learning rate of the backbone over that of the head.
        label_smoothing: Share of each target spread over all classes.
        ema_epochs: Time constant of the weights' moving average, in epochs; 0 for none.
        dropout: Before the classifier; None for the paper's.
        bn_momentum: Weight of a new batch in BatchNorm's running statistics.
        init: Weights before training, where none are loaded.
        balance: ``"weights"`` weights rare classes more in the loss, ``"auto"`` only when the
            largest class is more than three times the smallest, ``"none"`` never.
        clip_norm: Largest norm of the gradient; 0 for no limit.
        augmentation: What is done to images.
    """

    name: str
    epochs: int
    batch_size: int = 32
    optimizer: Literal["adamw", "sgd", "rmsprop"] = "adamw"
    lr: float = 1e-3
    momentum: float = 0.9
    rmsprop_decay: float = 0.9
    optimizer_eps: float = 1e-8
    weight_decay: float = 0.02
    decay_depthwise: bool = False
    decay_norm_and_bias: bool = False
    schedule: Literal["cosine", "step", "exponential"] = "cosine"
    gamma: float = 0.1
    gamma_epochs: float = 1.0
    warmup_epochs: float = 1.0
    head_epochs: int = 0
    backbone_lr_scale: float = 1.0
    label_smoothing: float = 0.1
    ema_epochs: float = 2.0
    dropout: float | None = None
    bn_momentum: float = 0.1
    init: InitScheme = "kaiming"
    balance: Literal["auto", "weights", "none"] = "auto"
    clip_norm: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lr"):
            if not getattr(self, name) > 0:
                raise SpecError(f"{name} is {getattr(self, name)}", expected="above 0")
        for name in ("weight_decay", "warmup_epochs", "head_epochs", "ema_epochs", "clip_norm"):
            if not getattr(self, name) >= 0:
                raise SpecError(f"{name} is {getattr(self, name)}", expected="0 or more")

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
    """ImageNet weights to hundreds or thousands of photos: the default."""
    return Recipe("transfer", epochs=20, head_epochs=30, backbone_lr_scale=0.5)


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


RECIPES = {"transfer": _transfer, "scratch": _scratch}


def build_recipe(name: str) -> Recipe:
    """Look a recipe up by its name.

    Raises:
        UnknownNameError: No such recipe.
    """
    if name not in RECIPES:
        raise UnknownNameError.among("recipe", name, RECIPES)
    return RECIPES[name]()
