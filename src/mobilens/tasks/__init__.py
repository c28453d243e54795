"""Head, targets and loss, one file a task."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mobilens.errors import UnknownNameError
from mobilens.nn.checkpoint import Checkpoint
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import TaskSpec


class TorchTask(Protocol):
    """What training, prediction and export need to know of a task under torch."""

    kind: str
    main_score: str  # the score by which one epoch is better than another

    def build_net(self, model: ModelSpec) -> nn.Module:
        """Build backbone and head, initialised for training."""
        ...

    def answers(self, raw: Tensor) -> dict[str, Tensor]:
        """Turn what the net gives into the named outputs of a model file."""
        ...

    def loss(
        self,
        raw: Tensor,
        targets: Tensor,
        *,
        label_smoothing: float = 0.0,
        class_weights: Tensor | None = None,
    ) -> Tensor:
        """Loss of each image, (N,)."""
        ...

    def targets(self, values: Sequence[Any], task: TaskSpec) -> Tensor:
        """Turn the targets of samples into a tensor, (N, ...)."""
        ...

    def score(self, raw: Tensor, targets: Tensor) -> dict[str, float]:
        """Measure what the net gives for the whole of a data set: ``main_score`` and ``loss``."""
        ...

    def final_layer(self, net: nn.Module) -> nn.Module:
        """The layer that knows the classes, which a new data set trains first."""
        ...


TASKS: dict[str, TorchTask | str] = {"classify": "mobilens.tasks.classification"}


def torch_task(kind: str) -> TorchTask:
    """Look a task up by its kind.

    Raises:
        UnknownNameError: No such task.
    """
    if kind not in TASKS:
        raise UnknownNameError.among("task", kind, TASKS)
    task = TASKS[kind]
    if isinstance(task, str):
        found: TorchTask = importlib.import_module(task).TASK
        TASKS[kind] = task = found
    return task


def register_task(kind: str, task: TorchTask | str) -> None:
    """Add a task from outside the package; ``vision.tasks.register_task`` adds its other half.

    Args:
        kind: The ``kind`` that its ``TaskSpec`` carries.
        task: The task itself, or the dotted name of the module whose ``TASK`` it is.

    Raises:
        ValueError: Another task has this name.
    """
    if TASKS.get(kind, task) != task:
        raise ValueError(f"a task named {kind!r} is already there")
    TASKS[kind] = task


def build_trained(checkpoint: Checkpoint) -> nn.Module:
    """Build the net of a checkpoint with its weights, ready to answer.

    Raises:
        UnknownNameError: Its task is not known here.
        WeightsError: The tensors are not those of the model.
    """
    task = torch_task(checkpoint.task.kind)
    # First without memory behind it: a damaged description may ask for any amount.
    with torch.device("meta"):
        checkpoint.require_fit(task.build_net(checkpoint.model))
    net = task.build_net(checkpoint.model)
    checkpoint.fill(net)
    return net.eval()
