"""``mobilens index``, ``search`` and ``groups`` as a person and a program run them."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilens.cli import main

TINTS = {"red": (220, 60, 50), "green": (50, 210, 70)}


@pytest.fixture
def place(
    tmp_path: Path, write_toy_embedder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with photos of two colours, a file that is none, and a model."""
    monkeypatch.chdir(tmp_path)
    write_toy_embedder(tmp_path / "toy.onnx")
    for number, (tint, colour) in enumerate(TINTS.items()):
        (tmp_path / "photos" / tint).mkdir(parents=True)
        for index in range(2):
            blobs = np.random.default_rng(10 * number + index).integers(-70, 70, (12, 12, 3))
            picture = Image.fromarray((blobs + np.array(colour)).clip(0, 255).astype(np.uint8))
            picture.resize((64, 48)).save(tmp_path / "photos" / tint / f"{index}.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"no image")
    return tmp_path


def index(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "photos", "--model", "toy.onnx"]) == 0
    assert (place / "photos.index").is_dir()
    capsys.readouterr()


def test_an_album_is_made_under_the_name_of_its_photos(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", "photos", "--model", "toy.onnx"]) == 0
    out, err = capsys.readouterr()
    assert out == (
        "photos.index: 4 photos, 12 numbers each\n"
        "  4 answered, 0 dropped, 1 could not be read\n"
        "  try: mobilens search IMAGE --index photos.index\n"
    )
    assert err == "photos/broken.png: error: not an image of a known format\n"
    assert (place / "photos.index" / "index.json").is_file()

    (place / "photos" / "red" / "0.png").unlink()
    assert main(["index", ".", "--model", "toy.onnx", "--out", "photos.index", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["photos"], report["answered"], report["dropped"]) == (3, 0, 1)
    assert report["skipped"][0]["path"] == "./photos/broken.png"


def test_the_default_name_where_there_is_no_folder(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", "photos/*/*.png", "--model", "toy.onnx"]) == 0
    assert capsys.readouterr().out.startswith("photos.index: 4 photos")
    assert main(["index", ".", "--model", "toy.onnx", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["index"] == f"{place.name}.index"


def test_searching(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index(place, capsys)
    words = ["search", "photos/red/0.png", "absent.png", "--index", "photos.index"]
    assert main([*words, "--top", "1"]) == 0
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert first.startswith("photos/red/0.png: photos/red/1.png ")
    assert second == "absent.png: error: there is no such file"
    assert err == "1 image searched for, 1 could not be read\n"

    assert main([*words, "--json", "--draw", "found.png"]) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [one["path"] for one in rows[0]["nearest"]][:1] == ["photos/red/1.png"]
    assert len(rows[0]["nearest"]) == 3
    assert rows[1] == {"path": "absent.png", "error": "there is no such file"}
    assert err.endswith("drawn: found.png\n")
    with Image.open(place / "found.png") as picture:
        assert picture.width > 4 * 240

    assert main([*words, "--csv", "--min-similarity", "1"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert table == [
        {"path": "photos/red/0.png", "nearest": "", "similarity": "", "error": ""},
        {"path": "absent.png", "nearest": "", "similarity": "", "error": "there is no such file"},
    ]
    assert main(["search", "absent.png", "--index", "photos.index"]) == 1
    assert main(["search", "photos/red/0.png", "--index", "photos.index", *words[5:]]) == 0


def test_nothing_near_is_said(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index(place, capsys)
    words = ["search", "photos/red/0.png", "--index", "photos.index", "--min-similarity", "1"]
    assert main(words) == 0
    assert capsys.readouterr().out == "photos/red/0.png: nothing\n"
    assert main(["search", "none/*.png", "--index", "photos.index"]) == 1
    assert capsys.readouterr().err == "nothing matches none/*.png\nno image was given\n"


def test_a_picture_of_photos_that_are_gone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index(place, capsys)
    (place / "photos" / "red" / "1.png").unlink()
    words = ["search", "photos", "--index", "photos.index", "--draw", "found.png", "--top", "2"]
    assert main(words) == 0
    with Image.open(place / "found.png") as picture:
        assert picture.width > 3 * 240
        assert picture.height > 3 * 240


def test_grouping(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index(place, capsys)
    assert main(["groups", "--index", "photos.index"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "2 groups, 0 photos in none; similarity of at least 0.90, as the model file states"
    )
    assert lines[2].startswith("group 1: 2 photos, similar ")
    assert sorted(lines[3:5]) == ["  photos/green/0.png", "  photos/green/1.png"]

    assert main(["groups", "--index", "photos.index", "--json", "--min-similarity", "0.9999"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["groups"], found["min_similarity_from"]) == ([], "given")
    assert len(found["alone"]) == 4

    assert main(["groups", "--index", "photos.index", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert sorted(row["group"] for row in rows) == ["1", "1", "2", "2"]


def test_duplicates(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Image.open(place / "photos" / "red" / "0.png") as picture:
        picture.save(place / "photos" / "again.jpg", quality=70)
    index(place, capsys)
    assert main(["groups", "--index", "photos.index", "--duplicates", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    groups = {row["path"]: row["group"] for row in rows}
    assert groups["photos/again.jpg"] == groups["photos/red/0.png"] == "1"
    assert sorted(groups.values()) == ["0", "0", "0", "1", "1"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["index", "photos"], "the following arguments are required: --model"),
        (["search", "x.png"], "the following arguments are required: --index"),
        (["groups", "--index", ""], "the name is empty"),
        (["groups", "--index", "i", "--min-similarity", "2"], "'2' is no number from -1 to 1"),
        (["search", "x", "--index", "i", "--draw", "x.jpg"], "x.jpg is no .png file in a folder"),
    ],
)
def test_wrong_use(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(words)
    assert refused.value.code == 2
    assert expected in capsys.readouterr().err


def test_what_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["groups", "--index", "photos.index"]) == 2
    assert capsys.readouterr().err == (
        "mobilens groups: there is no album in photos.index\n"
        "  expected: a folder that mobilens index wrote\n"
        "  try: mobilens index PHOTOS --model FILE --out photos.index\n"
    )
    assert main(["index", "photos", "--model", "toy.onnx", "--out", "photos"]) == 2
    assert "photos holds other files and no index.json" in capsys.readouterr().err
    assert main(["index", "photos/broken.png", "--model", "toy.onnx"]) == 1
    assert "photos/broken.png cannot be read: not an image" in capsys.readouterr().err
    assert sorted(path.name for path in place.iterdir()) == ["photos", "toy.onnx"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_names_that_are_no_text_pass_through(place: Path) -> None:
    odd = os.fsencode(place) + b"/photos/red/caf\xe9.png"
    (place / "photos" / "red" / "0.png").rename(os.fsdecode(odd))
    for words, given in (
        (["index", "-", "--model", "toy.onnx"], odd),
        (["search", "-", "--index", "photos.index", "--csv"], b"photos/red/1.png"),
        (["groups", "--index", "photos.index", "--csv"], b""),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "mobilens", *words],
            cwd=place,
            input=given + b"\n",
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert words[0] == "index" or b"photos/red/caf\xe9.png" in done.stdout


def test_torch_is_not_needed(place: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'safetensors', 'jinja2'): sys.modules[name] = None\n"
        "from mobilens.cli import main\n"
        "assert main(['index', 'photos', '--model', 'toy.onnx']) == 0\n"
        "assert main(['search', 'photos', '--index', 'photos.index']) == 0\n"
        "assert main(['groups', '--index', 'photos.index', '--duplicates']) == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
