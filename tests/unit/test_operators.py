"""What a runtime makes of a file: kinds, precisions, places, shares."""

import json
from pathlib import Path

import pytest

from mobilens.cli import main
from mobilens.errors import BundleError, MobilensError, UsageError
from mobilens.runtime import operators as module
from mobilens.runtime.operators import operators
from mobilens.runtime.profilers import Operator, precision_between, profiler


def test_a_file_tells_its_operators(toy: Path) -> None:
    report = operators(toy)
    kinds = {group.kind: group for group in report.groups}
    assert {"Cast", "Gemm", "Softmax"} <= set(kinds)
    assert (kinds["Gemm"].precision, kinds["Gemm"].where) == ("float32", "CPU")
    assert kinds["Cast"].precision == "int8 to float32"
    assert sum(group.share for group in report.groups) == pytest.approx(1)
    times = [group.ms for group in report.groups]
    assert times == sorted(times, reverse=True)


def test_operators_alike_are_added_up() -> None:
    each = [
        Operator("Conv", "int8", "CPU", 1.0),
        Operator("Conv", "int8", "CPU", 2.0),
        Operator("Conv", "float32", "CPU", 5.0),
    ]
    first, second = module._grouped(each)
    assert (first.precision, first.count, first.share) == ("float32", 1, 5 / 8)
    assert (second.precision, second.count, second.ms) == ("int8", 2, 3.0)
    assert second.share == 3 / 8


def test_what_takes_no_time_has_no_share() -> None:
    each = [Operator("A", "int8", "x", 0.0), Operator("B", "int8", "x", 0.0)]
    assert [group.share for group in module._grouped(each)] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("given", "result", "expected"),
    [
        ("uint8", "int8", "int8"),
        ("float", "float", "float32"),
        ("float", "uint8", "float32 to int8"),
        ("int8", "float32", "int8 to float32"),
    ],
)
def test_precisions_have_names(given: str, result: str, expected: str) -> None:
    assert precision_between(given, result) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Convolution (NHWC, QC8) DWConv #12", ("Convolution DWConv", "int8")),
        ("Fully Connected (NC, QS8, QC8W) GEMM #1", ("Fully Connected GEMM", "int8")),
        ("Fully Connected (NC, F32) GEMM #1", ("Fully Connected GEMM", "float32")),
        ("Multiply (ND) #1", ("Multiply", "")),
        ("Invalid Unary Op #1", ("Invalid Unary Op", "")),
    ],
)
def test_names_of_xnnpack_are_read(name: str, expected: tuple[str, str]) -> None:
    executorch = pytest.importorskip("mobilens.runtime.profilers.executorch")
    found = executorch._operator(name, 1.0, True)
    assert (found.kind, found.precision) == expected
    assert found.where == "XNNPACK"
    assert executorch._operator("native_call_add.out", 1.0, False).where == "ExecuTorch's own"


def test_what_the_delegate_left_is_found() -> None:
    litert = pytest.importorskip("mobilens.runtime.profilers.litert")
    nodes = [
        {"index": 0, "inputs": [0], "outputs": [1]},
        {"index": 1, "inputs": [1, 5], "outputs": [2]},
        {"index": 2, "inputs": [2], "outputs": [3]},
        {"index": 3, "inputs": [3], "outputs": [4]},
    ]
    delegate = {"inputs": [1, 5], "outputs": [3]}
    assert litert._within(delegate, nodes) == {1, 2}


def test_an_engine_without_a_profile_says_so() -> None:
    with pytest.raises(UsageError, match="coral does not tell"):
        profiler("coral")


def test_a_profile_that_fails_says_why(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    with pytest.raises(MobilensError, match=r"toy.onnx, onnxruntime: the profile failed: its proc"):
        operators(toy)


def test_a_file_that_was_changed_is_not_profiled(toy: Path) -> None:
    toy.write_bytes(toy.read_bytes()[:-7])
    with pytest.raises(BundleError):
        operators(toy)


def test_the_command_lists_them(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", str(toy), "--operators"]) == 0
    out = capsys.readouterr().out
    assert "toy.onnx on onnxruntime, 1 thread, written as float32" in out
    assert "of the time: float32 " in out
    assert main(["benchmark", str(toy), "--operators", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["operators"]
    assert found["engine"] == "onnxruntime"
    assert all(group["count"] >= 1 for group in found["groups"])


@pytest.mark.parametrize(
    "words", [["--data", "x"], ["--threads", "1,2"], ["--plot", "x.svg"], ["--device-kit", "x"]]
)
def test_the_list_stands_alone(words: list[str], toy: Path, capsys) -> None:
    assert main(["benchmark", str(toy), "--operators", *words]) == 2
    assert "--operators" in capsys.readouterr().err
