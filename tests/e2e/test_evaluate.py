"""``mobilens evaluate`` from the command line to the numbers."""

import json

import numpy as np
import pytest
from PIL import Image

from mobilens.cli import main

COLOURS = {"blue": (0, 0, 200), "green": (0, 200, 0), "red": (200, 0, 0)}


def write(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), colour).save(path)


@pytest.fixture
def colours(tmp_path):
    """Colours with a training and a validation part; one wrong label, one broken file."""
    root = tmp_path / "colours"
    for split, count in (("train", 3), ("val", 2)):
        for name, colour in COLOURS.items():
            for index in range(count):
                write(root / split / name / f"{index}.png", colour)
    write(root / "val" / "blue" / "mislabelled.png", COLOURS["red"])
    (root / "val" / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return root


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of a net that was never trained."""
    from mobilens.nn.backbone import build
    from mobilens.nn.checkpoint import Checkpoint
    from mobilens.spec.task import Preprocessing, TaskSpec
    from mobilens.spec.zoo import build_spec

    spec = build_spec("mobilenet_v3_small", width_mult=0.25, resolution=32, num_classes=3)
    task = TaskSpec("classify", ("red", "green", "blue"), Preprocessing(size=(32, 32)))
    path = tmp_path / "best.safetensors"
    Checkpoint(spec, task, build(spec).state_dict()).save(path)
    return path


def test_a_model_file_is_measured_in_its_own_class_order(toy, colours, capsys):
    assert main(["evaluate", str(toy), str(colours), "--json", "--threads", "1"]) == 0
    printed = capsys.readouterr()
    value = json.loads(printed.out)
    assert value["class_names"] == ["red", "green", "blue"]
    assert value["num_images"] == 7
    assert value["top1"] == pytest.approx(6 / 7)
    assert value["top5"] == 1
    assert value["per_class"]["blue"]["recall"] == pytest.approx(2 / 3)
    assert value["dataset"]["split"] == "val"
    assert [file["path"] for file in value["skipped"]] == ["red/broken.jpg"]
    assert [one["path"] for one in value["worst_mistakes"]] == ["blue/mislabelled.png"]


def test_a_checkpoint_is_measured_by_the_same_code(checkpoint, toy, colours, capsys):
    values = []
    for model in (checkpoint, toy):
        assert main(["evaluate", str(model), str(colours), "--json"]) == 0
        values.append(json.loads(capsys.readouterr().out))
    assert values[0].keys() == values[1].keys()
    assert values[0]["dataset"] == values[1]["dataset"]
    assert values[0]["num_images"] == 7


def test_text_tells_a_person_the_figures_and_the_worst(toy, colours, capsys):
    assert main(["evaluate", str(toy), str(colours)]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith(f"{toy} on colours (val), ")
    assert any(line.split()[:2] == ["top-1", "85.7"] for line in lines)
    assert any(line.split()[:2] == ["green", "2"] for line in lines)
    for words in ("Most confused", "Calibration", "Worst of 1 mistakes", "Skipped, 1 unreadable"):
        assert words in out
    assert "blue/mislabelled.png" in out
    assert "red/broken.jpg" in out


@pytest.mark.parametrize(("split", "images"), [("val", 7), ("train", 9), ("all", 16)])
def test_splits(toy, colours, capsys, split, images):
    assert main(["evaluate", str(toy), str(colours), "--split", split, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_images"] == images


def test_undivided_data_is_measured_whole_with_a_word_about_it(toy, colours, capsys):
    assert main(["evaluate", str(toy), str(colours / "train"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["num_images"] == 9
    assert "no validation part: all 9 images are measured" in printed.err


def test_grid_draws_the_worst_mistakes(toy, colours, tmp_path, capsys):
    grid = tmp_path / "grid.png"
    assert main(["evaluate", str(toy), str(colours), "--grid", str(grid), "--json"]) == 0
    assert f"the 1 worst of 1 mistakes: {grid}" in capsys.readouterr().err
    pixels = np.asarray(Image.open(grid))
    assert (pixels == COLOURS["red"]).all(axis=2).sum() == 240 * 240
    assert [path.name for path in tmp_path.iterdir() if "grid" in path.name] == ["grid.png"]


def test_no_mistakes_no_grid(toy, colours, tmp_path, capsys):
    grid = tmp_path / "grid.png"
    train = str(colours / "train")
    assert main(["evaluate", str(toy), train, "--grid", str(grid)]) == 0
    assert "no mistakes to draw" in capsys.readouterr().err
    assert not grid.exists()


def test_a_class_that_the_model_does_not_know_is_refused(toy, colours, capsys):
    write(colours / "val" / "yellow" / "0.png", (200, 200, 0))
    assert main(["evaluate", str(toy), str(colours)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "yellow" in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["MODEL", "/no/such/folder"], 1),
        (["/no/such/model.onnx", "DATA"], 1),
        (["/no/such/best.safetensors", "DATA"], 1),
    ],
)
def test_what_is_missing_is_named_without_a_traceback(toy, colours, capsys, arguments, code):
    given = {"MODEL": str(toy), "DATA": str(colours)}
    assert main(["evaluate", *(given.get(word, word) for word in arguments)]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "/no/such" in printed.err


@pytest.mark.parametrize("option", [["--batch-size", "0"], ["--threads", "x"], ["--split", "no"]])
def test_wrong_use_is_exit_code_2(toy, colours, option):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", str(toy), str(colours), *option])
    assert stopped.value.code == 2


def test_a_grid_that_cannot_be_written_is_refused_before_measuring(toy, colours, tmp_path, capsys):
    for grid in (tmp_path, tmp_path / "none" / "grid.png", tmp_path / "grid.jpg"):
        assert main(["evaluate", str(toy), str(colours), "--grid", str(grid)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err == (
            f"mobilens evaluate: --grid {grid} cannot be written\n"
            "  expected: a .png file in a folder that exists\n"
        )
