"""``mobilens verify`` as a person runs it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mobilens.cli import main
from mobilens.runtime import onnx_file
from mobilens.runtime.bundle import read_manifest, write_manifest
from mobilens.runtime.manifest import Accuracy, MeasuredOn


def flip(path: Path, name: str) -> None:
    data = bytearray(path.read_bytes())
    (tensor,) = (t for t in onnx_file.parse(bytes(data)).tensors if t.name == name)
    data[tensor.values[0].payload] ^= 0xFF
    path.write_bytes(data)


def test_a_good_file_is_proved(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = Accuracy({"top1": 0.91}, {"top1": 0.905}, MeasuredOn("photos", "f00", 1234))
    manifest = replace(read_manifest(toy), accuracy=accuracy)
    toy.write_bytes(write_manifest(toy.read_bytes(), manifest))
    assert main(["verify", str(toy)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{toy}: proved\n")
    assert "3 golden inputs, answered as promised" in out
    assert "claims top1 0.905 on photos, 1,234 images" in out
    assert not err
    assert main(["verify", str(toy), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert report["accuracy"]["dataset"]["num_images"] == 1234
    assert "error" not in report


def test_a_flipped_byte_is_named(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(toy, "stem.weight")
    assert main(["verify", str(toy)]) == 1
    out = capsys.readouterr().out
    assert f"{toy}: NOT what was exported" in out
    assert "weights   failed   weight 'stem.weight' was changed" in out
    assert "answers   skipped" in out
    assert main(["verify", str(toy), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["error"] == "weight 'stem.weight' was changed"


def test_a_file_that_is_no_model_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("milk, bread")
    assert main(["verify", str(notes)]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"mobilens verify: {notes} is damaged, or no ONNX file")
    assert main(["verify", str(notes), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert "no ONNX file" in report["error"]
