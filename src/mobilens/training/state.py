"""The state of a run between two epochs, from which it goes on to the same weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mobilens.errors import WeightsError
from mobilens.nn.checkpoint import load_tensors, save_tensors
from mobilens.training.optim import WeightAverage
from mobilens.training.soup import WeightSoup

STATE_FILE = "last.safetensors"
METADATA_KEY = "mobilens_state"
PARTS = ("net", "average", "origin", "mean", "optimizer")


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        epoch: Epochs done.
        history: One row an epoch: figures by name.
        best_epoch: Epoch of the best score, counted from 1; 0 before the first.
        best_scores: Its main score and its loss, negated, in that order of weight.
        fingerprint: Of training and validation data, so that a run goes on with the same.
    """

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_scores: list[float] = field(default_factory=list)
    fingerprint: str = ""

    def passed(self, row: dict[str, float], scores: list[float]) -> bool:
        """Note an epoch that is done; say whether it is the best so far."""
        self.epoch += 1
        self.history.append(row)
        if scores <= self.best_scores:
            return False
        self.best_scores, self.best_epoch = scores, self.epoch
        return True


def save_state(
    folder: Path,
    net: nn.Module,
    average: WeightAverage,
    soup: WeightSoup,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Write everything that the next epoch depends on, at once or not at all."""
    tensors: dict[str, Tensor] = {}
    tensors |= {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.tensors.items()}
    tensors |= {f"origin.{name}": tensor for name, tensor in soup.origin.items()}
    tensors |= {f"mean.{name}": tensor for name, tensor in soup.mean.items()}
    for index, slots in optimizer.state_dict()["state"].items():
        for slot, value in slots.items():
            # A slot without a value yet, such as a momentum before the first step, is left out.
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{slot}"] = value
    # Under one key: several come in another order each time, and the file would be other bytes.
    values = vars(progress) | {"cycles": soup.cycles}
    save_tensors(tensors, folder / STATE_FILE, {METADATA_KEY: json.dumps(values)})


def load_state(
    folder: Path,
    net: nn.Module,
    average: WeightAverage,
    soup: WeightSoup,
    optimizer: torch.optim.Optimizer,
) -> Progress | None:
    """Take a run up where ``save_state`` left it.

    Args:
        folder: The run's folder.
        net: Filled in place, as are the next three.
        average: Moving average of the net.
        soup: Ends of finished cycles.
        optimizer: Built as for the first epoch.

    Returns:
        How far it was, or None when it had not finished an epoch.

    Raises:
        WeightsError: The file is not the state of such a run.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    tensors, metadata = load_tensors(path)
    try:
        values = json.loads(metadata[METADATA_KEY])
        soup.cycles = values.pop("cycles")
        progress = Progress(**values)
        parts = _parts(tensors)
    except (KeyError, TypeError, ValueError):
        raise WeightsError(
            f"{path} is not the state of a training run",
            expected="the file that this version of mobilens writes",
            remedy="a new run with another --out",
        ) from None
    try:
        net.load_state_dict(parts["net"])
        _fill(parts, average, soup, optimizer)
    except (RuntimeError, KeyError, IndexError, ValueError) as error:
        raise WeightsError(f"{path} is the state of another model: {error}") from None
    return progress


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors by what they belong to, under their names there."""
    parts: dict[str, dict[str, Tensor]] = {name: {} for name in PARTS}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    return parts


def _fill(
    parts: Mapping[str, Mapping[str, Tensor]],
    average: WeightAverage,
    soup: WeightSoup,
    optimizer: torch.optim.Optimizer,
) -> None:
    for name, tensor in average.tensors.items():
        tensor.copy_(parts["average"][name])
    for name, tensor in soup.origin.items():
        tensor.copy_(parts["origin"][name])
    soup.mean = {
        name: tensor.to(soup.origin[name].device) for name, tensor in parts["mean"].items()
    }
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Any]] = {}
    for name, tensor in parts["optimizer"].items():
        number, _, slot = name.partition(".")
        like = parameters[int(number)]
        if tensor.shape == like.shape:
            # In the memory format that it had: sums in another order differ in their last bits.
            tensor = torch.empty_like(like).copy_(tensor)
        slots.setdefault(int(number), {})[slot] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
