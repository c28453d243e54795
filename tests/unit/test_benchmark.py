"""Measurements of model files: turns, figures, and what a process says of itself."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from mobilens import api
from mobilens.cli.benchmark_text import short_names
from mobilens.errors import BundleError, MobilensError, UsageError
from mobilens.runtime import benchmark as module
from mobilens.runtime import device, peak
from mobilens.runtime.benchmark import Probe, Rival, benchmark
from mobilens.runtime.benchmark_worker import LEAST_RUNS, Sample, Watched
from mobilens.runtime.bundle import read_manifest
from mobilens.runtime.device import Device
from mobilens.runtime.peak import PRECISIONS
from mobilens.runtime.stopwatch import Configuration, Stopwatch, medians


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[Configuration]:
    """Record the turns instead of taking them."""
    taken: list[Configuration] = []

    def take(turn: Configuration, seconds: float) -> Sample | dict[str, float]:
        taken.append(turn)
        if isinstance(turn, Probe):
            return {"slow": 1e9, "quick": 4e9 * len(taken)}
        slow = len(taken) * turn.batch / 1000
        return Sample([slow, slow], f"{turn.engine} {seconds:g}", 50, 50 + len(taken))

    monkeypatch.setattr(module, "_measure", take)
    return taken


def test_configurations_take_turns(toy: Path, turns: list[Configuration]) -> None:
    benchmark([toy], threads=(1, 2), batches=(1, 8), rounds=4)
    assert len(turns) == 16
    rounds = [turns[start : start + 4] for start in range(0, 16, 4)]
    assert all(set(each) == set(rounds[0]) for each in rounds)
    # Each goes first once, so that no one profits from its place.
    assert len({each[0] for each in rounds}) == 4


def test_figures_are_those_of_all_rounds(toy: Path, turns: list[Configuration]) -> None:
    report = benchmark([toy], batches=(10,), rounds=3, seconds=7)
    (found,) = report.measurements
    assert len(turns) == 3
    assert found.runs == 6
    assert found.p50_ms == pytest.approx(20)
    assert found.p95_ms == pytest.approx(30)
    assert found.images_per_second == pytest.approx(500)
    assert (found.peak_memory_bytes, found.model_memory_bytes) == (53, 3)
    assert found.size_bytes == toy.stat().st_size
    assert (found.engine, found.engine_version) == ("onnxruntime", "onnxruntime 7")
    assert json.loads(json.dumps(report.to_json()))["measurements"][0]["batch"] == 10


def test_a_system_that_does_not_tell_its_memory_gets_none(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Sample([0.1], "1", None, None)
    monkeypatch.setattr(module, "_measure", lambda *_: silent)
    (found,) = benchmark([toy]).measurements
    assert found.peak_memory_bytes is None
    assert found.model_memory_bytes is None


def test_an_observer_sees_every_turn(toy: Path, turns: list[Configuration], watcher) -> None:
    benchmark([toy], threads=(1, 2), rounds=2, observer=watcher)
    assert watcher.seen == turns


def test_the_peak_is_measured_in_the_same_rounds(toy: Path, turns: list[Configuration]) -> None:
    report = benchmark([toy], threads=(1, 2), batches=(3,), rounds=3, peaks=True)
    assert len(turns) == 12
    assert [turns.count(Probe("float32", count)) for count in (1, 2)] == [3, 3]
    first, second = report.peaks
    assert (first.probe, first.threads, second.threads) == ("quick", 1, 2)
    one = report.measurements[0]
    assert one.macs == read_manifest(toy).cost.macs
    done = 2 * 3 * one.macs / (one.p50_ms / 1e3)
    assert one.peak_share == pytest.approx(done / first.operations_per_second)


def test_int8_is_compared_with_the_peak_in_int8(
    toy: Path, turns: list[Configuration], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = module._subject(toy, None)
    monkeypatch.setattr(module, "_subject", lambda *_: replace(subject, precision="int8"))
    (peak,) = benchmark([toy], rounds=1, peaks=True).peaks
    assert peak.precision == "int8"
    assert Probe("int8", 1) in turns
    # What nothing is known of gets no share.
    monkeypatch.setattr(module, "_subject", lambda *_: replace(subject, precision=""))
    report = benchmark([toy], rounds=1, peaks=True)
    assert report.peaks == ()
    assert report.measurements[0].peak_share is None


@pytest.mark.parametrize("precision", PRECISIONS)
def test_probes_multiply(precision: str) -> None:
    rates = peak.measure(precision, threads=1, seconds=0)
    assert len(rates) >= 2
    assert min(rates.values()) > 1e8


def test_a_probe_computes_a_product() -> None:
    stream = np.random.default_rng(0)
    left, right = stream.integers(-9, 9, (2, 4, 4)).astype(np.int8)
    session = onnxruntime.InferenceSession(peak.onnx_product("MatMulInteger", left, right))
    (found,) = session.run(None, {"left": left})
    assert np.array_equal(found, left.astype(int) @ right.astype(int))


def test_a_process_measures_itself(toy: Path) -> None:
    sample = Watched(toy, "onnxruntime", threads=1, batch=4).measure(seconds=0)
    assert len(sample.seconds) == LEAST_RUNS
    assert min(sample.seconds) > 0
    assert sample.peak_memory_bytes is None or sample.peak_memory_bytes > 1_000_000


def test_a_file_that_is_no_model_is_named_before_anything_runs(
    tmp_path: Path, toy: Path, turns: list[Configuration]
) -> None:
    with pytest.raises(BundleError, match="there is no file"):
        benchmark([toy, tmp_path / "absent.onnx"])
    assert not turns


def test_a_measurement_that_ends_early_says_why(toy: Path) -> None:
    turn = Configuration(str(toy), "absent", threads=1, batch=1)
    with pytest.raises(MobilensError, match=r"threads 1, batch 1: .*no engine") as caught:
        module._measure(turn, 0)
    assert caught.value.remedy == ""


def test_one_process_takes_many_turns(toy: Path) -> None:
    with Stopwatch(Configuration(str(toy), "onnxruntime", threads=1, batch=1)) as watch:
        samples = [watch.measure(0) for _ in range(3)]
    assert len({sample.base_memory_bytes for sample in samples}) == 1
    assert all(len(sample.seconds) == LEAST_RUNS for sample in samples)
    with pytest.raises(ValueError, match="closed"):
        watch.measure(0)


def test_a_process_that_ends_between_turns_says_so(toy: Path) -> None:
    with Stopwatch(Configuration(str(toy), "onnxruntime", threads=1, batch=1)) as watch:
        watch.measure(0)
        watch._process.kill()
        watch._process.wait()
        with pytest.raises(MobilensError, match="its process ended with -9"):
            watch.measure(0)


def test_medians_are_of_all_turns(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measure(watch: Stopwatch, _: float) -> Sample:
        asked.append(watch)
        return Sample([len(asked) / 1000] * 2, "1", None, None)

    monkeypatch.setattr(Stopwatch, "measure", measure)
    found = medians([toy, toy], "onnxruntime", threads=1, rounds=3, seconds=0)
    assert found == pytest.approx([3, 4])
    assert asked == [*asked[:2]] * 3


def test_the_machine_has_a_name() -> None:
    found = device.this_device()
    assert found.cpu
    assert found.cores >= 1
    assert found.system


def test_peak_memory_grows_with_what_is_held() -> None:
    before = device.peak_memory_bytes()
    if before is None:
        pytest.skip("this system does not tell")
    held = np.ones(64_000_000, np.uint8)
    after = device.peak_memory_bytes()
    assert after is not None
    assert after >= before
    assert after > held.nbytes


def test_names_are_found_where_each_system_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "BOARD_NAME", tmp_path / "model")
    monkeypatch.setattr(device, "CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast One\n")
    assert device.this_device().cpu == "Fast One"
    (tmp_path / "model").write_bytes(b"Berry Board 9\0")
    assert device.this_device().cpu == "Berry Board 9"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512_vnni amx_int8", ("AMX", "AVX-512 VNNI")),
        ("flags\t\t: fpu avx2 fma", ()),
        ("Features\t: fp asimd asimddp", ("dot product",)),
        ("model name\t: Fast One", None),
    ],
)
def test_the_processor_tells_what_it_has_for_8_bits(line, expected, monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\n{line}\n")
    monkeypatch.setattr(device, "CPU_INFO", info)
    assert device.this_device().int8 == expected


def test_a_processor_is_named_with_what_it_has_for_8_bits() -> None:
    about = {None: "Fast One", (): "Fast One (no instructions for 8 bits)"}
    about["AMX", "AVX VNNI"] = "Fast One (AMX, AVX VNNI)"
    assert {int8: Device("Fast One", 2, "Linux", int8).processor for int8 in about} == about


def without_manifest(path: Path, target: Path) -> Path:
    """The same graph as another tool would have written it."""
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, target)
    return target


def test_a_file_of_another_tool_is_measured_too(toy: Path, tmp_path: Path) -> None:
    other = without_manifest(toy, tmp_path / "other.onnx")
    ours, theirs = benchmark([toy, other], rounds=1, seconds=0.01, peaks=True).measurements
    assert (ours.model, ours.precision) == ("mobilenet_v3_small", "float32")
    assert (theirs.model, theirs.precision, theirs.macs, theirs.peak_share) == ("", "", None, None)
    assert theirs.size_bytes == other.stat().st_size
    assert theirs.runs >= LEAST_RUNS


def test_rivals_take_turns_and_are_compared_within_rounds(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = without_manifest(toy, tmp_path / "other.onnx")
    rival = Rival(str(other), "onnxruntime", "timm", "timm toy.onnx", (str(toy),))
    taken: list[Configuration] = []

    def take(turn: Configuration, _: float) -> Sample:
        taken.append(turn)
        slow = 4 if turn.path == str(other) else 3
        # The machine slows down from round to round.
        return Sample([slow * 10.0 ** ((len(taken) - 1) // 6)] * 5, "1", 50, 60)

    monkeypatch.setattr(module, "_measure", take)
    report = benchmark([toy], threads=(1, 2), batches=(1, 8), rounds=3, rivals=[rival])
    assert {(turn.threads, turn.batch) for turn in taken if turn.path == str(other)} == {
        (1, 1),
        (2, 1),
    }
    assert len(taken) == 18
    found = {(one.path, one.threads, one.batch): one for one in report.measurements}
    for threads in (1, 2):
        ratio = found[str(toy), threads, 1].ratios["timm"]
        assert (ratio.low, ratio.value, ratio.high) == pytest.approx((0.75, 0.75, 0.75))
    assert found[str(toy), 1, 8].ratios == {}
    theirs = found["timm toy.onnx", 1, 1]
    assert (theirs.library, theirs.ratios) == ("timm", {})


def test_a_comparison_is_of_one_image_at_a_time(toy: Path) -> None:
    with pytest.raises(UsageError, match="a comparison with batches of 4, 8"):
        api.benchmark(toy, batches=(4, 8), against=("timm",))


def test_names_are_shortened_and_stay_apart() -> None:
    paths = ["runs/flowers/one/model.onnx", "runs/flowers/two/model.onnx"]
    assert list(short_names(paths, 30).values()) == paths
    assert list(short_names(paths, 20).values()) == ["one/model.onnx", "two/model.onnx"]
    long = [f"{letter}{'x' * 40}.onnx" for letter in "ab"]
    cut = short_names(long, 20)
    assert all(len(name) == 20 and "…" in name for name in cut.values())
    assert len(set(cut.values())) == 2
    # Where they would look alike they stay whole.
    alike = [f"{'x' * 10}{letter}{'x' * 40}" for letter in "ab"]
    assert list(short_names(alike, 20).values()) == alike
    assert short_names(["/model.onnx"], 3) == {"/model.onnx": "…nx"}
