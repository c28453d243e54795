"""What an export gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobilens.evaluation import Evaluation
from mobilens.runtime.manifest import Manifest
from mobilens.spec.task import TaskSpec
from mobilens.vision.tasks import task_vision


@dataclass(frozen=True)
class Exported:
    """A model file and its proof.

    Attributes:
        path: The file.
        size_bytes: Its size, with what belongs to it.
        checkpoint: What the checkpoint reached; None when nothing was measured.
        file: What the file reached on its own runtime, likewise; None too where it is not run here.
        agreeing: On how many images both gave the same answer.
        manifest: What the file says about itself.
    """

    path: Path
    size_bytes: int
    checkpoint: Evaluation | None
    file: Evaluation | None
    agreeing: int
    manifest: Manifest


def differing(task: TaskSpec, before: Evaluation, after: Evaluation) -> list[Path]:
    """Give the images that the checkpoint answers in one way and the file in another."""
    agree = task_vision(task.kind).agree
    answers = zip(before.samples, before.predictions, after.predictions, strict=True)
    return [sample.path for sample, one, other in answers if not agree(one, other)]
