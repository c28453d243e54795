"""A task from outside the package: trained, exported, proven, asked and measured like any other.

It answers with one number an image, how bright it is, where the label is how bright it should be.
Everything that it needs stands here: the package knows nothing of it.
"""

# ruff: noqa: ARG002 - the protocols hand over more than a toy needs
import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mobilens.cli import main
from mobilens.deliver import deliver
from mobilens.errors import UnknownNameError
from mobilens.evaluation import evaluate
from mobilens.nn.backbone import Backbone
from mobilens.nn.checkpoint import Checkpoint
from mobilens.observer import SilentObserver
from mobilens.runtime.bundle import read_manifest
from mobilens.runtime.predictor import load_predictor
from mobilens.runtime.verify import verify_bundle
from mobilens.tasks import TASKS as TORCH_TASKS
from mobilens.tasks import build_trained, register_task, torch_task
from mobilens.training.augment import Augmentation
from mobilens.training.recipe import Recipe
from mobilens.training.run import run_training
from mobilens.training.settings import TrainSettings
from mobilens.vision import tasks as vision_tasks
from mobilens.vision.files import predict_files
from mobilens.vision.intervals import Estimate
from mobilens.vision.tasks import Mistake, Table
from mobilens.vision.words import Words

LEVELS = ("0", "50", "100")  # per cent


# The half without torch


@dataclass(frozen=True)
class Brightness:
    value: float

    def to_json(self):
        return {"brightness": round(self.value, 4)}


@dataclass(frozen=True)
class BrightnessScores:
    errors: tuple[float, ...]
    kind = "brightness"

    @property
    def main(self):
        return Estimate(1 - sum(self.errors) / len(self.errors), 0.0, 1.0)

    @property
    def stated(self):
        return {"closeness": self.main.value}

    def to_json(self):
        return {"closeness": self.main.value}

    def tables(self):
        return [Table("Brightness", ("closeness",), ((f"{self.main.value:.3f}",),))]

    def charts(self):
        return []

    def confused(self):
        return None


class BrightnessMetric:
    def __init__(self):
        self.errors = []

    def update(self, predictions, targets):
        for prediction, target in zip(predictions, targets, strict=True):
            self.errors.append(abs(prediction.value - target / 2))

    def value(self):
        return self.result().main.value

    def result(self):
        return BrightnessScores(tuple(self.errors))


class BrightnessVision:
    LABELS = "class"
    MAIN_SCORE = MAIN_TITLE = "closeness"
    RESIZE, RESOLUTION, HEADS = "crop", None, ("classifier",)
    OUTPUT_STRIDE = None
    merge = None
    WORDS, SHOW_OPTIONS, MISTAKE_SIDE = Words(use="Ask how bright a photo is"), (), None
    PICTURES: ClassVar = {}

    def decode(self, outputs, task, placements=None):
        return [Brightness(float(value)) for value in outputs["brightness"]]

    def new_metric(self, task):
        return BrightnessMetric()

    def agree(self, a, b):
        return abs(a.value - b.value) < 1e-3

    def record(self, prediction):
        return {"brightness": np.array([prediction.value], np.float32)}

    def recall(self, values, task):
        return self.decode(values, task)[0]

    def difference(self, a, b):
        return abs(a.value - b.value)

    def lost(self, before, after, targets, task):
        value = sum(b.value - a.value for b, a in zip(before, after, strict=True)) / len(targets)
        return Estimate(value, -1.0, 1.0)

    def move(self, target, view):
        return target

    def text(self, prediction):
        return f"{prediction.value:.2f}"

    def mistakes(self, predictions, targets):
        return [self._mistake(*pair) for pair in zip(predictions, targets, strict=True)]

    def _mistake(self, prediction, target):
        error = abs(prediction.value - target / 2)
        if error < 0.2:
            return None
        return Mistake(LEVELS[target], f"{100 * prediction.value:.0f}", error)

    def csv_header(self, task):
        return ["brightness"]

    def csv_rows(self, prediction):
        return [[f"{prediction.value:.3f}"]]

    def draw(self, image, prediction):
        return image.copy()

    def draw_mistake(self, image, prediction, target, view):
        return image


# The half with torch


class BrightnessNet(nn.Module):
    """A net that is no classifier: one number from the last feature."""

    def __init__(self, model):
        super().__init__()
        self.backbone = Backbone(model)
        self.number = nn.Linear(self.backbone.channels[-1], 1)

    def forward(self, images):
        return self.number(self.backbone(images)[-1].mean((2, 3)))


class BrightnessTorch:
    kind = "brightness"
    finishes = False

    def build_net(self, model):
        return BrightnessNet(model)

    def answers(self, raw):
        return {"brightness": raw.sigmoid().flatten()}

    def finished(self, raw, task):
        return self.answers(raw)

    def loss(self, raw, targets, *, label_smoothing=0.0, class_weights=None):
        return (raw.sigmoid() - targets).square().flatten()

    def targets(self, values, task):
        return torch.tensor(values).view(-1, 1) / 2

    def final_layer(self, net):
        return net.number


@pytest.fixture(autouse=True, scope="module")
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vision_tasks, "TASKS", dict(vision_tasks.TASKS))
        patch.setattr("mobilens.tasks.TASKS", dict(TORCH_TASKS))
        vision_tasks.register_task("brightness", BrightnessVision())
        register_task("brightness", BrightnessTorch())
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("levels") / "levels"
    stream = np.random.default_rng(0)
    for level, name in enumerate(LEVELS):
        (root / name).mkdir(parents=True)
        for number in range(12):
            pixels = stream.normal(40 + 85 * level, 20, (40, 48, 3)).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def result(photos, tmp_path_factory):
    """A run of the toy task."""
    gentle = Augmentation(crop_scale=(0.5, 1.0), policy="none")
    settings = TrainSettings(
        source=(str(photos),),
        recipe=Recipe("toy", epochs=25, batch_size=10, lr=5e-3, ema_epochs=1, augmentation=gentle),
        width=0.25,
        resolution=32,
        weights="none",
        device="cpu",
        task="brightness",
    )
    return run_training(settings, tmp_path_factory.mktemp("run"), SilentObserver())


@pytest.fixture(scope="module")
def delivered(result):
    return deliver(result, SilentObserver())


def test_it_learns(result):
    assert "val_closeness" in result.history[-1]
    assert max(row["val_closeness"] for row in result.history) > 0.8


def test_its_checkpoint_rebuilds_its_own_net(result):
    assert isinstance(build_trained(Checkpoint.load(result.checkpoint)), BrightnessNet)


@pytest.mark.slow
def test_its_file_is_verified(delivered):
    verify_bundle(delivered.file)
    manifest = read_manifest(delivered.file)
    assert manifest.task.kind == "brightness"
    assert manifest.outputs == ("brightness",)
    assert set(manifest.accuracy.file) == {"closeness"}
    assert main(["verify", str(delivered.file)]) == 0


@pytest.mark.slow
def test_its_file_answers_as_the_checkpoint_did(delivered, result, photos):
    predictor = load_predictor(delivered.file)
    path = photos / "100" / "3.png"
    prediction = next(iter(predict_files(predictor, [path]))).prediction
    assert prediction.value > 0.7
    evaluation = evaluate(predictor, result.splits.val)
    assert evaluation.scores.main.value == pytest.approx(
        max(row["val_closeness"] for row in result.history), abs=1e-3
    )


@pytest.mark.slow
def test_the_command_line_knows_it_too(delivered, photos, capsys):
    assert main(["predict", str(delivered.file), str(photos / "0" / "1.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["brightness"] < 0.3
    assert main(["predict", str(delivered.file), str(photos / "0" / "1.png"), "--csv"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == "path,brightness,error"
    assert row.startswith(f"{photos}/0/1.png,0.")
    assert main(["predict", str(delivered.file), str(photos), "--top", "2"]) == 2
    assert "expected: none of --top, --min-score" in capsys.readouterr().err
    assert main(["evaluate", str(delivered.file), str(photos), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["closeness"] > 0.8


@pytest.mark.slow
def test_its_report_shows_its_own_scores(delivered):
    page = delivered.report.read_text()
    assert "<dt>Closeness</dt>" in page
    assert "Closeness on validation, %;" in page
    assert "Ask how bright a photo is, on any machine" in page
    assert "Top-1" not in page
    assert "Calibration" not in page
    assert "Confusion" not in page


# The registry


def test_every_task_stands_on_both_sides():
    assert set(vision_tasks.TASKS) == set(TORCH_TASKS) | {"brightness"}


def test_a_task_is_registered_once():
    register_task("brightness", torch_task("brightness"))
    with pytest.raises(ValueError, match="a task named 'brightness' is already there"):
        register_task("brightness", BrightnessTorch())


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(UnknownNameError, match="no task is named 'clasify'"):
        torch_task("clasify")
