"""Evaluation: any predictor on any data set."""

import json

import numpy as np
import pytest
from PIL import Image

from mobilens.data.dataset import load_split
from mobilens.errors import DataError
from mobilens.evaluation import dataset_name, evaluate
from mobilens.spec.task import Preprocessing, TaskSpec

COLOURS = {"blue": (20, 20, 220), "green": (20, 220, 20), "red": (220, 20, 20)}


class ColourPredictor:
    """Answers with the shares of blue, green and red in an image."""

    def __init__(self, class_names=tuple(COLOURS)):
        self.task = TaskSpec("classify", class_names, Preprocessing(size=(8, 8), resize="squash"))
        self.batches = []

    def forward(self, pixels):
        self.batches.append(len(pixels))
        sums = pixels.astype(np.float32).mean(axis=(1, 2))[:, ::-1]
        return {"probabilities": sums / sums.sum(axis=1, keepdims=True)}


def write(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 12), colour).save(path)


@pytest.fixture
def colours(tmp_path):
    """Seven images; one red image is named blue, and one file is no image."""
    root = tmp_path / "colours"
    for name, colour in COLOURS.items():
        for index in range(2):
            write(root / "val" / name / f"{index}.png", colour)
    write(root / "val" / "blue" / "9 wrong.png", COLOURS["red"])
    (root / "val" / "green" / "5.png").write_bytes(b"not an image")
    return root


def test_scores_skips_and_names_the_worst(colours):
    predictor = ColourPredictor()
    evaluation = evaluate(predictor, load_split(colours), batch_size=4, threads=1)
    assert evaluation.num_images == len(evaluation.samples) == len(evaluation.predictions) == 7
    assert evaluation.scores.main.value == pytest.approx(6 / 7)
    assert [sample.target for sample in evaluation.samples] == [0, 0, 0, 1, 1, 2, 2]
    (skipped,) = evaluation.skipped
    assert skipped.path == "green/5.png"
    assert skipped.reason
    (wrong,) = evaluation.wrong
    assert (wrong.path, wrong.mistake.expected, wrong.mistake.answered) == (
        "blue/9 wrong.png",
        "blue",
        "red",
    )
    assert wrong.sample.path.is_file()
    assert wrong.mistake.severity == pytest.approx(220 / 260, abs=1e-3)
    assert max(predictor.batches) == 4


def test_json_says_what_was_measured_on_what(colours):
    dataset = load_split(colours)
    value = evaluate(ColourPredictor(), dataset, threads=1).to_json()
    value = json.loads(json.dumps(value, allow_nan=False))
    assert value["top1"] == pytest.approx(6 / 7)
    assert value["top1_interval"][0] < 6 / 7 < value["top1_interval"][1]
    assert value["top5"] == 1
    assert value["num_images"] == 7
    assert list(value["per_class"]) == list(COLOURS)
    assert value["confusion"] == [[2, 0, 1], [0, 2, 0], [0, 0, 2]]
    assert value["dataset"] == {
        "name": "colours",
        "split": "val",
        "fingerprint": dataset.fingerprint(),
        "num_images": 8,
    }
    assert [file["path"] for file in value["skipped"]] == ["green/5.png"]
    assert value["num_wrong"] == 1
    assert value["worst_mistakes"][0]["path"] == "blue/9 wrong.png"
    assert value["seconds"] >= 0


def test_mistakes_come_worst_first(tmp_path):
    for index, red in enumerate((130, 250, 190)):
        write(tmp_path / "blue" / f"{index}.png", (red, 0, 100))
    write(tmp_path / "green" / "0.png", COLOURS["green"])
    write(tmp_path / "red" / "0.png", COLOURS["red"])
    wrong = evaluate(ColourPredictor(), load_split(tmp_path), threads=1).wrong
    assert [one.path for one in wrong] == ["blue/1.png", "blue/2.png", "blue/0.png"]


def test_every_answer_stays_at_hand(colours):
    predictor = ColourPredictor()
    evaluation = evaluate(predictor, load_split(colours), threads=1)
    probabilities = np.stack([one.probabilities for one in evaluation.predictions])
    assert probabilities.shape == (7, 3)
    assert probabilities.argmax(axis=1).tolist() == [0, 0, 2, 1, 1, 2, 2]


def test_batch_size_changes_nothing(colours):
    def scores(batch_size):
        value = evaluate(
            ColourPredictor(), load_split(colours), batch_size=batch_size, threads=1
        ).to_json()
        return {key: item for key, item in value.items() if key != "seconds"}

    assert scores(1) == scores(5) == scores(64)


def test_an_observer_sees_every_result(colours, watcher):
    evaluate(ColourPredictor(), load_split(colours), threads=1, observer=watcher, label="look")
    assert watcher.bars == [("look", 8)]
    assert len(watcher.seen) == 8


def test_classes_of_the_model_in_its_order(colours):
    names = ("red", "green", "blue")
    dataset = load_split(colours, class_names=names)

    class Reversed(ColourPredictor):
        def forward(self, pixels):
            return {"probabilities": super().forward(pixels)["probabilities"][:, ::-1]}

    evaluation = evaluate(Reversed(names), dataset, threads=1)
    assert evaluation.scores.main.value == pytest.approx(6 / 7)


def test_other_classes_than_the_models_are_refused(colours):
    predictor = ColourPredictor(("blue", "green", "yellow"))
    with pytest.raises(DataError) as refused:
        evaluate(predictor, load_split(colours))
    assert str(refused.value).splitlines() == [
        "the data set's classes are not the model's",
        "  expected: the 3 classes of the model, in its order",
        "  try: only in the data: red; only in the model: yellow",
    ]
    assert predictor.batches == []


def test_another_class_order_is_refused(colours):
    with pytest.raises(DataError, match="load the data with the model's class_names"):
        evaluate(ColourPredictor(("red", "green", "blue")), load_split(colours))


def test_nothing_readable_is_an_error_with_the_first_reason(tmp_path):
    for name in COLOURS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"no")
    with pytest.raises(DataError) as refused:
        evaluate(ColourPredictor(), load_split(tmp_path), threads=1)
    assert "none of the 3 files" in str(refused.value)
    assert "the first says: " in str(refused.value)


def test_a_data_set_is_named_by_its_folder(colours, tmp_path):
    assert dataset_name(load_split(colours)) == "colours"
    assert dataset_name(load_split(colours / "val")) == "colours"
    for name in COLOURS:
        write(tmp_path / "plain" / name / "0.png", COLOURS[name])
    assert dataset_name(load_split(tmp_path / "plain")) == "plain"
