"""``mobilens check`` from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilens.cli import main


def write_photos(root: Path, counts: dict[str, int], level: dict[str, int]) -> Path:
    """Noisy pictures, class by class darker or lighter."""
    rng = np.random.default_rng(0)
    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        for index in range(count):
            low = level[label]
            noise = rng.integers(low, low + 100, (8, 8, 3), np.uint8)
            picture = Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC)
            picture.save(root / label / f"{index:02}.png")
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", {"dark": 60, "light": 60}, {"dark": 0, "light": 150})


def test_clean_data(photos: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(photos)]) == 0
    out, err = capsys.readouterr()
    assert out == (
        f"{photos}: 120 images, 2 classes, short side 64 to 64 pixels (median 64)\n"
        "\n"
        "class  train  val\n"
        "-----  -----  ---\n"
        "dark      48   12\n"
        "light     48   12\n"
        "all       96   24\n"
        "\n"
        "- no validation part: 24 of 120 images are held out "
        "(20% of each class, chosen by a hash of the file's name)\n"
        "\n"
        "1 note\n"
        "  on 24 images to measure on, a top-1 of 92 % stands for anything from 74 to 98 % "
        "(95 % interval)\n"
        "\n"
        "Nothing found that would spoil a result.\n"
    )
    assert err == ""


def test_as_much_is_held_out_as_training_shall(photos: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(photos), "--val-fraction", "0.5"]) == 0
    assert "60 of 120 images are held out (50% of each class" in capsys.readouterr().out


def test_problems_give_exit_code_1_and_examples(photos: Path, capsys: pytest.CaptureFixture[str]):
    for index in range(9):
        (photos / "dark" / f"bad{index}.jpg").write_bytes(b"no picture")
    assert main(["check", str(photos)]) == 1
    out = capsys.readouterr().out
    assert "1 problem that would spoil a result\n  9 files of 129 cannot be read" in out
    assert "      dark/bad" in out
    assert "      ... and 4 more (--json lists all)\n" in out
    assert "Nothing found" not in out


def test_data_that_cannot_be_used_is_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "--json", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    value = json.loads(printed.out)
    assert value["data"] == str(tmp_path)
    assert value["error"].startswith(f"{tmp_path} holds no images")
    assert printed.err == ""


def test_json_lists_all(photos: Path, capsys: pytest.CaptureFixture[str]):
    for index in range(9):
        (photos / "dark" / f"bad{index}.jpg").write_bytes(b"no picture")
    assert main(["check", "--json", str(photos)]) == 1
    value = json.loads(capsys.readouterr().out)
    assert value["data"] == str(photos)
    assert value["num_problems"] == 1
    assert value["counts"]["val"]["light"] == 12
    unreadable = value["findings"][0]
    assert (unreadable["kind"], len(unreadable["items"])) == ("unreadable", 9)


def test_several_patterns(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(photos)
    assert main(["check", "night=dark/*.png", "light/*.png"]) == 0
    assert "night     48   12" in capsys.readouterr().out


def test_many_classes_are_shown_in_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = {f"c{index}": 2 for index in range(50)}
    write_photos(tmp_path / "many", names, dict.fromkeys(names, 0))
    main(["check", str(tmp_path / "many")])
    assert "(10 larger ones)" in capsys.readouterr().out


def test_data_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "photo.jpg").write_bytes(b"")
    assert main(["check", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"mobilens check: {tmp_path} holds 1 images and no class folders\n")


@pytest.fixture
def coloured(tmp_path: Path) -> Path:
    """Reddish, greenish and bluish pictures, for the toy model."""
    rng = np.random.default_rng(0)
    for channel, label in enumerate(("red", "green", "blue")):
        (tmp_path / "coloured" / label).mkdir(parents=True)
        for index in range(15):
            pixels = rng.integers(0, 80, (8, 8, 3), np.uint8)
            pixels[:, :, channel] += 120
            picture = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)
            picture.save(tmp_path / "coloured" / label / f"{index:02}.png")
    return tmp_path / "coloured"


def test_a_model_finds_wrong_labels(coloured: Path, toy: Path, capsys: pytest.CaptureFixture[str]):
    Image.new("RGB", (64, 64), (255, 0, 0)).save(coloured / "blue" / "wrong.png")
    (coloured / "green" / "damaged.png").write_bytes(b"no picture")
    main(["check", str(coloured), "--model", str(toy), "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    suspects = next(one for one in findings if one["kind"] == "mislabelled")
    assert suspects["message"] == "1 label of 37 that the model finds hard to believe"
    assert suspects["items"] == [
        {
            "text": "blue/wrong.png: labelled blue (0 %), looks like red (100 %)",
            "paths": ["blue/wrong.png"],
        }
    ]


def test_a_model_that_believes_every_label(
    coloured: Path, toy: Path, capsys: pytest.CaptureFixture[str]
):
    main(["check", str(coloured), "--model", str(toy)])
    assert "hard to believe" not in capsys.readouterr().out


def test_a_model_of_other_classes(coloured: Path, toy: Path, capsys: pytest.CaptureFixture[str]):
    (coloured / "red").rename(coloured / "scarlet")
    assert main(["check", str(coloured), "--model", str(toy)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "has classes that the model does not know: scarlet" in err
