"""The proof of a model file: what it finds, and what it calls it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from mobilens.errors import (
    VerificationError,
)
from mobilens.runtime import onnx_file
from mobilens.runtime.bundle import read_manifest, write_manifest
from mobilens.runtime.manifest import GoldenSample, Manifest
from mobilens.runtime.verify import check_bundle, verify_bundle

SMALL_IMAGE = GoldenSample.record(np.zeros((4, 4, 3), np.uint8), {}).image


def reseal(path: Path, changed: Manifest) -> Path:
    """Write another manifest into the file, with hashes that fit."""
    path.write_bytes(write_manifest(path.read_bytes(), changed))
    return path


def value_spans(data: bytes) -> dict[str, tuple[int, int]]:
    file = onnx_file.parse(data)
    return {
        tensor.name: (tensor.values[0].payload, tensor.values[0].end) for tensor in file.tensors
    }


def test_a_good_file_is_proved(toy: Path) -> None:
    report = verify_bundle(toy)
    assert report.ok
    assert [(check.name, check.result) for check in report.checks] == [
        ("manifest", "ok"),
        ("weights", "ok"),
        ("graph", "ok"),
        ("answers", "ok"),
    ]
    assert report.largest_difference == pytest.approx(0, abs=1e-6)
    assert report.sha256 == hashlib.sha256(toy.read_bytes()).hexdigest()
    assert json.loads(json.dumps(report.to_json()))["ok"] is True


def test_a_changed_file_is_not_run(toy: Path) -> None:
    data = bytearray(toy.read_bytes())
    data[value_spans(bytes(data))["head.bias"][0]] ^= 1
    toy.write_bytes(data)
    report = check_bundle(toy)
    assert not report.ok
    assert [check.result for check in report.checks] == ["ok", "failed", "ok", "skipped"]
    assert report.largest_difference is None


def with_golden(path: Path, **changes: object) -> Path:
    good = read_manifest(path)
    first = replace(good.golden[0], **changes)
    return reseal(path, replace(good, golden=(first, *good.golden[1:])))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": {"probabilities": (0.5, 0.3, 0.2)}}, r"differs by 0\.\d+, allowed is 0.001"),
        ({"outputs": {"probabilities": (0.5, 0.5)}}, r"input 0 promises no answer.*\(1, 2\)"),
        ({"outputs": {}}, r"golden input 0 promises no answer.*named \[\]"),
        (
            {"image": GoldenSample.record(np.zeros((4, 4, 3), np.uint8), {}).image},
            "a golden input is 4x4",
        ),
    ],
)
def test_broken_answers_are_named(toy: Path, changes: dict[str, object], message: str) -> None:
    with_golden(toy, **changes)
    with pytest.raises(VerificationError, match=message):
        verify_bundle(toy)


def test_another_answer_within_the_tolerance_is_named(toy: Path) -> None:
    good = read_manifest(toy)
    other = replace(good.golden[1], outputs={"probabilities": (0.9, 0.1, 0.0)})
    golden = (good.golden[0], other, good.golden[2])
    reseal(toy, replace(good, golden=golden, tolerance=1.0))
    with pytest.raises(VerificationError, match="golden input 1 gets another answer"):
        verify_bundle(toy)


def test_a_file_without_golden_inputs_proves_nothing(toy: Path) -> None:
    reseal(toy, replace(read_manifest(toy), golden=()))
    with pytest.raises(VerificationError, match="holds no golden input"):
        verify_bundle(toy)


def replace_weight(path: Path, name: str, values: np.ndarray) -> None:
    """Change a weight and seal the file again, as a dishonest exporter would."""
    sealed, model = read_manifest(path), onnx.load(path)
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    path.write_bytes(write_manifest(model.SerializeToString(), sealed))


def test_answers_are_measured_not_believed(toy: Path) -> None:
    replace_weight(toy, "head.weight", 3 * np.eye(3, dtype=np.float32))
    with pytest.raises(VerificationError, match="differs by"):
        verify_bundle(toy)


def test_answers_that_are_not_numbers_are_named(toy: Path) -> None:
    replace_weight(toy, "head.weight", np.full((3, 3), np.nan, np.float32))
    with pytest.raises(VerificationError, match="NaN or infinity"):
        verify_bundle(toy)
