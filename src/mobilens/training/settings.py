"""TrainSettings: everything that one training run was asked for; written out, it repeats it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mobilens.atomic import written
from mobilens.data.formats import located
from mobilens.errors import DataError, SpecError
from mobilens.spec import codec
from mobilens.spec.model import ModelSpec, WidthRule
from mobilens.spec.zoo import build_spec
from mobilens.training.recipe import Recipe, build_recipe, default_recipe
from mobilens.vision.predictor import VAL_FRACTION
from mobilens.vision.tasks import require_boxes, task_vision

SETTINGS_FILE = "recipe.json"


@dataclass(frozen=True)
class TrainSettings:
    """One training run.

    Attributes:
        source: Folder, CSV file or patterns of the data set.
        model: Architecture.
        width: Width multiplier.
        width_rule: Rule by which channels are rounded.
        resolution: Input side, or (height, width), pixels; None for the task's or the paper's.
        output_stride: Of the backbone, 8, 16 or 32; None for the task's.
        reduced_tail: Of V3, half as many channels after the last stride.
        weights: ``"auto"``, ``"none"``, a name or a file.
        recipe: How it is trained; None chooses by whether there are weights.
        epochs: In place of the recipe's; None keeps it. Likewise the next two.
        batch_size: Images a step.
        lr: Highest learning rate.
        task: What is learnt.
        head: Kind of head, one of ``spec.heads.HEADS``; the task's own by default.
        class_agnostic: Of boxes, whether better ones suppress those of every class.
        val_fraction: Share of the data that is held out to measure on, where it is not divided.
        seed: Of everything random.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        minutes: Time for everything up to the checkpoint; epochs are cut to fit it. None: no limit.
        strict: Whether a file that does not decode ends the run.
        offline: Use no network for weights.
        data_licence: Terms of the photos, in words, for the model file; empty if not stated.
        command: The line that started it; for the record.
        directory: Folder that it was started in, where relative paths begin; empty for the present
            one.
    """

    source: tuple[str, ...]
    recipe: Recipe | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    model: str = "mobilenet_v3_small"
    width: float = 1.0
    width_rule: WidthRule = "paper"
    resolution: int | tuple[int, int] | None = None
    output_stride: int | None = None
    reduced_tail: bool = False
    weights: str = "auto"
    task: str = "classify"
    head: str = ""
    class_agnostic: bool = False
    val_fraction: float = VAL_FRACTION
    seed: int = 0
    device: str = "auto"
    minutes: float | None = None
    strict: bool = False
    offline: bool = False
    data_licence: str = ""
    command: str = ""
    directory: str = ""

    def __post_init__(self) -> None:
        # A 5 given for a 5.0 would be other bytes in the checkpoint.
        for name, item in codec.read_fields(self, "settings").items():
            object.__setattr__(self, name, item)
        if self.minutes is not None and not self.minutes > 0:
            raise SpecError(f"minutes is {self.minutes}", expected="above 0")
        if not 0 < self.val_fraction < 1:
            raise SpecError(f"val_fraction is {self.val_fraction}", expected="above 0 and below 1")
        if not 0 <= self.seed < 2**32:
            raise SpecError(f"seed is {self.seed}", expected="0 to 4,294,967,295")
        if self.class_agnostic:
            require_boxes(self.task)

    def located(self) -> TrainSettings:
        """The same with paths that lead there from any folder, while ``directory`` is there."""
        start = Path(self.directory)
        if not start.is_dir() or start.samefile(Path.cwd()):
            return self
        file = start / self.weights
        return replace(
            self,
            source=located(self.source, start),
            weights=str(file) if file.is_file() else self.weights,
        )

    def model_spec(self, num_classes: int) -> ModelSpec:
        """Describe the classifier on whose body the net stands, with this many classes."""
        return build_spec(
            self.model,
            width_mult=self.width,
            width_rule=self.width_rule,
            resolution=self.resolution or task_vision(self.task).RESOLUTION,
            num_classes=num_classes,
            reduced_tail=self.reduced_tail,
        )

    def resolved_recipe(self, *, has_weights: bool) -> Recipe:
        """Choose the recipe where none was named, and put the wished numbers in."""
        recipe = self.recipe or default_recipe(self.task, self.model, has_weights=has_weights)
        if not has_weights:
            recipe = recipe.without_weights()
        if self.epochs is not None:
            recipe = recipe.with_epochs(self.epochs)
        return replace(
            recipe,
            batch_size=recipe.batch_size if self.batch_size is None else self.batch_size,
            lr=recipe.lr if self.lr is None else self.lr,
        )

    def settled(self, recipe: Recipe, weights: str) -> TrainSettings:
        """The same run with nothing left to choose: every number of its recipe, its weights."""
        return replace(
            self,
            recipe=recipe,
            weights=weights,
            epochs=None,
            batch_size=None,
            lr=None,
            minutes=None,
        )

    def to_json(self) -> dict[str, Any]:
        """Give JSON values that ``from_json`` reads back unchanged."""
        return dict(codec.to_json(self))

    @classmethod
    def from_json(cls, value: Any) -> TrainSettings:
        """Build from JSON values.

        Raises:
            SpecError: A field is missing, unknown or wrong.
        """
        return codec.from_json(cls, value, "settings")

    def save(self, path: Path) -> None:
        """Write as JSON, to a temporary name first."""
        with written(path) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> TrainSettings:
        """Read what ``save`` wrote.

        Raises:
            DataError: No such file, or it is not JSON.
            SpecError: A field is missing, unknown or wrong.
        """
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise DataError(f"there is no file {path}", expected="recipe.json of a run") from None
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path} cannot be read: {error}") from None


def find_recipe(name: str | Path) -> Recipe:
    """Give a recipe by its name, or that of another run by its ``recipe.json``.

    Raises:
        UnknownNameError: No such recipe.
        DataError: No such file, or it cannot be read.
        SpecError: The file holds no settings of a run.
    """
    if str(name).endswith(".json"):
        recipe = TrainSettings.load(Path(name)).recipe
        if recipe is None:
            raise DataError(f"{name} names no recipe", expected="recipe.json of a run")
        return recipe
    return build_recipe(str(name))
