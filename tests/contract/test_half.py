"""Sixteen bits in every format: half the size, said what it cost, refused where there are none."""

import json

import numpy as np
import openvino
import pytest
import torch
from tests.contract.test_formats import NAMES, checkpoint_of

from mobilens.cli import main
from mobilens.errors import ExportError
from mobilens.exporting.float16 import float16
from mobilens.exporting.targets import TARGETS
from mobilens.runtime.bundle import read_bundle, read_manifest
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.predictor import BundlePredictor
from mobilens.runtime.verify import verify_bundle

pytestmark = pytest.mark.slow
OPTIONS = {"float16": "--fp16", "bfloat16": "--bf16"}
# bfloat16 keeps 8 bits of every value, float16 11 of the filters alone; random nets blow both up.
CLOSE = {"float16": 0.03, "bfloat16": 0.3}
CASES = [
    (target, precision)
    for target, kind in TARGETS.items()
    for precision in kind.precisions
    if precision in OPTIONS and not kind.unproven
]


def openvino_computes_in_bfloat16():
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.fixture(scope="module")
def folder(write_photos, tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("data") / "tints", classes=NAMES, count=4)


@pytest.mark.parametrize(("target", "precision"), CASES)
@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v4_hybrid_medium"])
def test_half_the_size_and_nearly_the_same_answers(
    name, target, precision, folder, tmp_path, capsys
):
    saved = tmp_path / "best.safetensors"
    checkpoint_of(name).save(saved)
    suffix = FORMATS[target].suffix
    whole, half = tmp_path / f"whole{suffix}", tmp_path / f"half{suffix}"
    command = ["export", str(saved), "--to", target, "--data", str(folder), "--out"]
    assert main([*command, str(whole)]) == 0
    option = OPTIONS[precision]
    if (target, precision) == ("openvino", "bfloat16") and not openvino_computes_in_bfloat16():
        assert main([*command, str(half), option]) == 2
        assert "OpenVINO does not compute in bfloat16 on this" in capsys.readouterr().err
        assert not half.exists()
        return
    assert main([*command, str(half), option, "--max-drop", "100", "--threads", "1"]) == 0
    manifest = read_manifest(half)
    assert manifest.precision == precision
    assert manifest.threads == 1
    assert manifest.reduction is not None
    assert manifest.reduction.integers is None
    verify_bundle(half)
    parameters = manifest.cost.params
    saving = read_bundle(whole).contents.size_bytes - read_bundle(half).contents.size_bytes
    assert 1.5 * parameters < saving <= 2 * parameters + 4096
    pixels = np.random.default_rng(0).integers(0, 256, (2, *manifest.input.size, 3), dtype=np.uint8)
    exact, given = (BundlePredictor(file).forward(pixels) for file in (whole, half))
    for key, values in exact.items():
        assert np.abs(given[key] - values).mean() < CLOSE[precision]
        assert not np.array_equal(given[key], values)


def test_a_name_may_end_in_nothing(folder, tmp_path):
    saved, path = tmp_path / "best.safetensors", tmp_path / "small"
    checkpoint_of("mobilenet_v1").save(saved)
    words = ["--fp16", "--max-drop", "100", "--data", str(folder), "--out", str(path)]
    assert main(["export", str(saved), *words]) == 0
    assert read_manifest(path).precision == "float16"
    verify_bundle(path)


def test_what_a_target_has_not_is_refused(tmp_path, capsys):
    saved = tmp_path / "best.safetensors"
    checkpoint_of("mobilenet_v1").save(saved)
    assert main(["export", str(saved), "--to", "executorch", "--fp16"]) == 2
    said = capsys.readouterr().err
    assert "a file for executorch in float16" in said
    assert "float32 or int8" in said
    assert main(["export", str(saved), "--bf16", "--no-data"]) == 2
    assert "--bf16 without data" in capsys.readouterr().err


def test_to_all_leaves_out_what_cannot_be(folder, tmp_path, capsys):
    saved = tmp_path / "best.safetensors"
    checkpoint_of("mobilenet_v1").save(saved)
    command = ["export", str(saved), "--to", "all", "--bf16", "--data", str(folder), "--json"]
    assert main([*command, "--max-drop", "100", "--out", str(tmp_path / "files")]) == 0
    value = json.loads(capsys.readouterr().out)
    assert set(value) == set(TARGETS)
    assert value["ncnn"]["precision"] == "bfloat16"
    assert "a file for onnx in bfloat16" in value["onnx"]["error"]


def test_filters_that_sixteen_bits_cannot_hold_are_refused():
    with pytest.raises(ExportError, match="stem reaches 70000"):
        float16(np.array([1.0, -70000.0], np.float32), "stem")


def test_float16_keeps_every_answer_or_is_refused(folder, tmp_path, capsys):
    checkpoint = checkpoint_of("mobilenet_v1")
    # The second class is ahead by less than float16 tells apart, so there the first one wins.
    weight, bias = (checkpoint.tensors[f"head.classifier.{name}"] for name in ("weight", "bias"))
    weight.copy_(torch.ones_like(weight) * torch.tensor([[1.0], [1 + 2**-13], [0.5]]))
    bias.zero_()
    saved, path = tmp_path / "best.safetensors", tmp_path / "model.fp16.onnx"
    checkpoint.save(saved)
    command = ["export", str(saved), "--fp16", "--data", str(folder)]
    assert main(command) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "FP16 answers 12 of 12 images otherwise, the first is" in said
    assert "--max-drop 1.0 allows a loss" in said
    assert not path.exists()
    assert main([*command, "--max-drop", "100"]) == 0
    assert "0 of 12 answers are the checkpoint's" in capsys.readouterr().out
    assert path.exists()
