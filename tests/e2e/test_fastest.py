"""export --fastest: every way is tried, the fastest that fits stays; else the nearest is told."""

import json
from types import SimpleNamespace

import pytest
from tests.contract.test_formats import NAMES, checkpoint_of

from mobilens.api.exporting import _folder
from mobilens.cli import main
from mobilens.exporting import fastest, targets
from mobilens.exporting.fastest import Candidate, Limits, _refusal
from mobilens.runtime.bundle import read_manifest
from mobilens.runtime.verify import verify_bundle
from mobilens.spec.zoo import build_spec


@pytest.fixture(scope="module")
def folder(write_photos, tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("data") / "tints", classes=NAMES, count=4)


@pytest.fixture
def command(tmp_path, folder, monkeypatch):
    """The command for two kinds of file, timed briefly."""
    kept = {name: targets.TARGETS[name] for name in ("onnx", "litert", "coreml")}
    monkeypatch.setattr(fastest, "TARGETS", kept)
    monkeypatch.setattr(fastest, "ROUNDS", 1)
    saved = tmp_path / "best.safetensors"
    checkpoint_of("mobilenet_v3_small").save(saved)
    options = ["--data", str(folder), "--out", str(tmp_path / "out"), "--max-drop", "100"]
    return ["export", str(saved), "--fastest", *options]


@pytest.mark.slow
def test_the_fastest_that_fits_is_kept(command, folder, tmp_path, capsys):
    assert main([*command, "--calibrate", str(folder), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    ways = {(one["target"], one["precision"]) for one in value["candidates"]}
    precisions = ("float32", "float16", "int8")
    assert ways == {(target, each) for target in ("onnx", "litert") for each in precisions}
    times = [one["ms"] for one in value["candidates"]]
    assert times == sorted(times)
    assert value["winner"] == value["candidates"][0]
    table, picture, path = sorted((tmp_path / "out").iterdir())
    assert str(path) == value["file"]
    kept = json.loads(table.read_text())
    assert kept["candidates"] == value["candidates"]
    assert kept["limits"] == {"mb": None, "ms": None}
    assert all(f"{target}, int8, 1 thread" in picture.read_text() for target in ("onnx", "litert"))
    manifest = read_manifest(path)
    assert manifest.precision == value["winner"]["precision"]
    assert manifest.threads == value["winner"]["threads"]
    verify_bundle(path)


@pytest.mark.slow
def test_a_bound_on_the_size_chooses_fewer_bits(command, tmp_path, capsys):
    assert main([*command, "--max-mb", "0.8", "--threads", "1"]) == 0
    said = capsys.readouterr()
    assert "8 bits are left out" in said.err
    assert "too large or slow" in said.out
    (path,) = set((tmp_path / "out").iterdir()) - {
        tmp_path / "out" / name for name in ("fastest.json", "fastest.svg")
    }
    assert read_manifest(path).precision == "float16"
    assert path.stat().st_size <= 0.8e6
    assert main([*command, "--max-mb", "0.01"]) == 1
    said = capsys.readouterr().err
    assert "nothing fits; nearest is " in said
    assert "MB where 0.01 are allowed; nothing was written" in said
    assert "train with --width 0.05" in said


def test_what_would_help_is_told():
    def candidate(mb, ms, precision="int8"):
        return Candidate("litert", precision, 2, 0.9, 0.8, 1.0, 0.0, mb, ms, False)

    order = SimpleNamespace(
        original=SimpleNamespace(
            checkpoint=SimpleNamespace(model=build_spec("mobilenet_v2", width_mult=0.5))
        ),
        calibration=[],
    )
    each = [candidate(3.0, 5.0), candidate(4.0, 2.0)]
    error = _refusal(each, Limits(mb=2.9, ms=4.0), order)
    assert error.given == (
        "nothing fits; nearest is litert in int8 on 2 threads: 5.00 ms where 4 are allowed, "
        "3.00 MB where 2.9 are allowed; nothing was written"
    )
    assert error.remedy == "train with --width 0.4"
    error = _refusal(each[:1], Limits(ms=4.0), order)
    assert error.remedy == "train with --width 0.4, or with --resolution 192"
    error = _refusal([candidate(3.0, 2.0, "float16")], Limits(mb=1.0), order)
    assert "3.00 MB where 1 are allowed" in error.given
    assert error.remedy == (
        "train with --width 0.25, or --calibrate PHOTOS: no file of 8 bits is among these"
    )
    order.calibration = ["photo.jpg"]
    error = _refusal([candidate(3.0, 2.0, "float16")], Limits(mb=1.0), order)
    assert "or a larger --max-drop: no file of 8 bits" in error.remedy


def test_options_that_say_nothing_together_are_refused(command, capsys):
    assert main([*command, "--int8"]) == 2
    assert "--fastest with --int8" in capsys.readouterr().err
    assert main([*command[:2], "--max-mb", "2"]) == 2
    assert "--max-mb is for --fastest" in capsys.readouterr().err
    assert main([*command[:-4], "--out", "model.onnx"]) == 2
    assert "model.onnx is the name of one file" in capsys.readouterr().err


def test_a_folder_may_have_a_dot_in_its_name(tmp_path):
    assert _folder(tmp_path / "run-0.5" / "best.safetensors", None).name == "run-0.5"
    assert _folder("best.safetensors", "out-0.25").name == "out-0.25"
    (tmp_path / "odd.onnx").mkdir()
    assert _folder("best.safetensors", tmp_path / "odd.onnx").name == "odd.onnx"
