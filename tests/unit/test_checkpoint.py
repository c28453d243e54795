"""Checkpoints: written whole, read back, refused when they are something else."""

import json
import math
import os
import stat
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from mobilens.errors import SpecError, UnknownNameError, WeightsError
from mobilens.nn.backbone import build
from mobilens.nn.checkpoint import Checkpoint, load_tensors, save_tensors
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec
from mobilens.tasks import build_trained

MODEL = build_spec("mobilenet_v3_small", width_mult=0.25, resolution=32, num_classes=3)
TASK = TaskSpec("classify", ("ä", "b", "c"), Preprocessing(size=(32, 32)))


@pytest.fixture(scope="module")
def checkpoint():
    torch.manual_seed(0)
    return Checkpoint(MODEL, TASK, build(MODEL).state_dict(), {"seed": 3, "weights": None})


def test_what_is_saved_is_loaded(checkpoint, tmp_path):
    checkpoint.save(tmp_path / "a.safetensors")
    loaded = Checkpoint.load(tmp_path / "a.safetensors")
    assert (loaded.model, loaded.task, loaded.provenance) == (MODEL, TASK, checkpoint.provenance)
    assert loaded.tensors.keys() == checkpoint.tensors.keys()
    for name, tensor in checkpoint.tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype


def test_a_loaded_checkpoint_answers_as_the_net_did(checkpoint, tmp_path):
    torch.manual_seed(0)
    net = build(MODEL).eval()
    checkpoint.save(tmp_path / "a.safetensors")
    again = build_trained(Checkpoint.load(tmp_path / "a.safetensors"))
    images = torch.randn(2, 3, 32, 32)
    assert not again.training
    assert torch.equal(net(images), again(images))


def test_the_same_checkpoint_is_the_same_bytes(checkpoint, tmp_path):
    checkpoint.save(tmp_path / "a.safetensors")
    Checkpoint.load(tmp_path / "a.safetensors").save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_file_is_replaced_and_nothing_else_is_left(checkpoint, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"older")
    checkpoint.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
    assert Checkpoint.load(path).model == MODEL


def test_a_file_that_cannot_be_written_leaves_the_old_one(checkpoint, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"older")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
    assert path.read_bytes() == b"older"


@pytest.mark.skipif(os.name == "nt", reason="permissions are of another kind there")
def test_others_may_read_it_as_the_umask_says(checkpoint, tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    checkpoint.save(tmp_path / "a.safetensors")
    mode = stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode)
    assert mode == stat.S_IMODE(plain.stat().st_mode)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"there is no file .*none.safetensors"):
        Checkpoint.load(tmp_path / "none.safetensors")


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(b"\x80\x02this was a pickle")
    with pytest.raises(WeightsError, match=r"odd.safetensors is not a readable safetensors file"):
        Checkpoint.load(path)


def test_a_file_cut_short_is_refused(checkpoint, tmp_path):
    path = tmp_path / "cut.safetensors"
    checkpoint.save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"cut.safetensors is not a readable"):
        Checkpoint.load(path)


def test_bare_weights_say_where_they_belong(tmp_path):
    path = tmp_path / "bare.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError) as error:
        Checkpoint.load(path)
    assert str(error.value) == (
        f"{path} holds weights but no mobilens model\n"
        "  expected: a checkpoint that `mobilens train` wrote\n"
        "  try: give it to `mobilens train --weights` to start from"
    )


def test_what_is_no_checkpoint_says_what_to_give(checkpoint, tmp_path):
    checkpoint.save(tmp_path / "best.safetensors")
    save_tensors({}, tmp_path / "last.safetensors", {"mobilens_state": ""})
    for name, given, remedy in (
        ("last.safetensors", "last.safetensors holds weights but no mobilens model", "/best.safe"),
        ("", f"{tmp_path} is a folder", "/best.safetensors, if it is the folder of a run"),
    ):
        with pytest.raises(WeightsError) as error:
            Checkpoint.load(tmp_path / name)
        assert error.value.given.endswith(given)
        assert remedy in error.value.remedy


def metadata(**changes):
    whole = {"format": 1, "model": MODEL.to_json(), "task": TASK.to_json(), "provenance": {}}
    return {"mobilens": json.dumps(whole | changes)}


def test_a_newer_format_asks_for_a_newer_mobilens(tmp_path):
    save_tensors({}, tmp_path / "a.safetensors", metadata(format=2))
    with pytest.raises(WeightsError, match=r"checkpoint format 2\n.*format 1\n.*newer mobilens"):
        Checkpoint.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "provenance", ["x", [1], {"settings": [1]}, {"weights": 5}, {"settings": {"seed": math.nan}}]
)
def test_a_provenance_of_other_types_is_refused(tmp_path, provenance):
    save_tensors({}, tmp_path / "a.safetensors", metadata(provenance=provenance))
    with pytest.raises(WeightsError, match="does not say what model it holds"):
        Checkpoint.load(tmp_path / "a.safetensors")


def test_a_model_of_any_size_is_compared_before_memory_is_taken(checkpoint):
    rows = (*MODEL.rows[:-1], replace(MODEL.rows[-1], out_channels=2**31 - 1))
    huge = replace(checkpoint, model=replace(MODEL, rows=rows))
    with pytest.raises(WeightsError, match="are not those of its model: backbone"):
        build_trained(huge)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"format": 1}', '{"model":' + "[" * 100_000])
def test_a_description_that_says_nothing_is_refused(tmp_path, text):
    save_tensors({}, tmp_path / "a.safetensors", {"mobilens": text})
    with pytest.raises(WeightsError, match="does not say what model it holds"):
        Checkpoint.load(tmp_path / "a.safetensors")


def test_a_model_that_cannot_be_built_is_refused(tmp_path):
    model = MODEL.to_json()
    model["rows"][3]["kernel_size"] = 4
    save_tensors({}, tmp_path / "a.safetensors", metadata(model=model))
    with pytest.raises(SpecError, match="row 3"):
        Checkpoint.load(tmp_path / "a.safetensors")


def test_tensors_of_another_model_are_refused(checkpoint):
    other = Checkpoint(MODEL.with_classes(4), TASK, checkpoint.tensors)
    with pytest.raises(WeightsError, match=r"not those of its model(.|\n)*head.classifier"):
        build_trained(other)


def test_an_unknown_task_is_refused(checkpoint):
    other = Checkpoint(MODEL, TaskSpec("count", ("a",)), checkpoint.tensors)
    with pytest.raises(UnknownNameError, match="no task is named 'count'"):
        build_trained(other)


def test_channels_last_tensors_are_saved_in_plain_order(tmp_path):
    tensor = torch.arange(24.0).view(1, 2, 3, 4)
    save_tensors({"t": tensor.to(memory_format=torch.channels_last)}, tmp_path / "t", {"k": "v"})
    tensors, found = load_tensors(tmp_path / "t")
    assert torch.equal(tensors["t"], tensor)
    assert tensors["t"].is_contiguous()
    assert found == {"k": "v"}
