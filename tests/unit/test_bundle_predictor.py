"""A model file as a predictor: its answers, and what it refuses."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mobilens.errors import (
    BundleError,
    MissingExtraError,
    UnknownNameError,
    UsageError,
    VerificationError,
)
from mobilens.runtime import engines, predictor
from mobilens.runtime.bundle import read_manifest, write_manifest
from mobilens.runtime.predictor import BundlePredictor, load_predictor
from mobilens.runtime.verify import verify_bundle


def test_the_predictor_answers(toy: Path) -> None:
    predictor = load_predictor(toy, threads=1)
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    pixels[0, ..., 2] = pixels[1, ..., 0] = 255
    answers = predictor.forward(pixels)["probabilities"]
    assert answers.argmax(1).tolist() == [2, 0]
    assert answers.dtype == np.float32
    # Any memory order will do.
    turned = np.asfortranarray(pixels)
    assert (predictor.forward(turned)["probabilities"] == answers).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((1, 3, 8, 8), "u1"),
    ],
)
def test_other_pixels_are_refused(toy: Path, pixels: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"expected: uint8 of shape \(N, 8, 8, 3\)"):
        BundlePredictor(toy, threads=1).forward(pixels)


def test_an_engine_that_is_unknown_or_missing_is_named(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownNameError, match="no engine is named 'onnxrt'"):
        load_predictor(toy, engine="onnxrt")
    monkeypatch.setitem(engines.ENGINES, "absent", "mobilens_no_such_engine:Engine")
    with pytest.raises(MissingExtraError, match="pip install mobilens_no_such_engine"):
        load_predictor(toy, engine="absent")
    with pytest.raises(UsageError, match="threads is 0"):
        load_predictor(toy, threads=0)


def test_an_engine_that_does_not_start_is_named(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_engine.py").write_text("raise OSError('libbroken.so: wrong ELF class')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(engines.ENGINES, "broken", "broken_engine:Engine")
    with pytest.raises(BundleError, match=r"'broken' does not start here: libbroken.so: wrong"):
        BundlePredictor(toy, engine="broken")


def test_a_graph_that_the_engine_cannot_load_is_named(toy: Path) -> None:
    sealed, model = read_manifest(toy), onnx.load(toy)
    model.graph.node[2].op_type = "Konv"
    toy.write_bytes(write_manifest(model.SerializeToString(), sealed))
    with pytest.raises(BundleError, match=r"ONNX Runtime cannot load .*Konv"):
        load_predictor(toy)
    with pytest.raises(VerificationError, match="Konv"):
        verify_bundle(toy)


def test_a_graph_of_other_inputs_or_outputs_is_named(toy: Path) -> None:
    sealed, model = read_manifest(toy), onnx.load(toy)
    toy.write_bytes(write_manifest(model.SerializeToString(), replace(sealed, outputs=("boxes",))))
    with pytest.raises(BundleError, match="gives probabilities\n  expected: boxes"):
        load_predictor(toy)
    model.graph.input[0].CopyFrom(
        helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 8, 8, 3])
    )
    toy.write_bytes(write_manifest(model.SerializeToString(), sealed))
    with pytest.raises(BundleError, match=r"reads pixels tensor\(float\)\n  expected: one uint8"):
        load_predictor(toy)


def test_a_graph_that_stops_on_the_way_is_named(toy: Path) -> None:
    sealed, model = read_manifest(toy), onnx.load(toy)
    size = replace(sealed.task.preprocessing, size=(9, 9))
    task = replace(sealed.task, preprocessing=size)
    wrong = replace(sealed, task=task, input=replace(sealed.input, size=(9, 9)))
    toy.write_bytes(write_manifest(model.SerializeToString(), wrong))
    with pytest.raises(BundleError, match=r"ONNX Runtime stopped: .*invalid dimensions"):
        load_predictor(toy).forward(np.zeros((1, 9, 9, 3), np.uint8))


def test_nothing_of_it_needs_torch_or_onnx(toy: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'safetensors'): sys.modules[name] = None\n"
        "from mobilens.runtime.verify import verify_bundle\n"
        "print(verify_bundle(sys.argv[1]).ok)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, toy], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


def test_a_file_of_a_larger_machine_opens_with_the_cores_there_are(toy, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    manifest = replace(read_manifest(toy), threads=64)
    path.write_bytes(write_manifest(toy.read_bytes(), manifest))
    opened = []
    engine = predictor.engine_type("onnxruntime")

    def watched(name):
        return lambda path, threads: opened.append((name, threads)) or engine(path, threads)

    monkeypatch.setattr(predictor, "engine_type", watched)
    monkeypatch.setattr(predictor, "usable_cores", lambda: 3)
    predictor.BundlePredictor(path)
    predictor.BundlePredictor(path, threads=5)
    assert opened == [("onnxruntime", 3), ("onnxruntime", 5)]
