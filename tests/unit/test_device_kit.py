"""A folder that measures elsewhere, and what it brings back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from mobilens.api import benchmark, write_device_kit
from mobilens.cli import main
from mobilens.device_kit import measure, run
from mobilens.errors import BundleError, DataError, MissingExtraError, UsageError, VerificationError
from mobilens.runtime.measurement import BenchmarkReport, read_report


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos of each class of the toy, one in each that it gets wrong, and a broken one."""
    for colour, shown in (("red", "green"), ("green", "green"), ("blue", "blue")):
        folder = tmp_path / "photos" / "val" / colour
        folder.mkdir(parents=True)
        Image.new("RGB", (20, 16), colour).save(folder / "one.png")
        Image.new("RGB", (16, 20), shown).save(folder / "two.png")
    (tmp_path / "photos" / "val" / "red" / "zero.png").write_bytes(b"broken")
    return tmp_path / "photos"


@pytest.fixture
def kit(toy: Path, photos: Path, tmp_path: Path) -> Path:
    return write_device_kit(tmp_path / "kit", toy, data=str(photos), rounds=1, threads=(1, 2))


def run_here(kit: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the kit as a machine would that has the packages, and nothing of this checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(kit / "run.py"), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=kit.parent
    )


def test_a_kit_that_was_moved_measures_and_its_result_comes_back(
    kit: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "board").mkdir()
    moved = kit.rename(tmp_path / "board" / "kit")
    done = run_here(moved, "--here")
    assert done.returncode == 0, done.stderr
    result = moved / "result.json"
    assert str(result) in done.stderr
    report = read_report(result)
    assert {(one.path, one.threads) for one in report.measurements} == {
        ("toy.onnx", n) for n in (1, 2)
    }
    one = report.measurements[0]
    assert one.accuracy is not None
    assert one.accuracy.value == pytest.approx(5 / 6)
    assert one.peak_share is not None
    assert report.data is not None
    assert report.data.num_images == 6
    picture = tmp_path / "both.svg"
    words = ["benchmark", str(toy), "--rounds", "1", "--import", str(result), "--json"]
    assert main([*words, "--plot", str(picture)]) == 0
    merged = json.loads(capsys.readouterr().out)
    assert len(merged["measurements"]) == 1
    assert merged["imported"][0]["measurements"] == json.loads(result.read_text())["measurements"]
    assert main(["benchmark", "--import", str(result)]) == 0
    out = capsys.readouterr().out
    assert "accuracy on 6 images of photos" in out
    assert "83.3 ±" in out


def test_the_kit_holds_all_that_it_needs_and_five_lines_to_read(kit: Path) -> None:
    assert len((kit / "README.txt").read_text().splitlines()) == 5
    assert {path.name for path in kit.iterdir()} == {
        *("README.txt", "kit.json", "mobilens", "models", "photos.npz"),
        *("requirements.txt", "run.py"),
    }
    pinned = (kit / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in pinned] == [
        "numpy",
        "pillow",
        "tqdm",
        "onnxruntime",
    ]
    assert not list(kit.rglob("__pycache__"))
    assert "torch" not in (kit / "kit.json").read_text()


def test_a_kit_says_which_photos_it_leaves_out(
    toy: Path, photos: Path, tmp_path: Path, watcher
) -> None:
    write_device_kit(tmp_path / "kit", toy, data=str(photos), observer=watcher)
    assert any("zero.png" in line for line in watcher.said)


def test_files_of_one_name_do_not_meet(toy: Path, write_toy_bundle, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_toy_bundle(tmp_path / "other" / toy.name, seed=1)
    kit = write_device_kit(tmp_path / "kit", [toy, other])
    assert (kit / "models" / "toy.onnx").read_bytes() == toy.read_bytes()
    assert (kit / "models" / "1" / "toy.onnx").read_bytes() == other.read_bytes()


def test_a_folder_that_holds_something_is_left_alone(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="kit is there already"):
        write_device_kit(tmp_path / "kit", toy)
    assert [path.name for path in (tmp_path / "kit").iterdir()] == ["mine.txt"]


def test_what_a_kit_cannot_measure_is_said(toy: Path, tmp_path: Path, watcher) -> None:
    stray = tmp_path / "README.txt"
    stray.write_text("Read me.")
    kit = write_device_kit(tmp_path / "kit", [toy, stray], observer=watcher)
    assert watcher.said == [f"not in the kit: {stray}: it is no model file"]
    assert [path.name for path in (kit / "models").iterdir()] == [toy.name]


def test_a_file_changed_on_its_way_is_refused_there(kit: Path) -> None:
    model = kit / "models" / "toy.onnx"
    data = bytearray(model.read_bytes())
    data[data.index(b"head.bias") + 20] ^= 1
    model.write_bytes(data)
    with pytest.raises(VerificationError):
        measure.measure_kit(kit)
    assert not (kit / "result.json").exists()


def test_files_whose_engine_is_missing_are_named(
    kit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise MissingExtraError(f"the engine {name!r} needs it, which is not installed")

    monkeypatch.setattr(measure, "engine_type", absent)
    with pytest.raises(DataError, match="nothing can be measured here: the engine 'onnxruntime'"):
        measure.measure_kit(kit)
    assert "torch" in measure._missing("executorch")


def test_a_file_that_its_runtime_refuses_stops_no_other(
    toy: Path, write_toy_bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_toy_bundle(tmp_path / "other.onnx", seed=1)
    kit = write_device_kit(tmp_path / "kit", [toy, other], rounds=1)

    def opened(name: str, engine: str) -> object:
        if name == "other.onnx":
            raise BundleError("onnxruntime cannot load other.onnx: an opset of tomorrow")
        return engine

    monkeypatch.setattr(measure, "BundlePredictor", opened)
    report = measure.measure_kit(kit)
    assert [one.path for one in report.measurements] == ["toy.onnx"]
    (left,) = report.left_out
    assert (left.what, "an opset of tomorrow" in left.reason) == ("other.onnx", True)


def test_a_folder_that_is_no_kit_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure.main(tmp_path) == 1
    assert "kit.json is no list of a kit" in capsys.readouterr().err
    (tmp_path / "kit.json").write_text("{}")
    assert measure.main(tmp_path) == 1
    assert "has no field 'files'" in capsys.readouterr().err


def test_the_script_refuses_other_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--there"]) == 2
    assert "expected nothing, or --here" in capsys.readouterr().err


def test_the_script_needs_a_recent_python(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "LEAST_PYTHON", (99, 0))
    assert run.main([]) == 1
    assert "3.11 or newer is needed" in capsys.readouterr().err


def test_a_kit_alone_measures_nothing_here(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["benchmark", str(toy), "--device-kit", "kit", "--import", "result.json"]
    assert main(words) == 2
    assert "--device-kit with --import" in capsys.readouterr().err


@pytest.fixture
def report(toy: Path) -> BenchmarkReport:
    return benchmark(toy, rounds=1)


def changed(report: BenchmarkReport, path: Path, *keys: str | int, value: object) -> Path:
    """Write a result with one value changed."""
    found = place = report.to_json()
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(found))
    return path


def test_a_result_comes_back_as_it_went(report: BenchmarkReport, tmp_path: Path) -> None:
    path = changed(report, tmp_path / "r.json", "rounds", value=report.rounds)
    assert read_report(path) == report


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("measurements", 0, "p50_ms"), "fast", r"p50_ms is 'fast'"),
        (("measurements", 0, "p50_ms"), -1.0, r"is not above 0"),
        (("measurements", 0, "p50_ms"), float("nan"), r"is not above 0"),
        (("measurements", 0, "p95_ms"), float("inf"), r"is not above 0"),
        (("measurements", 0, "path"), "a\u001b[2J", r"control characters"),
        (
            ("measurements", 0, "accuracy"),
            {"value": 2, "low": 0, "high": 3},
            r"within its interval",
        ),
        (("device", "cpu"), "x\ny", r"control characters"),
        (("peaks", 0, "operations_per_second"), 0, r"not above 0"),
        (("rounds",), 0, r"rounds is 0"),
        (("surprise",), 1, r"has a field 'surprise'"),
        (("format",), 2, r"a newer mobilens wrote it"),
        (("format",), "one", r"format is 'one'"),
        (("measurements",), {}, r"measurements is \{\}"),
        (("imported",), [{}], r"has no field 'device'"),
    ],
)
def test_what_a_result_must_not_say(
    keys: tuple[str, ...], value: object, message: str, report: BenchmarkReport, tmp_path: Path
) -> None:
    path = changed(report, tmp_path / "r.json", *keys, value=value)
    with pytest.raises(DataError, match=message) as caught:
        read_report(path)
    assert str(path) in caught.value.given


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON, or was cut short"),
        (b'{"device": {"cpu": "x"', "is no JSON, or was cut short"),
        (b"\xff\xfe\x00", "is no JSON, or was cut short"),
        (b"[" * 100_000, "is no JSON, or was cut short"),
        (b"[]", "holds something else"),
        (b'{"top1": 0.9}', "holds something else"),
        (b'{"measurements": []}', "has no field 'device'"),
    ],
)
def test_files_that_are_no_result(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    assert main(["benchmark", "--import", str(path)]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_result_that_is_absent_or_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_report(tmp_path / "absent.json")
    monkeypatch.setattr("mobilens.runtime.measurement.MAX_FILE_BYTES", 3)
    (tmp_path / "huge.json").write_text("[[]]")
    with pytest.raises(DataError, match="has 4 bytes"):
        read_report(tmp_path / "huge.json")


@pytest.mark.slow
def test_a_kit_sets_up_its_own_environment(kit: Path) -> None:
    wanted = (kit / "requirements.txt").read_text().split()[-1]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", kit.parent / "x", wanted]
    asked = subprocess.run(command, capture_output=True, check=False)
    if asked.returncode != 0:
        pytest.skip("no package index can be reached")
    done = run_here(kit)
    assert done.returncode == 0, done.stderr
    assert read_report(kit / "result.json").measurements[0].path == "toy.onnx"
    assert list((kit / ".venv").rglob("onnxruntime"))
    assert not list((kit / ".venv").rglob("torch"))
