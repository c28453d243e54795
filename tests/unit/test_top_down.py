"""A detector finds things, and a model of keypoints looks at each."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilens import Region
from mobilens.cli import main
from mobilens.errors import UnknownNameError, UsageError
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.vision.predictor import Learnt, Pixels, RawOutputs
from mobilens.vision.top_down import TopDownPrediction, predict_points

RED, BLUE, WHITE = (220, 0, 0), (0, 0, 220), (255, 255, 255)
# Left, top, right, bottom of two squares in photos of 200 x 100, and where each has its white spot.
SQUARES = {RED: ((20, 30, 60, 70), (30, 60)), BLUE: ((120, 10, 160, 50), (150, 40))}


class Detector:
    """Finds the squares by their colour; everything else is black."""

    task = TaskSpec("detect", ("red", "blue"), Preprocessing(size=(50, 100), resize="letterbox"))
    learnt = Learnt()

    def forward(self, pixels: Pixels) -> RawOutputs:
        found = np.zeros((len(pixels), 3, 6), np.float32)
        for one, image in enumerate(pixels):
            for number, channel in enumerate((0, 2)):
                rows, columns = np.nonzero((image[..., channel] > 100) & (image[..., 1] < 100))
                if len(rows):
                    edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                    found[one, number] = (*edges, 0.9 - number / 10, number)
            found[one, 2] = (0, 0, 10, 10, 0.1, 0)  # too unsure to be shown
        return {"detections": found}


class Pose:
    """Finds white spots."""

    task = TaskSpec("keypoints", ("spot",), Preprocessing(size=(64, 64), resize="letterbox"))
    learnt = Learnt()

    def __init__(self) -> None:
        self.batches: list[int] = []

    def forward(self, pixels: Pixels) -> RawOutputs:
        self.batches.append(len(pixels))
        return {"heatmaps": pixels.min(3, keepdims=True).astype(np.float32) / 10}


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, *colours: tuple[int, int, int]) -> Path:
        pixels = np.zeros((100, 200, 3), np.uint8)
        for colour in colours:
            (left, top, right, bottom), (x, y) = SQUARES[colour]
            pixels[top:bottom, left:right] = colour
            pixels[y - 2 : y + 2, x - 2 : x + 2] = WHITE
        Image.fromarray(pixels).save(tmp_path / name)
        return tmp_path / name

    return write


def spots(prediction: TopDownPrediction) -> dict[str, list[float]]:
    points = [one.points[0] for one in prediction.points]
    return {
        label: [round(float(side)) for side in point]
        for label, point in zip(prediction.things.labels, points, strict=True)
    }


def test_each_thing_is_looked_at_by_itself(photo: Callable[..., Path], tmp_path: Path):
    paths = [photo("a.png", RED, BLUE), tmp_path / "none.png", photo("b.png"), photo("c.png", BLUE)]
    pose = Pose()
    a, missing, b, c = predict_points(Detector(), pose, paths, batch_size=4)
    assert spots(a.prediction) == {"red": [30, 60], "blue": [150, 40]}
    assert spots(b.prediction) == {}
    assert spots(c.prediction) == {"blue": [150, 40]}
    assert (missing.path, missing.prediction) == (str(paths[1]), None)
    assert missing.error == "there is no such file"
    # Things of several photos are looked at together.
    assert pose.batches == [3]


def test_only_the_things_that_are_meant(photo: Callable[..., Path]):
    (found,) = predict_points(Detector(), Pose(), [photo("a.png", RED, BLUE)], things=["blue"])
    assert list(spots(found.prediction)) == ["blue"]
    with pytest.raises(UnknownNameError, match="no thing is named 'bleu'"):
        predict_points(Detector(), Pose(), [], things=["bleu"])


def test_a_region_names_a_file_and_a_box_with_sides():
    region = Region.around("a.jpg", np.array([10, 20, 50, 60], np.float32))
    assert region == Region(Path("a.jpg"), (5.0, 15.0, 55.0, 65.0))
    for box in ((1, 2, 1, 4), (0, 0, 5, float("nan"))):
        with pytest.raises(UsageError, match=r"(?s)the region is .* each side longer than 0"):
            Region(Path("a.jpg"), box)


# On the command line


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"detector.onnx": Detector(), "pose.onnx": Pose()}
    monkeypatch.setattr("mobilens.model.open_predictor", lambda path, **_: models[path])


@pytest.mark.usefixtures("files")
def test_rows_and_pictures(photo: Callable[..., Path], tmp_path: Path, capsys):
    path = photo("a.png", RED, BLUE)
    command = ["predict", "pose.onnx", str(path), "--detector", "detector.onnx"]
    assert main(command) == 0
    line = capsys.readouterr().out
    assert line.startswith(f"{path}: red 90 % at 20 30 60 70: spot ")
    assert "; blue 80 % at 120 10 160 50: spot " in line
    assert main([*command, "--json", "--thing", "red", "--draw", str(tmp_path / "drawn")]) == 0
    (thing,) = json.loads(capsys.readouterr().out)["objects"]
    assert (thing["label"], thing["box_xyxy"]) == ("red", [20, 30, 60, 70])
    assert [point["label"] for point in thing["points"]] == ["spot"]
    drawn = np.asarray(Image.open(tmp_path / "drawn" / "a.png"))
    assert (drawn[60, 30] != WHITE).any()
    assert main([*command, "--csv", "--min-score", "1"]) == 0
    first, *_ = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (first["thing"], first["right"]) == ("red", "60.0")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pose.onnx", "--thing", "red"], "--thing red without --detector"),
        (["detector.onnx", "--detector", "detector.onnx"], "--detector means nothing to detector"),
        (["pose.onnx", "--detector", "pose.onnx"], "--detector pose.onnx answers no boxes"),
        (
            ["pose.onnx", "--detector", "detector.onnx", "--thing", "green"],
            "no thing is named 'green'",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments: list[str], words: str, capsys):
    assert main(["predict", *arguments, "a.jpg"]) == 2
    assert words in capsys.readouterr().err
