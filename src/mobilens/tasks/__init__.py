"""Head, targets and loss, one file a task."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from mobilens.errors import UnknownNameError
from mobilens.nn.checkpoint import Checkpoint
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import TaskSpec

# One tensor, or several by name, each (N, ...).
Targets: TypeAlias = Tensor | dict[str, Tensor]


class TorchTask(Protocol):
    """What training, prediction and export need to know of a task under torch."""

    kind: str
    finishes: bool  # whether ``finished`` is more than ``answers``

    def build_net(self, model: ModelSpec) -> nn.Module:
        """Build backbone and head, initialised for training."""
        ...

    def answers(self, raw: Any) -> dict[str, Tensor]:
        """Turn what the net gives into the named outputs of a model file."""
        ...

    def finished(self, raw: Any, task: TaskSpec) -> dict[str, Tensor]:
        """The same answers with all that is left to do done, for runtimes that can do it."""
        ...

    def loss(
        self,
        raw: Any,
        targets: Any,
        *,
        label_smoothing: float = 0.0,
        class_weights: Tensor | None = None,
    ) -> Tensor:
        """Loss of each image, (N,)."""
        ...

    def targets(self, values: Sequence[Any], task: TaskSpec) -> Targets:
        """Turn the truths of a batch, in pixels of the net's input, into tensors, (N, ...)."""
        ...

    def final_layer(self, net: nn.Module) -> nn.Module | None:
        """The layer that alone knows the classes, which a new data set trains first."""
        ...


TASKS: dict[str, TorchTask | str] = {
    "classify": "mobilens.tasks.classification",
    "detect": "mobilens.tasks.detection",
    "segment": "mobilens.tasks.segmentation",
    "keypoints": "mobilens.tasks.keypoints",
    "embed": "mobilens.tasks.embedding",
}


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


def to_device(targets: Targets, device: torch.device) -> Targets:
    """Bring the truths of a batch to where the net runs."""
    if isinstance(targets, Tensor):
        return targets.to(device)
    return {name: tensor.to(device) for name, tensor in targets.items()}


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
