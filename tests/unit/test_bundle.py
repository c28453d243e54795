"""A model file: what is written is what is read, and every byte of it matters."""

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from mobilens.errors import (
    BundleError,
    VerificationError,
)
from mobilens.runtime import onnx_file
from mobilens.runtime.bundle import read_manifest, take_apart, write_manifest
from mobilens.runtime.manifest import GoldenSample, Manifest
from mobilens.runtime.predictor import load_predictor
from mobilens.runtime.seal import changed_weights
from mobilens.runtime.verify import verify_bundle

WEIGHTS = ("stem.weight", "head.weight", "axes", "head.bias")


def value_spans(data: bytes) -> dict[str, tuple[int, int]]:
    file = onnx_file.parse(data)
    return {
        tensor.name: (tensor.values[0].payload, tensor.values[0].end) for tensor in file.tensors
    }


def test_the_manifest_comes_back_and_onnx_still_reads_the_file(toy: Path) -> None:
    found = read_manifest(toy)
    assert Manifest.from_text(found.to_text()) == found
    assert found.task.class_names == ("red", "green", "blue")
    assert found.model_spec().name == "mobilenet_v3_small"
    assert set(found.tensors) == set(WEIGHTS)
    model = onnx.load(toy)
    onnx.checker.check_model(model)
    notes = {note.key: note.value for note in model.metadata_props}
    assert json.loads(notes["mobilens"])["format"] == 1
    assert notes["mobilens_sha256"] == hashlib.sha256(notes["mobilens"].encode()).hexdigest()


def test_tensors_are_read_as_onnx_reads_them(toy: Path) -> None:
    ours = {tensor.name: tensor for tensor in onnx_file.parse(toy.read_bytes()).tensors}
    for theirs in onnx.load(toy).graph.initializer:
        tensor = ours.pop(theirs.name)
        assert (tensor.data_type, tensor.dims) == (theirs.data_type, tuple(theirs.dims))
        (values,) = tensor.values
        raw = toy.read_bytes()[values.payload : values.end]
        assert raw == numpy_helper.to_array(theirs).tobytes()
    assert not ours


def test_writing_twice_is_writing_once(toy: Path) -> None:
    data = toy.read_bytes()
    assert write_manifest(data, read_manifest(toy)) == data


def test_the_old_manifest_goes_when_a_new_one_comes(toy: Path) -> None:
    newer = replace(read_manifest(toy), provenance={"seed": 7, "command": "mobilens train"})
    toy.write_bytes(write_manifest(toy.read_bytes(), newer))
    assert [note.key for note in onnx.load(toy).metadata_props] == ["mobilens", "mobilens_sha256"]
    assert read_manifest(toy).provenance["seed"] == 7


def test_notes_of_other_tools_stay_and_are_sealed(toy: Path) -> None:
    model = onnx.load(toy)
    model.metadata_props.add(key="author", value="someone")
    toy.write_bytes(write_manifest(model.SerializeToString(), read_manifest(toy)))
    verify_bundle(toy)
    assert {note.key for note in onnx.load(toy).metadata_props} >= {"author", "mobilens"}
    toy.write_bytes(toy.read_bytes().replace(b"someone", b"anybody"))
    with pytest.raises(VerificationError, match="graph was changed"):
        verify_bundle(toy)


def test_class_names_of_any_script_are_kept(toy: Path) -> None:
    before = read_manifest(toy)
    names = ("r\ufffd", "grün", "蓝")
    named = replace(before, task=replace(before.task, class_names=names))
    toy.write_bytes(write_manifest(toy.read_bytes(), named))
    assert read_manifest(toy).task.class_names == names


def test_golden_floats_come_back_to_the_bit() -> None:
    values = np.random.default_rng(0).random(1000).astype(np.float32)
    sample = GoldenSample.record(np.zeros((2, 2, 3), np.uint8), {"p": values})
    assert (np.asarray(sample.outputs["p"], np.float32) == values).all()


def is_refused(data: bytes, path: Path) -> bool:
    try:
        take_apart(data, path).check_seal()
    except BundleError:
        return True
    return False


def test_a_flipped_bit_in_any_byte_is_caught(toy: Path) -> None:
    data, dice = bytearray(toy.read_bytes()), random.Random(0)
    assert not is_refused(bytes(data), toy)
    missed = []
    for offset in range(len(data)):
        bit = 1 << dice.randrange(8)
        data[offset] ^= bit
        if not is_refused(bytes(data), toy):
            missed.append(offset)
        data[offset] ^= bit
    assert missed == []


def test_a_file_cut_anywhere_is_refused(toy: Path) -> None:
    data = toy.read_bytes()
    assert all(is_refused(data[:length], toy) for length in range(len(data)))


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_flipped_byte_in_a_weight_is_named(toy: Path, name: str) -> None:
    data = toy.read_bytes()
    start, end = value_spans(data)[name]
    for offset in {start, (start + end) // 2, end - 1}:
        flipped = bytearray(data)
        flipped[offset] ^= 0x01
        toy.write_bytes(flipped)
        for refuse in (verify_bundle, load_predictor):
            with pytest.raises(VerificationError, match=f"weight '{name}' was changed") as caught:
                refuse(toy)
            assert "copy the file again" in caught.value.remedy


def test_a_changed_manifest_is_named(toy: Path) -> None:
    toy.write_bytes(toy.read_bytes().replace(b'"green"', b'"brown"'))
    with pytest.raises(VerificationError, match="the manifest was changed"):
        read_manifest(toy)


def test_a_changed_node_is_named(toy: Path) -> None:
    toy.write_bytes(toy.read_bytes().replace(b"Softmax", b"Sigmoid"))
    with pytest.raises(VerificationError, match="the graph was changed"):
        verify_bundle(toy)


def test_a_lost_and_an_added_weight_are_named(toy: Path) -> None:
    model = onnx.load(toy)
    model.graph.initializer[3].name = "other"
    toy.write_bytes(model.SerializeToString())
    with pytest.raises(VerificationError, match=r"'head.bias' is missing; weight 'other' was"):
        verify_bundle(toy)


def test_many_changed_weights_are_counted() -> None:
    expected = dict.fromkeys("abcde", "1")
    found = dict.fromkeys("abcde", "2")
    assert changed_weights(expected, found) == "weights 'a', 'b', 'c' and 2 more were changed"
    assert changed_weights(expected, {"a": "1"}).endswith("'b', 'c', 'd' and 1 more are missing")
    assert changed_weights(expected, expected) == ""


def test_a_manifest_without_its_hash_or_twice_is_refused(toy: Path) -> None:
    model = onnx.load(toy)
    first = model.metadata_props[0]
    for notes in ([first], [*model.metadata_props, first], model.metadata_props[1:]):
        other = onnx.ModelProto()
        other.CopyFrom(model)
        del other.metadata_props[:]
        other.metadata_props.extend(notes)
        toy.write_bytes(other.SerializeToString())
        with pytest.raises(VerificationError, match="the manifest was changed"):
            read_manifest(toy)


@pytest.mark.parametrize(
    ("content", "message", "remedy"),
    [
        (b"", "has 0 bytes", "copy the file again"),
        (
            b"Dear reader,\nthis is no model.\n",
            "is damaged, or no ONNX file",
            "copy the file again",
        ),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "is damaged, or no ONNX file", "copy the file again"),
        (
            (8).to_bytes(8, "little") + b'{"a":{}}',
            "is a checkpoint, not an exported model file",
            "mobilens export",
        ),
    ],
)
def test_another_kind_of_file_is_named(
    tmp_path: Path, content: bytes, message: str, remedy: str
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    for refuse in (read_manifest, load_predictor, verify_bundle):
        with pytest.raises(BundleError, match=message) as caught:
            refuse(path)
        assert str(path) in caught.value.given
        assert remedy in caught.value.remedy


def test_an_onnx_file_without_a_manifest_is_named(toy: Path) -> None:
    model = onnx.load(toy)
    del model.metadata_props[:]
    toy.write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match="is an ONNX file without a mobilens manifest") as caught:
        load_predictor(toy)
    assert caught.value.remedy == "mobilens export CHECKPOINT"


def test_a_folder_and_nothing_at_all_are_named(toy: Path, tmp_path: Path) -> None:
    toy.rename(tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="is a folder") as caught:
        load_predictor(tmp_path)
    assert caught.value.remedy == str(tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="there is no file"):
        load_predictor(tmp_path / "nothing.onnx")
