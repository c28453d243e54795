"""``mobilens benchmark`` as a person and a program run it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mobilens.cli import main


def test_json_has_a_row_for_every_configuration(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--threads", "1,2", "--batch", "3", "--rounds", "1", "--json"]
    assert main(["benchmark", str(toy), *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {row["engine"] for row in report["measurements"]} == {"onnxruntime"}
    assert report["device"]["cores"] >= 1
    rows = report["measurements"]
    assert [(row["threads"], row["batch"]) for row in rows] == [(1, 3), (2, 3)]
    for row in rows:
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["images_per_second"] > 0
        assert row["size_bytes"] == toy.stat().st_size


def test_the_table_names_the_machine(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", str(toy), "--rounds", "1"]) == 0
    out = capsys.readouterr().out
    assert "cores" in out.splitlines()[0]
    assert "onnxruntime" in out.splitlines()[1]
    heads = next(line for line in out.splitlines() if line.startswith("file"))
    for head in ("engine", "p50 ms", "p95 ms", "images/s", "of peak", "peak MB", "file MB"):
        assert head in heads
    assert toy.name in out
    assert "G operations/s" in out
    assert max(map(len, out.splitlines()[3:])) <= 100


def test_accuracy_is_measured_once_a_file(
    toy: Path, write_photos: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_photos(tmp_path / "photos", count=4)
    options = ["--data", str(photos), "--threads", "1,2", "--rounds", "1"]
    assert main(["benchmark", str(toy), *options, "--json"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["data"]["name"] == "photos"
    assert report["data"]["num_images"] == 12
    one, two = (row["accuracy"] for row in report["measurements"])
    assert one == two
    assert 0.5 < one["low"] < one["value"] <= one["high"] == 1
    assert captured.err.count("all 12 images are measured") == 1
    assert main(["benchmark", str(toy), *options]) == 0
    out = capsys.readouterr().out
    assert "accuracy on 12 images of photos" in out
    assert "100.0 ±12.1" in out


def test_data_of_other_classes_is_refused_before_anything_is_timed(
    toy: Path, write_photos: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_photos(tmp_path / "photos", classes=("red", "violet"))
    assert main(["benchmark", str(toy), "--data", str(photos)]) == 1
    assert "violet" in capsys.readouterr().err


def test_shares_of_the_peak_are_those_of_the_machine(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", str(toy), "--rounds", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (peak,), (row,) = report["peaks"], report["measurements"]
    assert (peak["precision"], peak["threads"]) == ("float32", 1)
    assert peak["operations_per_second"] > 1e8
    expected = 2 * row["macs"] / (row["p50_ms"] / 1e3) / peak["operations_per_second"]
    assert row["peak_share"] == pytest.approx(expected)


def test_wrong_use_ends_with_code_2(toy: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["benchmark", str(toy), "--threads", "1,two"])
    assert caught.value.code == 2


def test_another_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"")
    assert main(["benchmark", str(other)]) == 1
    assert "other.onnx has 0 bytes" in capsys.readouterr().err


def test_the_picture_is_written(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "front.svg"
    options = ["--rounds", "1", "--threads", "1,2", "--plot", str(picture)]
    assert main(["benchmark", str(toy), *options]) == 0
    words = ElementTree.parse(picture).getroot().attrib["aria-label"]
    assert words.startswith("Size against latency on")
    assert re.search(r"toy\.onnx [12]t", words)
    assert f"picture: {picture}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["front.png", "absent/front.svg", ""])
def test_a_picture_that_cannot_be_written_is_refused_first(
    name: str, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["benchmark", str(toy), "--plot", name and str(tmp_path / name)])
    assert caught.value.code == 2
    assert "no .svg file in a folder" in (err := capsys.readouterr().err) or "empty" in err
