"""``mobilens predict`` as a person and a program run it."""

import csv
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilens.cli import main

COLOURS = {"red": (220, 20, 10), "green": (15, 200, 30), "blue": (10, 30, 230)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, colour in (("1, red.png", "red"), ("2.jpg", "green"), ("more/3.webp", "blue")):
        pixels = np.full((40, 60, 3), COLOURS[colour], np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "4 broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is not the rest of it")
    (folder / "notes.txt").write_text("not an image")
    return folder


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mobilens", *map(str, arguments)]


def test_text_has_one_line_an_image(
    toy: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(toy), str(photos), "--top", "2"]) == 0
    out, err = capsys.readouterr()
    first, second, broken, third = out.splitlines()
    assert first.startswith(f"{photos}/1, red.png: red 9")
    assert first.count(" %") == 2
    assert second.startswith(f"{photos}/2.jpg: green 9")
    assert broken.startswith(f"{photos}/4 broken.jpg: error: ")
    assert third.startswith(f"{photos}/more/3.webp: blue 9")
    assert "3 images answered, 1 could not be read" in err


def test_json_has_one_object_a_line(
    toy: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(toy), str(photos), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row.get("label") for row in rows] == ["red", "green", None, "blue"]
    assert rows[0]["top"][0]["label"] == "red"
    assert len(rows[0]["top"]) == 3
    assert sum(one["probability"] for one in rows[0]["top"]) == pytest.approx(1, abs=1e-5)
    assert set(rows[2]) == {"path", "error"}


def test_csv_has_a_header_and_quotes(
    toy: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(toy), str(photos), "--csv", "--top", "2"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0]) == [
        "path",
        "label_1",
        "probability_1",
        "label_2",
        "probability_2",
        "error",
    ]
    assert rows[0]["path"] == f"{photos}/1, red.png"
    assert [row["label_1"] for row in rows] == ["red", "green", "", "blue"]
    assert float(rows[0]["probability_1"]) > 0.9
    assert [bool(row["error"]) for row in rows] == [False, False, True, False]


def test_any_batch_and_any_number_of_threads_answer_alike(
    toy: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = []
    for batch, threads in ((1, 1), (2, 3), (100, 2)):
        options = ["--batch-size", str(batch), "--threads", str(threads), "--json"]
        assert main(["predict", str(toy), str(photos), *options]) == 0
        answers.append(capsys.readouterr().out)
    assert len(set(answers)) == 1


def test_files_and_patterns_and_what_is_missing(
    toy: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [str(photos / "2.jpg"), f"{photos}/*/*.webp", str(photos / "absent.png")]
    assert main(["predict", str(toy), *wanted, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row.get("label") for row in rows] == ["green", "blue", None]
    assert "no such file" in rows[2]["error"].lower()


def test_when_none_can_be_answered_the_run_failed(
    toy: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(toy), str(photos / "notes.txt")]) == 1
    out, err = capsys.readouterr()
    assert "notes.txt: error: " in out
    assert "0 images answered, 1 could not be read" in err
    assert main(["predict", str(toy), f"{photos}/*.tif"]) == 1


def test_rows_come_while_the_list_is_still_open(toy: Path, photos: Path) -> None:
    options = ["--batch-size", "1", "--threads", "1", "--json"]
    with subprocess.Popen(
        command("predict", toy, "-", *options), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        stuck = threading.Timer(60, process.kill)
        stuck.start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{photos}/2.jpg\n".encode() * 6)
        process.stdin.flush()
        first = process.stdout.readline()
        assert json.loads(first)["label"] == "green"
        process.stdin.close()
        assert len(process.stdout.readlines()) == 5
        stuck.cancel()
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_names_that_are_no_text_pass_through(toy: Path, photos: Path) -> None:
    name = os.fsencode(photos) + b"/caf\xe9.png"
    (photos / "2.jpg").rename(os.fsdecode(name))
    for style, encoded in (("--csv", name), ("--json", b"caf\\udce9.png")):
        done = subprocess.run(
            command("predict", toy, "-", style), input=name + b"\n", capture_output=True, check=True
        )
        assert encoded in done.stdout
        assert b"green" in done.stdout


def test_torch_is_not_needed(toy: Path, photos: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'safetensors', 'jinja2'): sys.modules[name] = None\n"
        "from mobilens.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", toy, photos / "2.jpg"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ": green 9" in done.stdout


def test_a_checkpoint_without_torch_names_the_extra(
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["predict", "best.safetensors", str(photos)]) == 2
    err = capsys.readouterr().err
    assert "best.safetensors needs torch, which is not installed" in err
    assert "pip install 'mobilens[train]'" in err


def test_a_damaged_model_answers_nothing(
    toy: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.write_bytes(toy.read_bytes().replace(b"Softmax", b"Sigmoid"))
    assert main(["predict", str(toy), str(photos)]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert "the graph was changed" in err


@pytest.mark.parametrize(
    "options", [["--top", "0"], ["--batch-size", "many"], ["--json", "--csv"], ["--threads", "-1"]]
)
def test_wrong_use_ends_with_code_2(toy: Path, photos: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["predict", str(toy), str(photos), *options])
    assert caught.value.code == 2


def test_a_name_of_two_lines_is_one_row_of_csv(
    toy: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "two\nlines.png"
    odd.write_bytes(next(photos.rglob("*.png")).read_bytes())
    assert main(["predict", str(toy), str(odd), "--csv", "--top", "1"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["path"] == str(odd)


def test_a_name_of_two_lines_is_one_line_of_text(
    toy: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "two\nlines.png"
    odd.write_bytes(next(photos.rglob("*.png")).read_bytes())
    assert main(["predict", str(toy), str(odd)]) == 0
    (row,) = capsys.readouterr().out.splitlines()
    assert row.startswith(f"{tmp_path}/two\\nlines.png: ")


def test_an_empty_list_is_said(
    toy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main(["predict", str(toy), "-"]) == 1
    assert capsys.readouterr() == ("", "no image was given\n")


def test_a_pipe_is_an_error_row(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    assert main(["predict", str(toy), str(tmp_path), "--json"]) == 1
    (row,) = capsys.readouterr().out.splitlines()
    assert json.loads(row)["error"] == "this is a pipe, not an image"
