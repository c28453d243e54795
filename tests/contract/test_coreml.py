"""Core ML packages: computed here from what stands in them, and refused where they were changed.

Core ML itself is a part of Apple's systems. What can be proved elsewhere is that the file says what
the checkpoint computes: each operation is read back from the file and computed by torch, as the
documentation of its language has it.
"""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mobilens.cli import main
from mobilens.errors import BundleError, ExportError, UsageError, VerificationError
from mobilens.exporting.bundle import export_checkpoint
from mobilens.exporting.draft import draft_manifest
from mobilens.exporting.targets import TARGETS, build_of
from mobilens.graph.pixels import fold_normalisation
from mobilens.graph.rewrite import simplify
from mobilens.graph.trace import trace
from mobilens.nn.backbone import build
from mobilens.nn.checkpoint import Checkpoint
from mobilens.nn.layers import LayerScale
from mobilens.runtime.bundle import read_manifest, write_manifest
from mobilens.runtime.formats import main_file
from mobilens.runtime.verify import check_bundle, verify_bundle
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec, list_models
from mobilens.tasks import build_trained
from mobilens.tasks.normalise import Normalise
from mobilens.tasks.predictor import TorchPredictor

pytestmark = pytest.mark.slow

NAMES = ("blue", "grün", "red")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import coremltools
    from coremltools.libmilstoragepython import _BlobStorageReader

FLOAT16, FLOAT32 = 10, 11  # of MIL's data types
SIZES = {"ints": torch.int64, "bools": torch.bool, "floats": torch.float32}


def photos(count, size):
    stream = np.random.default_rng(1)
    tints = stream.uniform(0.1, 1, (count, 1, 1, 3))
    return (tints * stream.integers(0, 256, (count, *size, 3))).astype(np.uint8)


def checkpoint_of(name, **options):
    """A small net with statistics, scales and colours of its own, whose answers differ."""
    torch.manual_seed(0)
    options = {"width_mult": 0.25, "resolution": 64, "num_classes": 3} | options
    model = build_spec(name, **options)
    prepared = Preprocessing(
        size=model.resolution, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    net = build(model)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics of what it sees
        if isinstance(module, LayerScale):
            nn.init.uniform_(module.scale, 0.2, 0.5)
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.2, 0.6)
    with torch.no_grad():
        images = Normalise(prepared)(torch.from_numpy(photos(16, model.resolution)))
        net.train()(images)
        scores = net.eval()(images)
        factor = (1 / scores.std(0)).clamp(max=200)
        net.head.classifier.weight *= factor.view(-1, 1)
        net.head.classifier.bias.copy_(factor * (net.head.classifier.bias - scores.mean(0)))
    return Checkpoint(model, TaskSpec("classify", NAMES, prepared), net.state_dict())


def answers(checkpoint, pixels):
    predictor = TorchPredictor(build_trained(checkpoint), checkpoint.task)
    return predictor.forward(pixels)["probabilities"]


class Interpreter:
    """A program of Core ML, computed by torch from nothing but its package."""

    def __init__(self, path: Path) -> None:
        spec = coremltools.utils.load_spec(str(path))
        (self._function,) = spec.mlProgram.functions.values()
        (self._block,) = self._function.block_specializations.values()
        self._weights = _BlobStorageReader(str(path / "Data/com.apple.CoreML/weights/weight.bin"))

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Scores by class of (1, height, width, 3) uint8 pixels."""
        (given,) = self._function.inputs
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
        assert [one.constant.size for one in given.type.tensorType.dimensions] == [*image.shape]
        values = {given.name: image}
        for op in self._block.operations:
            if op.type == "classify":
                return values[op.inputs["probabilities"].arguments[0].name].numpy()
            (output,) = op.outputs
            if op.type == "const":
                values[output.name] = self._constant(op.attributes["val"])
                continue
            read = {key: self._argument(each, values) for key, each in op.inputs.items()}
            value = getattr(self, f"_{op.type}")(**read)
            about = output.type.tensorType
            assert [one.constant.size for one in about.dimensions] == [*value.shape], op
            # Computed in float32, and kept in what the program says.
            values[output.name] = value.half().float() if about.dataType == FLOAT16 else value
        raise AssertionError("the program classifies nothing")

    def _argument(self, argument, values):
        (one,) = argument.arguments
        return values[one.name] if one.name else self._constant(one.value)

    def _constant(self, value):
        about = value.type.tensorType
        shape = [one.constant.size for one in about.dimensions]
        if value.WhichOneof("value") == "blobFileValue":
            offset = value.blobFileValue.offset
            if about.dataType == FLOAT16:
                bits = np.array(self._weights.read_fp16_data(offset), np.uint16)
                held = bits.view(np.float16).astype(np.float32)
            else:
                assert about.dataType == FLOAT32
                held = np.array(self._weights.read_float_data(offset), np.float32)
            return torch.from_numpy(held.reshape(shape))
        held = value.immediateValue.tensor
        kind = held.WhichOneof("value")
        if kind == "strings":
            return held.strings.values[0]
        if kind == "bytes":
            bits = np.frombuffer(held.bytes.values, np.float16).astype(np.float32)
            return torch.from_numpy(bits.copy()).reshape(shape)
        numbers = torch.tensor(list(getattr(held, kind).values), dtype=SIZES[kind])
        return numbers.reshape(shape)

    # The operations, by their names in the documentation; an unknown argument is an error.

    def _cast(self, x, dtype):  # noqa: ARG002 - the output's own type says it too
        return x

    def _identity(self, x):
        return x

    def _sub(self, x, y):
        return x - y

    def _add(self, x, y):
        return x + y

    def _mul(self, x, y):
        return x * y

    def _relu(self, x):
        return x.clamp(0)

    def _relu6(self, x):
        return x.clamp(0, 6)

    def _prelu(self, x, alpha):
        return F.prelu(x, alpha)

    def _clip(self, x, alpha, beta):
        return x.clamp(alpha.item(), beta.item())

    def _sigmoid(self, x):
        return torch.sigmoid(x)

    def _sigmoid_hard(self, x, alpha, beta):
        return (alpha * x + beta).clamp(0, 1)

    def _gelu(self, x, mode):
        assert mode == "EXACT"
        return F.gelu(x)

    def _reduce_mean(self, x, axes, keep_dims):
        return x.mean(axes.tolist(), keepdim=bool(keep_dims))

    def _reshape(self, x, shape):
        return x.reshape(shape.tolist())

    def _transpose(self, x, perm):
        return x.permute(perm.tolist())

    def _matmul(self, x, y, transpose_x, transpose_y):
        assert not transpose_x
        return x @ (y.transpose(-1, -2) if transpose_y else y)

    def _softmax(self, x, axis):
        return torch.softmax(x, axis.item())

    def _linear(self, x, weight, bias):
        return F.linear(x, weight, bias)

    def _batch_norm(self, x, mean, variance, gamma, beta, epsilon):
        return F.batch_norm(x, mean, variance, gamma, beta, eps=epsilon.item())

    def _conv(self, x, weight, bias, strides, pad_type, pad, dilations, groups):
        top, bottom, left, right = pad.tolist() if pad_type == "custom" else [0] * 4
        assert pad_type in ("custom", "valid")
        padded = F.pad(x, (left, right, top, bottom))
        stride, dilation = strides.tolist(), dilations.tolist()
        return F.conv2d(padded, weight, bias, stride, 0, dilation, groups.item())


def check(path, checkpoint, atol):
    pixels = photos(3, checkpoint.task.preprocessing.size)
    expected = answers(checkpoint, pixels)
    assert expected.std(0).max() > 1e-2
    program = Interpreter(path)
    with torch.inference_mode():
        got = np.concatenate([program.run(pixels[index : index + 1]) for index in range(3)])
    np.testing.assert_allclose(got, expected, atol=atol)


@pytest.mark.parametrize("name", list_models())
def test_the_file_says_what_the_checkpoint_computes(name, tmp_path):
    checkpoint = checkpoint_of(name)
    path = tmp_path / "model.mlpackage"
    exported = export_checkpoint(checkpoint, path, None, target="coreml")
    assert list(tmp_path.iterdir()) == [path]
    assert exported.manifest.unproven.startswith("Core ML is a part of Apple's systems")
    check(path, checkpoint, 1e-4)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mobilenet_v2", {"resolution": (75, 50), "output_stride": 16, "padding": "same"}),
        ("mobilenet_v3_large", {"width_mult": 0.5, "resolution": 96}),
        ("mobilenet_v4_hybrid_medium", {"width_mult": 0.35, "resolution": 128}),
    ],
)
def test_other_widths_sizes_and_paddings(name, options, tmp_path):
    checkpoint = checkpoint_of(name, **options)
    path = tmp_path / "model.mlpackage"
    export_checkpoint(checkpoint, path, None, target="coreml")
    check(path, checkpoint, 1e-4)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "mobilenet_v4_hybrid_medium"])
def test_in_float16(name, tmp_path):
    checkpoint = checkpoint_of(name)
    graph = fold_normalisation(simplify(trace(checkpoint)))
    predictor = TorchPredictor(build_trained(checkpoint), checkpoint.task)
    target = TARGETS["coreml"]
    sizes = {}
    for precision in ("float32", "float16"):
        path = tmp_path / f"{precision}.mlpackage"
        manifest = draft_manifest(checkpoint, predictor, graph, None, target)
        manifest = replace(manifest, precision=precision)
        build_of(target)(graph, manifest, path)
        sizes[precision] = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    check(path, checkpoint, 0.02)
    assert sizes["float16"] < 0.75 * sizes["float32"]
    other = replace(manifest, precision="bfloat16")
    with pytest.raises(ExportError, match="Core ML in bfloat16 is not offered"):
        build_of(target)(graph, other, tmp_path / "other.mlpackage")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / "model.mlpackage"
    export_checkpoint(checkpoint_of("mobilenet_v1"), path, None, target="coreml")
    return path


@pytest.fixture
def copy(package, tmp_path):
    return Path(shutil.copytree(package, tmp_path / package.name))


def test_apple_s_reader_finds_picture_labels_and_manifest(package):
    spec = coremltools.utils.load_spec(str(package))
    about = spec.description
    assert spec.specificationVersion == 6
    (picture,) = about.input
    assert (picture.type.imageType.height, picture.type.imageType.width) == (64, 64)
    assert picture.type.imageType.colorSpace == 20
    assert [out.name for out in about.output] == ["label", "probabilities"]
    assert about.predictedFeatureName == "label"
    assert about.predictedProbabilitiesName == "probabilities"
    held = about.metadata.userDefined["mobilens"]
    assert json.loads(held)["unproven"] == read_manifest(package).unproven
    operations = next(iter(spec.mlProgram.functions["main"].block_specializations.values()))
    (classify,) = (op for op in operations.operations if op.type == "classify")
    given = classify.inputs["classes"].arguments[0].value.immediateValue.list.values
    labels = tuple(one.immediateValue.tensor.strings.values[0] for one in given)
    assert labels == NAMES


def test_verify_says_what_it_checked_and_what_nobody_did(package, capsys):
    assert main(["verify", str(package)]) == 0
    said = capsys.readouterr().out
    assert f"{package}: as exported; its answers are UNPROVEN" in said
    assert "interface ok       takes pixels, a picture 64x64 RGB; gives one of 3 labels" in said
    assert "answers   skipped  not run: Core ML is a part of Apple's systems" in said
    assert main(["verify", str(package), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert report["unproven"].startswith("Core ML is a part of Apple's systems")
    assert report["largest_difference"] is None


@pytest.mark.parametrize("verb", ["predict", "evaluate", "benchmark"])
def test_running_it_is_refused_in_one_sentence(package, verb, write_photos, tmp_path, capsys):
    photos = [] if verb == "benchmark" else [str(write_photos(tmp_path / "photos", count=1))]
    assert main([verb, str(package), *photos]) == 2
    said = capsys.readouterr().err
    assert "a file for coreml is not run here: Core ML is a part of Apple's systems" in said
    assert "--to onnx" in said


def test_a_kit_does_not_take_it(package, tmp_path, capsys):
    assert main(["benchmark", str(package), "--device-kit", str(tmp_path / "kit")]) == 2
    assert f"{package} is not run by Python: Core ML is a part of" in capsys.readouterr().err
    assert not (tmp_path / "kit").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"input": {"size": (64, 65)}}, "it takes pixels, a picture 64x64 RGB; the manifest says"),
        ({"class_names": ("blue", "green", "red")}, "its labels are not the class names"),
        ({"class_names": NAMES[:2]}, "its labels are not the class names"),
        ({"outputs": ("scores",)}, "it gives probabilities; the manifest says scores"),
    ],
)
def test_a_manifest_that_lies_about_the_interface_is_refused(copy, change, said):
    manifest = read_manifest(copy)
    task = manifest.task
    if "input" in change:
        size = change["input"]["size"]
        task = replace(task, preprocessing=replace(task.preprocessing, size=size))
        manifest = replace(manifest, input=replace(manifest.input, size=size), task=task)
    if "class_names" in change:
        manifest = replace(manifest, task=replace(task, class_names=change["class_names"]))
    if "outputs" in change:
        manifest = replace(manifest, outputs=change["outputs"])
    file = main_file(copy)
    file.write_bytes(write_manifest(file.read_bytes(), manifest, copy))
    with pytest.raises(VerificationError, match=said):
        verify_bundle(copy)


def test_every_file_of_the_package_is_sealed(copy):
    weights = copy / "Data/com.apple.CoreML/weights/weight.bin"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(VerificationError, match="weight 'weights' was changed"):
        verify_bundle(copy)
    weights.unlink()
    with pytest.raises(VerificationError, match="weight 'weights' is missing"):
        verify_bundle(copy)


@pytest.mark.parametrize("name", ["Manifest.json", "Data/com.apple.CoreML/more.bin"])
def test_files_that_are_changed_or_added_are_noticed(copy, name):
    with (copy / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(VerificationError, match="the graph was changed"):
        verify_bundle(copy)


def test_opening_it_with_apple_s_tools_is_no_change(copy):
    contents = copy / "Manifest.json"
    before = contents.read_bytes()
    coremltools.utils.load_spec(str(copy))
    contents.write_text(json.dumps(json.loads(contents.read_bytes())))
    assert contents.read_bytes() != before
    assert check_bundle(copy).ok


def test_what_a_mac_leaves_in_a_folder_is_no_change(copy):
    (copy / ".DS_Store").write_bytes(b"looked into")
    assert check_bundle(copy).ok


def test_a_part_or_a_plain_folder_is_named(copy, tmp_path):
    with pytest.raises(BundleError, match="it is a part of a model"):
        verify_bundle(main_file(copy))
    (tmp_path / "empty.mlpackage").mkdir()
    with pytest.raises(BundleError, match="is a folder"):
        verify_bundle(tmp_path / "empty.mlpackage")


def test_a_package_is_replaced_and_another_folder_is_not(copy, tmp_path):
    checkpoint = checkpoint_of("mobilenet_v2")
    exported = export_checkpoint(checkpoint, copy, None, target="coreml")
    assert exported.path == copy
    assert read_manifest(copy).model["name"] == "mobilenet_v2"
    assert list(tmp_path.iterdir()) == [copy]
    other = tmp_path / "photos.mlpackage"
    other.mkdir()
    (other / "a.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="is a folder"):
        export_checkpoint(checkpoint, other, None, target="coreml")
    assert (other / "a.jpg").read_bytes() == b"mine"


def test_the_accuracy_is_the_checkpoint_s_alone(tmp_path, write_photos, capsys):
    data = write_photos(tmp_path / "photos", classes=NAMES, count=4)
    checkpoint_of("mobilenet_v1").save(tmp_path / "best.safetensors")
    words = ["export", str(tmp_path / "best.safetensors"), "--to", "coreml", "--data", str(data)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "model.mlpackage: " in said
    assert "UNPROVEN: Core ML is a part of Apple's systems" in said
    assert "the checkpoint's; the file was not measured" in said
    accuracy = read_manifest(tmp_path / "model.mlpackage").accuracy
    assert set(accuracy.checkpoint) == {"top1"}
    assert accuracy.file == {}
    assert main(["verify", str(tmp_path / "model.mlpackage")]) == 0
    assert "of its checkpoint, not of this file" in capsys.readouterr().out
    assert main([*words, "--int8"]) == 2
    assert "not run here: what it would lose cannot be measured" in capsys.readouterr().err
    size = verify_bundle(tmp_path / "model.mlpackage").size_bytes
    assert main([*words, "--fp16"]) == 0
    assert "MB in float16, converted and checked, not run" in capsys.readouterr().out
    assert verify_bundle(tmp_path / "model.fp16.mlpackage").size_bytes < 0.75 * size
    assert read_manifest(tmp_path / "model.fp16.mlpackage").precision == "float16"
