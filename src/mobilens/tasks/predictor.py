"""TorchPredictor: a checkpoint answers under torch, through the same code as a model file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mobilens.errors import UsageError
from mobilens.nn.checkpoint import Checkpoint
from mobilens.spec.task import TaskSpec
from mobilens.tasks import build_trained, torch_task
from mobilens.tasks.normalise import Normalise
from mobilens.vision.predictor import Learnt, Pixels

UNKNOWN = Learnt()


class TorchPredictor:
    """A net that answers prepared pixels.

    Args:
        net: Maps normalised (N, 3, H, W) to raw scores.
        task: What it answers.
        device: Where it runs; the net is moved there.
        learnt: What it learnt from, as far as it is known.
    """

    def __init__(
        self,
        net: nn.Module,
        task: TaskSpec,
        device: torch.device | str = "cpu",
        learnt: Learnt = UNKNOWN,
    ) -> None:
        self.task = task
        self.learnt = learnt
        self._device = torch.device(device)
        self._net = net.to(self._device)
        self._normalise = Normalise(task.preprocessing).to(self._device)
        self._answers = torch_task(task.kind).answers

    def forward(self, pixels: Pixels) -> dict[str, NDArray[np.float32]]:
        """Answer a batch: (N, height, width, 3) uint8 to outputs by name."""
        was_training = self._net.training
        self._net.eval()
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device)
            outputs = self._answers(self._net(self._normalise(batch)))
        self._net.train(was_training)
        return {name: output.float().cpu().numpy() for name, output in outputs.items()}


def load_torch_predictor(path: Path, device: torch.device | str = "cpu") -> TorchPredictor:
    """Load a checkpoint that answers.

    Raises:
        WeightsError: The file is no checkpoint, or its tensors are not those of its model.
        SpecError: It describes a model that cannot be built.
        UsageError: The model does not read RGB.
    """
    checkpoint = Checkpoint.load(path)
    if checkpoint.model.in_channels != 3:
        raise UsageError(
            f"the model of {path} reads {checkpoint.model.in_channels} channels",
            expected="3, as photos have",
        )
    return TorchPredictor(
        build_trained(checkpoint),
        checkpoint.task,
        device,
        Learnt.of(checkpoint.provenance),
    )
