"""Checkpoint: specs, tensors and provenance in one safetensors file, complete in itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from mobilens.atomic import written
from mobilens.errors import WeightsError
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import TaskSpec

METADATA_KEY = "mobilens"
# What readers rely on; other entries may be anything that JSON holds.
PROVENANCE: dict[str, type] = {
    "weights": str,
    "weights_licence": str,
    "data_fingerprint": str,
    "settings": dict,
    "scores": dict,
}


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, complete in itself.

    Attributes:
        model: What the net is.
        task: What it answers.
        tensors: Its parameters and statistics by name.
        provenance: JSON values on where it came from: weights, recipe, command, seed, scores.
    """

    model: ModelSpec
    task: TaskSpec
    tensors: Mapping[str, Tensor]
    provenance: dict[str, Any] = field(default_factory=dict)

    def fill(self, net: nn.Module) -> None:
        """Copy the tensors into a net that the task built from the model.

        Raises:
            WeightsError: The tensors are not those of the model.
        """
        self.require_fit(net)
        net.load_state_dict(dict(self.tensors))

    def require_fit(self, net: nn.Module) -> None:
        """Compare names and shapes with those of a net, which may be one without memory.

        Raises:
            WeightsError: The tensors are not those of the model; the first difference is named.
        """
        wanted = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
        given = {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}
        for name in sorted(wanted.keys() | given.keys()):
            if wanted.get(name) != given.get(name):
                raise WeightsError(
                    f"the checkpoint's tensors are not those of its model: {name} is "
                    f"{given.get(name, 'missing')}",
                    expected=str(wanted.get(name, "no such tensor")),
                )

    def save(self, path: Path) -> None:
        """Write to a temporary name in the same folder, then rename."""
        metadata = {
            METADATA_KEY: json.dumps(
                {
                    "format": 1,
                    "model": self.model.to_json(),
                    "task": self.task.to_json(),
                    "provenance": self.provenance,
                }
            )
        }
        save_tensors(self.tensors, path, metadata)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint.

        Raises:
            WeightsError: No such file, no safetensors file, or none that mobilens wrote.
            SpecError: It describes a model that cannot be built.
        """
        tensors, metadata = load_tensors(path)
        if METADATA_KEY not in metadata:
            best = path.with_name("best.safetensors")
            raise WeightsError(
                f"{path} holds weights but no mobilens model",
                expected="a checkpoint that `mobilens train` wrote",
                remedy=str(best)
                if best.is_file()
                else "give it to `mobilens train --weights` to start from",
            )
        value = _described(metadata[METADATA_KEY], path)
        return cls(
            model=ModelSpec.from_json(value["model"]),
            task=TaskSpec.from_json(value["task"]),
            tensors=tensors,
            provenance=value["provenance"],
        )


def _described(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if (
        not isinstance(value, dict)
        or not {"model", "task", "provenance"} <= set(value)
        or not _is_provenance(value["provenance"])
    ):
        raise WeightsError(
            f"{path} does not say what model it holds",
            expected="a checkpoint that `mobilens train` wrote",
        )
    if value.get("format") != 1:
        raise WeightsError(
            f"{path} has checkpoint format {value.get('format')!r}",
            expected="format 1",
            remedy="a newer mobilens",
        )
    return value


def _is_provenance(value: Any) -> bool:
    """Whether what others rely on is of its type, where it is there at all."""
    return isinstance(value, dict) and all(
        isinstance(value.get(key), kind | None) for key, kind in PROVENANCE.items()
    )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file to a temporary name in the same folder, then rename.

    The same tensors and metadata give the same bytes.
    """
    # Memory formats are not part of a safetensors file.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written(path) as temporary:
        # Not save_file: its files are readable by their owner alone, whatever the umask.
        temporary.write_bytes(safetensors.torch.save(plain, metadata))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors and its metadata.

    Raises:
        WeightsError: No such file, or no safetensors file.
    """
    if path.is_dir():
        raise WeightsError(
            f"{path} is a folder",
            expected="a .safetensors file",
            remedy=f"{path / 'best.safetensors'}, if it is the folder of a run",
        )
    if not path.is_file():
        raise WeightsError(f"there is no file {path}", expected="a .safetensors file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise WeightsError(
            f"{path} is not a readable safetensors file: {error}",
            expected="a .safetensors file, such as best.safetensors of a run",
        ) from None
    return tensors, metadata
