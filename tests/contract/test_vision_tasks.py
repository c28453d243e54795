"""What every task must do, and that a task from outside the package needs nothing else."""

# ruff: noqa: ARG002 - the protocols hand over more than a toy needs
import json
import sys
import types
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from mobilens.cli import main
from mobilens.data.dataset import Dataset, Sample
from mobilens.errors import UnknownNameError, UsageError
from mobilens.evaluation import evaluate
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.vision.boxes import BoxTarget
from mobilens.vision.intervals import Estimate
from mobilens.vision.masks import MaskArray, MaskTarget
from mobilens.vision.points import PointTarget
from mobilens.vision.resize import place
from mobilens.vision.tasks import TASKS, Mistake, Table, register_task, task_vision
from mobilens.vision.view import View
from mobilens.vision.words import Words, sentence_start

STILL = (224, 224)
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
    kind = "brightness"

    @property
    def main(self):
        return Estimate(1 - max(self.errors), 0.0, 1.0)

    @property
    def stated(self):
        return {"closeness": self.main.value}

    def to_json(self):
        return {"max_error": max(self.errors)}

    def tables(self):
        return [Table("Brightness", ("largest error",), ((f"{max(self.errors):.3f}",),))]

    def charts(self):
        return []

    def confused(self):
        return None


class BrightnessMetric:
    def __init__(self):
        self.errors = []

    def update(self, predictions, targets):
        pairs = zip(predictions, targets, strict=True)
        self.errors += [abs(prediction.value - target) for prediction, target in pairs]

    def value(self):
        return self.result().main.value

    def result(self):
        return BrightnessScores(tuple(self.errors))


class BrightnessTask:
    """A task that the package knows nothing of."""

    LABELS = "class"
    MAIN_SCORE = MAIN_TITLE = "closeness"
    RESIZE, RESOLUTION, HEADS = "crop", None, ("classifier",)
    OUTPUT_STRIDE = None
    merge = None
    WORDS, SHOW_OPTIONS, MISTAKE_SIDE = Words(), (), None
    PICTURES: ClassVar = {}

    def decode(self, outputs, task, placements=None):
        assert task.kind == "brightness"
        return [Brightness(float(value)) for value in outputs["brightness"]]

    def new_metric(self, task):
        assert task.kind == "brightness"
        return BrightnessMetric()

    def agree(self, a, b):
        return abs(a.value - b.value) < 0.1

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
        error = abs(prediction.value - target)
        if error < 0.1:
            return None
        return Mistake(f"{target:.2f}", f"{prediction.value:.2f}", error)

    def csv_header(self, task):
        return ["brightness"]

    def csv_rows(self, prediction):
        return [[f"{prediction.value:.3f}"]]

    def draw(self, image, prediction):
        return np.minimum(image, round(255 * prediction.value)).astype(np.uint8)

    def draw_mistake(self, image, prediction, target, view):
        return image


class BrightnessPredictor:
    task = TaskSpec("brightness", ("grey",), Preprocessing(size=(4, 4)))

    def forward(self, pixels):
        return {"brightness": pixels.mean(axis=(1, 2, 3), dtype=np.float32) / 255}


@pytest.fixture(autouse=True)
def _with_the_toy_task(monkeypatch):
    monkeypatch.setattr("mobilens.vision.tasks.TASKS", dict(TASKS))
    register_task("brightness", BrightnessTask())


def boxes(xyxy, classes):
    return BoxTarget(
        np.array(xyxy, np.float32), np.array(classes, np.int64), np.zeros(len(classes), bool)
    )


def mask(classes):
    return MaskTarget(MaskArray(classes.astype(np.uint8)), (0, 1))


def heatmap(x, y):
    plane = np.full((8, 8, 1), -9, np.float32)
    plane[y, x] = 0
    return plane


def points(at):
    known = np.ones(len(at), bool)
    return PointTarget(np.array(at, np.float32), known, known, np.arange(len(at)), 900.0)


# One batch of raw outputs, the truth for each image, and the task.
CASES = {
    "classify": (
        {"probabilities": np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], dtype=np.float32)},
        [0, 2],
        TaskSpec("classify", ("cat", "dog", "eel")),
    ),
    "detect": (
        {
            "boxes": np.array([[[2, 2, 20, 20]], [[2, 2, 20, 20]]], dtype=np.float32),
            "scores": np.array([[[0.9, 0.1]], [[0.1, 0.8]]], dtype=np.float32),
        },
        [boxes([[2, 2, 20, 21]], [0]), boxes([[2, 2, 20, 21]], [0])],
        TaskSpec("detect", ("cat", "dog")),
    ),
    "segment": (
        {"classes": np.stack([np.eye(8, dtype=np.float32), np.ones((8, 8), np.float32)])},
        [mask(np.eye(8)), mask(np.eye(8))],
        TaskSpec("segment", ("sky", "road", "car")),
    ),
    "keypoints": (
        {"heatmaps": np.stack([heatmap(4, 4), heatmap(6, 1)])},
        [points([[126, 126]]), points([[14, 14]])],
        TaskSpec("keypoints", ("nose",)),
    ),
    "embed": (
        {"embeddings": np.array([[1, 0], [0.8, 0.6], [1, 0.05], [0, 1]], np.float32)},
        [0, 1, 0, 1],
        TaskSpec("embed", ()),
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
        assert "\n" not in vision.text(prediction)
        json.dumps(prediction.to_json(), allow_nan=False)
        assert vision.agree(prediction, prediction)
    assert not vision.agree(*predictions[:2])
    # The first answer is right and the second is wrong.
    right, mistake, *_ = mistakes = vision.mistakes(predictions, targets)
    assert right is None
    still = View.of(place(STILL, Preprocessing(size=STILL, resize="squash")))
    moved = [vision.move(target, still) for target in targets]
    assert vision.mistakes(predictions, moved) == mistakes
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
    assert scores.kind == kind
    assert scores.stated[vision.MAIN_SCORE] == scores.main.value
    assert all(0 <= value <= 1 for value in scores.stated.values())
    assert 0 <= scores.main.low <= scores.main.value <= scores.main.high <= 1
    for table in scores.tables():
        assert table.rows
        assert all(len(row) == len(table.header) for row in table.rows)
        assert all(isinstance(cell, str) for row in table.rows for cell in row)
    for chart in scores.charts():
        assert chart.curves
        assert all(0 <= x <= 1 and 0 <= y <= 1 for one in chart.curves for x, y in one.points)
    if confused := scores.confused():
        assert confused.counts.shape == (len(confused.names), len(confused.names))


# A value of each option by which a person chooses how much of an answer is shown.
SHOWN = {"top": 1, "min_score": 0.5}


@pytest.mark.parametrize("kind", CASES)
def test_what_is_shown_of_an_answer_can_be_chosen(kind):
    outputs, _, task = CASES[kind]
    vision = task_vision(kind)
    show = {name: SHOWN[name] for name in vision.SHOW_OPTIONS}
    for prediction in vision.decode(outputs, task):
        for options in ({}, show):
            json.dumps(prediction.to_json(**options), allow_nan=False)
            assert "\n" not in vision.text(prediction, **options)
            assert vision.draw(IMAGE, prediction, **options).dtype == np.uint8
            header = vision.csv_header(task, **options)
            rows = vision.csv_rows(prediction, **options)
            assert all(len(row) == len(header) for row in rows)
            assert all(isinstance(cell, str) for row in rows for cell in row)


@pytest.mark.parametrize("kind", CASES)
def test_pictures_are_of_the_images_size_or_refused(kind):
    outputs, _, task = CASES[kind]
    vision = task_vision(kind)
    before = IMAGE.copy()
    for make in vision.PICTURES.values():
        with suppress(UsageError):
            render = make(task)
            for prediction in vision.decode(outputs, task):
                assert render(IMAGE, prediction).size == (60, 40)
    assert np.array_equal(IMAGE, before)


@pytest.mark.parametrize("kind", CASES)
def test_a_picture_shows_what_is_wrong(kind):
    outputs, targets, task = CASES[kind]
    vision = task_vision(kind)
    prediction, target = vision.decode(outputs, task)[1], targets[1]
    # The image itself has twice the sides of the picture.
    view = View.of(place((80, 120), Preprocessing(size=(40, 60), resize="squash")))
    before = IMAGE.copy()
    drawn = vision.draw_mistake(IMAGE, prediction, target, view)
    assert (drawn.shape, drawn.dtype) == (IMAGE.shape, np.uint8)
    assert np.array_equal(IMAGE, before)
    assert np.array_equal(drawn, IMAGE) == (vision.MISTAKE_SIDE is None)


@pytest.mark.parametrize("kind", CASES)
def test_every_task_has_words(kind):
    outputs, targets, task = CASES[kind]
    vision = task_vision(kind)
    words = vision.WORDS
    mistake = vision.mistakes(vision.decode(outputs, task), targets)[1]
    assert mistake.answered in words.answer_of(mistake)
    assert mistake.expected in words.truth_of(mistake)
    assert "%" in words.severity_of(mistake)
    assert words.mistakes.endswith(".")
    assert all((words.use, words.counted, words.severity))
    assert bool(words.strokes) == (vision.MISTAKE_SIDE is not None)


def test_the_words_of_the_tasks_are_their_own():
    classify, detect = task_vision("classify").WORDS, task_vision("detect").WORDS
    mistake = Mistake("3 cat", "2 cat, 1 dog", 0.5)
    assert (classify.answer_of(mistake), classify.severity_of(mistake)) == ("2 cat, 1 dog", "50 %")
    assert classify.truth_of(mistake) == "is 3 cat"
    assert classify.legend() == ""
    assert detect.answer_of(mistake) == "found 2 cat, 1 dog"
    assert detect.severity_of(mistake) == "(50 % wrong)"
    assert detect.truth_of(mistake) == "there: 3 cat"
    assert detect.legend() == (
        "blue: found and right; orange: found and wrong; dashed purple: missed"
    )
    assert [sentence_start(one) for one in ("top-1", "mAP", "mIoU")] == ["Top-1", "mAP", "mIoU"]


def test_the_help_of_train_names_every_task_and_head(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    for kind, task in TASKS.items():
        assert kind in words
        if isinstance(task, str) and len(heads := task_vision(kind).HEADS) > 1:
            assert all(head in words for head in heads)


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
        "  expected: one of classify, detect, segment, keypoints, embed, brightness",
        "  try: classify",
    ]


def test_a_name_is_not_taken_twice():
    register_task("classify", "mobilens.vision.classification")
    with pytest.raises(ValueError, match="a task named 'classify' is already there"):
        register_task("classify", BrightnessTask())
