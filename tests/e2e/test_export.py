"""``mobilens export``: no file leaves without its proof."""

import importlib.util
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mobilens.cli import main
from mobilens.errors import ExportError, UsageError
from mobilens.exporting import bundle, original
from mobilens.exporting.bundle import export_checkpoint
from mobilens.nn.backbone import build
from mobilens.nn.checkpoint import Checkpoint
from mobilens.runtime.bundle import read_manifest
from mobilens.runtime.manifest import Licence
from mobilens.runtime.predictor import BundlePredictor, load_predictor
from mobilens.runtime.verify import verify_bundle
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec, list_models
from mobilens.tasks import build_trained
from mobilens.tasks.normalise import Normalise
from mobilens.tasks.predictor import TorchPredictor

pytestmark = pytest.mark.slow

NAMES = ("blue", "green", "red")
# One of each kind of block and activation: plain, inverted residual, squeeze-excite, UIB,
# attention, PReLU.
FAMILIES = [
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v4_conv_small",
    "mobilenet_v4_hybrid_medium",
    "mobilefacenet",
]


def checkpoint_of(name, *, provenance=None, **options):
    """A net with statistics of its own and answers that differ from image to image."""
    torch.manual_seed(0)
    options = {"width_mult": 0.25, "resolution": 64, "num_classes": 3} | options
    model = build_spec(name, **options)
    task = TaskSpec("classify", NAMES, Preprocessing(size=model.resolution))
    net = build(model)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, std=0.1)
            module.momentum = None  # the statistics of what it sees
    with torch.no_grad():
        images = Normalise(task.preprocessing)(torch.from_numpy(pixels(40, model.resolution)))
        net.train()(images)
        scores = net.eval()(images)
        # Not more than so: a net that hardly tells them apart would show its roundings.
        factor = (1 / scores.std(0)).clamp(max=200)
        net.head.classifier.weight *= factor.view(-1, 1)
        net.head.classifier.bias -= (scores * factor).mean(0)
    return Checkpoint(model, task, net.state_dict(), provenance or {})


def pixels(count, size=(64, 64)):
    """Noise of another tint and brightness in each image."""
    stream = np.random.default_rng(1)
    tints = stream.uniform(0.1, 1, (count, 1, 1, 3))
    return (tints * stream.integers(0, 256, (count, *size, 3))).astype(np.uint8)


@pytest.fixture(scope="module")
def photos(write_photos, tmp_path_factory):
    root = write_photos(tmp_path_factory.mktemp("data") / "tints", classes=NAMES, count=6)
    (root / "blue" / "00.png").write_bytes(b"the first one does not decode")
    return root


@pytest.fixture(scope="module")
def saved(photos, tmp_path_factory):
    """A checkpoint file that says what it was trained with."""
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    provenance = {
        "weights": "/home/somebody/weights.safetensors",
        "weights_licence": "Apache-2.0",
        "settings": {
            "source": [str(photos)],
            "seed": 5,
            "val_fraction": 0.3,
            "recipe": {"name": "transfer"},
            "data_licence": "CC BY 4.0",
        },
        "data_fingerprint": "f" * 64,
    }
    checkpoint_of("mobilenet_v3_small", provenance=provenance).save(path)
    return path


@pytest.fixture(scope="module")
def exported(saved, tmp_path_factory):
    """Its model file, proven on its own data."""
    path = tmp_path_factory.mktemp("file") / "model.onnx"
    assert main(["export", str(saved), "--out", str(path)]) == 0
    return path


# Every family


def test_the_families_are_those_of_the_zoo():
    assert set(map(family, FAMILIES)) == set(map(family, list_models()))


def family(name):
    """Such as "v3" or "mobilefacenet"."""
    return name.removeprefix("mobilenet_").partition("_")[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_file_verifies_and_agrees_for_any_batch(name, tmp_path):
    checkpoint = checkpoint_of(name)
    export_checkpoint(checkpoint, tmp_path / "model.onnx", None)
    verify_bundle(tmp_path / "model.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    ours = TorchPredictor(build_trained(checkpoint), checkpoint.task)
    file = BundlePredictor(tmp_path / "model.onnx", threads=1)
    images = pixels(40)
    expected = ours.forward(images)["probabilities"]
    assert expected.std(0).min() > 1e-3
    for batch in (1, 3, 40):
        got = file.forward(images[:batch])["probabilities"]
        assert np.abs(got - expected[:batch]).max() <= 1e-4


def test_a_dilated_net_of_odd_size_and_tensorflow_padding(tmp_path):
    checkpoint = checkpoint_of(
        "mobilenet_v2", resolution=(75, 50), output_stride=16, padding="same"
    )
    export_checkpoint(checkpoint, tmp_path / "model.onnx", None)
    images = pixels(2, (75, 50))
    ours = TorchPredictor(build_trained(checkpoint), checkpoint.task).forward(images)
    file = BundlePredictor(tmp_path / "model.onnx", threads=1).forward(images)
    assert np.abs(ours["probabilities"] - file["probabilities"]).max() <= 1e-4


def test_the_graph_is_folded_and_tells_nothing_of_its_maker(exported):
    import onnx

    data = exported.read_bytes()
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert [output.name for output in model.graph.output] == ["probabilities"]
    operators = {node.op_type for node in model.graph.node}
    assert "Conv" in operators
    assert "BatchNormalization" not in operators
    (given,) = model.graph.input
    shape = given.type.tensor_type.shape.dim
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert shape[0].dim_param
    assert [dim.dim_value for dim in shape[1:]] == [64, 64, 3]
    notes = b"".join(note.value.encode() for note in model.metadata_props)
    del model.metadata_props[:]
    for trace in (b"site-packages", b".py", b"/home/", b"/root/"):
        assert trace not in model.SerializeToString()
        assert trace not in notes


def test_the_same_checkpoint_gives_the_same_bytes(saved, exported, tmp_path):
    assert main(["export", str(saved), "--out", str(tmp_path / "again.onnx")]) == 0
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()


# What the file says


def test_the_file_says_what_it_reached_and_on_what(exported, photos):
    manifest = read_manifest(exported)
    accuracy = manifest.accuracy
    assert accuracy.checkpoint == accuracy.file
    assert set(accuracy.file) == {"top1"}
    assert accuracy.dataset.name == photos.name
    assert accuracy.dataset.num_images > 0
    assert manifest.licence == Licence(data="CC BY 4.0", weights="Apache-2.0")
    assert {"torch", "onnxruntime", "mobilens"} <= set(manifest.tools)
    assert manifest.golden


def test_the_file_names_no_folder_of_this_machine(exported, photos):
    assert read_manifest(exported).provenance == {
        "weights": "weights.safetensors",
        "recipe": {"name": "transfer"},
        "seed": 5,
        "data_fingerprint": "f" * 64,
        "val_fraction": 0.3,
        "quantisation": None,
    }
    assert b"/home/somebody" not in exported.read_bytes()
    assert str(photos.parent).encode() not in exported.read_bytes()


# The command line


def test_every_kind_at_once(saved, photos, tmp_path, capsys):
    out = tmp_path / "all"
    arguments = ["export", str(saved), "--to", "all", "--data", str(photos), "--out", str(out)]
    assert main([*arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert list(rows) == ["onnx", "openvino", "litert", "executorch", "coreml", "ncnn"]
    unproven = rows.pop("coreml")
    assert unproven["unproven"].startswith("Core ML is a part of Apple's systems")
    assert unproven["evaluation"] is None
    assert unproven["checkpoint"]["top1"] == rows["onnx"]["evaluation"]["top1"]
    shutil.rmtree(out / "model.mlpackage")
    assert {len({row["agreeing"] for row in rows.values()})} == {1}
    kinds = {
        "onnx": {"model.onnx"},
        "openvino": {"model.xml", "model.bin"},
        "litert": {"model.tflite"},
        "executorch": {"model.pte"},
        "ncnn": {"model.ncnn", "model.ncnn.param", "model.ncnn.bin"},
    }
    assert {file.name for file in out.iterdir()} == set().union(*kinds.values())
    for kind, files in kinds.items():
        assert rows[kind]["bytes"] == sum((out / name).stat().st_size for name in files)
    for row in rows.values():
        assert main(["evaluate", row["file"], str(photos), "--json"]) == 0
        measured = json.loads(capsys.readouterr().out)
        assert measured["top1"] == row["evaluation"]["top1"]


def test_what_is_not_installed_is_said_and_the_rest_is_written(
    saved, tmp_path, capsys, monkeypatch
):
    found = importlib.util.find_spec
    absent = {"openvino", "executorch", "coremltools", "ncnn"}
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in absent else found(name)
    )
    arguments = ["export", str(saved), "--to", "all", "--no-data", "--out", str(tmp_path / "all")]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "openvino: a file for openvino needs openvino, which is not installed" in said
    assert "pip install 'mobilens[executorch]'" in said
    assert {file.name for file in (tmp_path / "all").iterdir()} == {"model.onnx", "model.tflite"}


def test_all_kinds_go_into_a_folder(saved, tmp_path, capsys):
    assert main(["export", str(saved), "--to", "all", "--out", str(tmp_path / "m.onnx")]) == 2
    assert "a folder: what comes into it" in capsys.readouterr().err


def test_json_tells_file_and_accuracy(saved, photos, tmp_path, capsys):
    out = tmp_path / "deep" / "model.onnx"
    assert main(["export", str(saved), "--data", str(photos), "--out", str(out), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["file"] == str(out)
    assert value["bytes"] == out.stat().st_size
    # The folder is not divided, so all of it is measured, less what does not decode.
    assert value["agreeing"] == value["evaluation"]["num_images"] == 17
    assert [one["path"] for one in value["evaluation"]["skipped"]] == ["blue/00.png"]


def test_beside_the_checkpoint_by_default_and_without_data(saved, tmp_path, capsys):
    checkpoint = shutil.copy(saved, tmp_path / "best.safetensors")
    assert main(["export", str(checkpoint), "--no-data"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("MB, verified on patterns; its accuracy was not measured\n")
    assert read_manifest(tmp_path / "model.onnx").accuracy is None
    assert load_predictor(tmp_path / "model.onnx").task.class_names == NAMES


def refused(arguments, capsys):
    code = main(["export", *map(str, arguments)])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return code, printed.err


def test_data_that_has_gone_names_the_ways_out(tmp_path, capsys):
    provenance = {"settings": {"source": [str(tmp_path / "gone")]}}
    checkpoint_of("mobilenet_v3_small", provenance=provenance).save(tmp_path / "a.safetensors")
    code, err = refused([tmp_path / "a.safetensors"], capsys)
    assert code == 1
    assert str(tmp_path / "gone") in err
    assert "--data" in err
    assert "--no-data" in err


def test_a_checkpoint_of_unknown_data_names_the_ways_out(tmp_path, capsys):
    checkpoint_of("mobilenet_v3_small").save(tmp_path / "a.safetensors")
    code, err = refused([tmp_path / "a.safetensors"], capsys)
    assert code == 2
    assert f"{tmp_path / 'a.safetensors'} does not say what it was trained with" in err
    assert "--no-data" in err
    assert not (tmp_path / "model.onnx").exists()


def test_data_of_other_classes_is_refused(saved, write_photos, tmp_path, capsys):
    others = write_photos(tmp_path / "others", classes=("red", "violet"), count=2)
    out = tmp_path / "model.onnx"
    code, err = refused([saved, "--data", others, "--out", out], capsys)
    assert code == 1
    assert "violet" in err
    assert not out.exists()


def test_a_file_that_is_no_checkpoint_is_refused(exported, capsys):
    code, err = refused([exported], capsys)
    assert code == 1
    assert "is not a readable safetensors file" in err


# Refusal


class Liar(BundlePredictor):
    """Answers one image with another class."""

    def forward(self, pixels):
        outputs = {name: values.copy() for name, values in super().forward(pixels).items()}
        outputs["probabilities"][-1] = np.roll(outputs["probabilities"][-1], 1)
        return outputs


@pytest.mark.parametrize("older", [None, b"an older file"])
def test_a_file_that_answers_differently_is_not_written(
    saved, photos, tmp_path, monkeypatch, capsys, older
):
    monkeypatch.setattr(bundle, "BundlePredictor", Liar)
    out = tmp_path / "model.onnx"
    if older:
        out.write_bytes(older)
    code, err = refused([saved, "--data", photos, "--out", out], capsys)
    assert code == 1
    assert err.startswith("no validation part: all 18 images are measured")
    assert (
        "mobilens export: the file answers 1 of 17 images differently from the checkpoint, "
        f"the first is {photos / 'red' / '05.jpg'}; nothing was written\n"
        "  expected: the same answer on every image\n"
    ) in err
    assert [file.name for file in tmp_path.iterdir()] == (["model.onnx"] if older else [])
    assert not older or out.read_bytes() == older


def test_a_file_whose_golden_answers_differ_is_not_written(saved, tmp_path, monkeypatch, capsys):
    class Wrong(TorchPredictor):
        def forward(self, pixels):
            outputs = super().forward(pixels)
            return {name: np.roll(values, 1, axis=1) for name, values in outputs.items()}

    monkeypatch.setattr(original, "TorchPredictor", Wrong)
    code, err = refused([saved, "--no-data", "--out", tmp_path / "model.onnx"], capsys)
    assert code == 1
    assert err.endswith("; nothing was written\n")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_never_overwritten_by_its_model_file(saved, capsys):
    before = saved.read_bytes()
    code, err = refused([saved, "--no-data", "--out", saved], capsys)
    assert code == 2
    assert err == (
        f"mobilens export: {saved} is the name of a checkpoint\n"
        "  expected: the name of a model file\n"
        f"  try: --out {saved.with_suffix('.onnx')}\n"
    )
    assert saved.read_bytes() == before


def test_a_checkpoint_that_diverged_is_not_exported(tmp_path):
    checkpoint = checkpoint_of("mobilenet_v1")
    broken = {
        name: t * float("nan") if t.is_floating_point() else t
        for name, t in checkpoint.tensors.items()
    }
    with pytest.raises(ExportError, match="answers with NaN or infinity"):
        export_checkpoint(replace(checkpoint, tensors=broken), tmp_path / "model.onnx", None)


def test_a_model_of_other_channels_is_not_exported(tmp_path):
    grey = checkpoint_of("mobilenet_v1")
    grey = replace(grey, model=replace(grey.model, in_channels=1))
    with pytest.raises(UsageError, match="the model reads 1 channels"):
        export_checkpoint(grey, tmp_path / "model.onnx", None)


def test_an_engine_that_fails_leaves_nothing(saved, tmp_path, monkeypatch):
    def fail(*_):
        raise ExportError("the engine cannot run it")

    monkeypatch.setattr(bundle, "verify_bundle", fail)
    with pytest.raises(ExportError, match="cannot run it"):
        export_checkpoint(Checkpoint.load(saved), tmp_path / "model.onnx", None)
    assert list(tmp_path.iterdir()) == []
