"""What every task must do, and that a task from outside the package needs nothing else."""

import json
import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from mobilens.data.dataset import Dataset, Sample
from mobilens.errors import UnknownNameError
from mobilens.evaluation import evaluate
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.vision.intervals import Estimate
from mobilens.vision.tasks import TASKS, Mistake, Table, register_task, task_vision

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Brightness:
    """A toy answer: one number an image."""

    value: float

    def to_json(self):
        return {"brightness": self.value}


@dataclass(frozen=True)
class BrightnessScores:
    errors: tuple[float, ...]

    @property
    def main(self):
        return Estimate(1 - max(self.errors), 0.0, 1.0)

    def to_json(self):
        return {"max_error": max(self.errors)}

    def tables(self):
        return [Table("Brightness", ("largest error",), ((f"{max(self.errors):.3f}",),))]


class BrightnessMetric:
    def __init__(self):
        self.errors = []

    def update(self, predictions, targets):
        pairs = zip(predictions, targets, strict=True)
        self.errors += [abs(prediction.value - target) for prediction, target in pairs]

    def result(self):
        return BrightnessScores(tuple(self.errors))


class BrightnessTask:
    """A task that the package knows nothing of."""

    def decode(self, outputs, task):
        assert task.kind == "brightness"
        return [Brightness(float(value)) for value in outputs["brightness"]]

    def new_metric(self, task):
        assert task.kind == "brightness"
        return BrightnessMetric()

    def agree(self, a, b):
        return abs(a.value - b.value) < 0.1

    def mistake(self, prediction, target):
        error = abs(prediction.value - target)
        if error < 0.1:
            return None
        return Mistake(f"{target:.2f}", f"{prediction.value:.2f}", error)

    def draw(self, image, prediction):
        return np.minimum(image, round(255 * prediction.value)).astype(np.uint8)


class BrightnessPredictor:
    task = TaskSpec("brightness", ("grey",), Preprocessing(size=(4, 4)))

    def forward(self, pixels):
        return {"brightness": pixels.mean(axis=(1, 2, 3), dtype=np.float32) / 255}


@pytest.fixture(autouse=True)
def _with_the_toy_task(monkeypatch):
    monkeypatch.setattr("mobilens.vision.tasks.TASKS", dict(TASKS))
    register_task("brightness", BrightnessTask())


# One batch of raw outputs, the truth for each image, and the task.
CASES = {
    "classify": (
        {"probabilities": np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], dtype=np.float32)},
        [0, 2],
        TaskSpec("classify", ("cat", "dog", "eel")),
    ),
    "brightness": (
        {"brightness": np.array([0.5, 0.9], dtype=np.float32)},
        [0.52, 0.3],
        TaskSpec("brightness", ("grey",)),
    ),
}


def test_every_task_has_a_case():
    assert set(CASES) == {*TASKS, "brightness"}


@pytest.mark.parametrize("kind", CASES)
def test_a_task_decodes_measures_compares_and_draws(kind):
    outputs, targets, task = CASES[kind]
    vision = task_vision(kind)
    predictions = vision.decode(outputs, task)
    assert len(predictions) == len(targets)
    for prediction in predictions:
        json.dumps(prediction.to_json(), allow_nan=False)
        assert vision.agree(prediction, prediction)
    assert not vision.agree(*predictions)
    # Of these two answers, the first is right and the second is wrong.
    assert vision.mistake(predictions[0], targets[0]) is None
    mistake = vision.mistake(predictions[1], targets[1])
    assert mistake.expected != mistake.answered
    assert 0 < mistake.severity <= 1

    before = IMAGE.copy()
    drawn = vision.draw(IMAGE, predictions[0])
    assert (drawn.dtype, drawn.ndim, drawn.shape[2]) == (np.uint8, 3, 3)
    assert drawn.shape[1] == IMAGE.shape[1]
    assert np.array_equal(IMAGE, before)

    metric = vision.new_metric(task)
    metric.update(predictions[:1], targets[:1])
    metric.update(predictions[1:], targets[1:])
    scores = metric.result()
    json.dumps(scores.to_json(), allow_nan=False)
    assert 0 <= scores.main.low <= scores.main.value <= scores.main.high <= 1
    for table in scores.tables():
        assert table.rows
        assert all(len(row) == len(table.header) for row in table.rows)
        assert all(isinstance(cell, str) for row in table.rows for cell in row)


def test_a_task_from_outside_is_evaluated_like_any_other(tmp_path):
    samples = []
    for index, (value, target) in enumerate(((51, 0.2), (204, 0.8), (255, 0.5))):
        path = tmp_path / f"{index}.png"
        Image.new("L", (9, 9), value).save(path)
        samples.append(Sample(path, target))
    dataset = Dataset(tmp_path, "val", ("grey",), tuple(samples))
    evaluation = evaluate(BrightnessPredictor(), dataset, threads=1)
    assert evaluation.scores.main.value == pytest.approx(0.5)
    assert [one.path for one in evaluation.wrong] == ["2.png"]


def test_a_task_may_be_a_module_named_and_imported_when_used(monkeypatch):
    module = types.ModuleType("toy_task_module")
    register_task("later", "toy_task_module")
    with pytest.raises(ModuleNotFoundError):
        task_vision("later")
    monkeypatch.setitem(sys.modules, "toy_task_module", module)
    assert task_vision("later") is module


def test_an_unknown_task_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError) as refused:
        task_vision("clasify")
    assert str(refused.value).splitlines() == [
        "no task is named 'clasify'",
        "  expected: one of classify, brightness",
        "  try: classify",
    ]


def test_a_name_is_not_taken_twice():
    register_task("classify", "mobilens.vision.classification")
    with pytest.raises(ValueError, match="a task named 'classify' is already there"):
        register_task("classify", BrightnessTask())
