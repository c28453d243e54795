"""Every format keeps the same promises: it answers, it proves itself, it tells what was changed."""

import contextlib
import io
import json
import os
import random
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mobilens.cli import main
from mobilens.cli.export import TARGETS as OFFERED
from mobilens.errors import BundleError, MissingExtraError, UsageError, VerificationError
from mobilens.exporting import targets
from mobilens.exporting.bundle import export_checkpoint
from mobilens.exporting.targets import TARGETS
from mobilens.nn.backbone import build
from mobilens.nn.checkpoint import Checkpoint
from mobilens.runtime.benchmark import benchmark
from mobilens.runtime.bundle import read_bundle, read_manifest, write_manifest
from mobilens.runtime.engines import ELSEWHERE, ENGINES, GRAPHS, engine_type
from mobilens.runtime.flatbuffer import Flatbuffer
from mobilens.runtime.foreign import is_foreign, open_foreign
from mobilens.runtime.formats import FORMATS, main_file
from mobilens.runtime.operators import operators
from mobilens.runtime.predictor import BundlePredictor
from mobilens.runtime.verify import check_bundle, verify_bundle
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec
from mobilens.tasks import build_trained
from mobilens.tasks.normalise import Normalise
from mobilens.tasks.predictor import TorchPredictor

pytestmark = pytest.mark.slow

NAMES = ("blue", "grün", "red")
FAMILIES = [
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v4_conv_small",
    "mobilenet_v4_hybrid_medium",
    "mobilefacenet",
]


# Formats that are run here.
RUN = [name for name in FORMATS if not TARGETS[name].unproven]


def photos(count, size):
    """Noise of another tint and brightness in each image."""
    stream = np.random.default_rng(1)
    tints = stream.uniform(0.1, 1, (count, 1, 1, 3))
    return (tints * stream.integers(0, 256, (count, *size, 3))).astype(np.uint8)


def checkpoint_of(name, **options):
    """A small net whose answers differ from image to image; its colours are ImageNet's."""
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


@pytest.fixture(scope="module", params=FORMATS)
def exported(request, tmp_path_factory):
    """A file of each format, never changed by a test."""
    info = FORMATS[request.param]
    path = tmp_path_factory.mktemp("file") / f"model{info.suffix}"
    export_checkpoint(checkpoint_of("mobilenet_v3_small"), path, None, target=request.param)
    return path


@pytest.fixture
def copy(exported, tmp_path):
    """A copy with all that belongs to it, to be changed."""
    shutil.copytree(exported.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / exported.name


@pytest.fixture
def runnable(exported):
    """A file of each format that is run here."""
    if read_bundle(exported).format not in RUN:
        pytest.skip("files of this format are not run here")
    return exported


def test_what_is_offered_is_what_there_is():
    assert set(OFFERED) == set(TARGETS) == set(FORMATS)
    assert {info.engine for info in FORMATS.values()} == set(ENGINES) | set(ELSEWHERE)
    assert set(GRAPHS) <= set(ENGINES)
    assert len({info.suffix for info in FORMATS.values()}) == len(FORMATS)


@pytest.mark.parametrize("target", RUN)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_answers_alike_in_every_format(name, target, tmp_path):
    checkpoint = checkpoint_of(name)
    path = tmp_path / f"model{FORMATS[target].suffix}"
    export_checkpoint(checkpoint, path, None, target=target)
    report = verify_bundle(path)
    assert report.engine == FORMATS[target].engine
    images = photos(5, checkpoint.task.preprocessing.size)
    expected = TorchPredictor(build_trained(checkpoint), checkpoint.task).forward(images)
    file = BundlePredictor(path, threads=1)
    assert expected["probabilities"].std(0).min() > 1e-3
    for batch in (5, 1, 3):
        got = file.forward(images[:batch])["probabilities"]
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected["probabilities"][:batch], atol=1e-4)


@pytest.mark.parametrize("target", RUN)
def test_odd_sizes_dilation_and_tensorflow_padding(target, tmp_path):
    checkpoint = checkpoint_of(
        "mobilenet_v2", resolution=(75, 50), output_stride=16, padding="same"
    )
    path = tmp_path / f"model{FORMATS[target].suffix}"
    export_checkpoint(checkpoint, path, None, target=target)
    images = photos(2, (75, 50))
    expected = TorchPredictor(build_trained(checkpoint), checkpoint.task).forward(images)
    got = BundlePredictor(path, threads=1).forward(images)["probabilities"]
    np.testing.assert_allclose(got, expected["probabilities"], atol=1e-4)


def test_operators_are_listed_with_their_share_of_the_time(runnable):
    report = operators(runnable)
    assert report.engine == FORMATS[read_bundle(runnable).format].engine
    assert sum(group.count for group in report.groups) > 40
    assert sum(group.share for group in report.groups) == pytest.approx(1)
    filters = [one for one in report.groups if "conv" in one.kind.lower()]
    # Some runtimes call a filter of one pixel a product of matrices.
    assert sum(group.count for group in filters) >= 11
    assert sum(group.share for group in filters) > 0.1


def test_a_file_says_what_made_it_and_nothing_is_left_beside_it(exported):
    manifest = read_manifest(exported)
    assert manifest.task.class_names == NAMES
    target = TARGETS[read_bundle(exported).format]
    assert set(target.needs.values()) < set(manifest.tools)
    beside = {exported.name, *(exported.with_suffix(end).name for end in target.companions)}
    assert {file.name for file in exported.parent.iterdir()} == beside


def test_the_same_checkpoint_gives_the_same_bytes(exported, tmp_path):
    again = tmp_path / exported.name
    target = read_bundle(exported).format
    export_checkpoint(checkpoint_of("mobilenet_v3_small"), again, None, target=target)
    for file in exported.parent.rglob("*"):
        if file.is_file():
            name = file.relative_to(exported.parent)
            assert (tmp_path / name).read_bytes() == file.read_bytes(), name


def test_writing_the_manifest_twice_is_writing_it_once(exported):
    data = main_file(exported).read_bytes()
    assert write_manifest(data, read_manifest(exported), exported) == data


def test_bytes_that_are_changed_never_pass(copy):
    file, stream = main_file(copy), random.Random(0)
    data = file.read_bytes()
    places = [*range(0, 64, 7), *stream.sample(range(len(data)), 40), len(data) - 1]
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << stream.randrange(8)
        file.write_bytes(changed)
        with contextlib.suppress(BundleError):
            assert not check_bundle(copy).ok, place


@pytest.mark.parametrize("lie", ["size", "classes", "outputs", "golden"])
def test_a_manifest_that_lies_about_its_graph_is_refused(copy, lie):
    manifest = read_manifest(copy)
    task, golden = manifest.task, manifest.golden
    if lie == "size":
        prepared = replace(task.preprocessing, size=(32, 32))
        picture = replace(manifest.input, size=(32, 32))
        manifest = replace(manifest, input=picture, task=replace(task, preprocessing=prepared))
    elif lie == "classes":
        manifest = replace(manifest, task=replace(task, class_names=(*NAMES, "another")))
    elif lie == "outputs":
        manifest = replace(manifest, outputs=("boxes",))
    elif manifest.unproven is None:
        outputs = {
            name: tuple(1 - one for one in values) for name, values in golden[0].outputs.items()
        }
        manifest = replace(manifest, golden=(replace(golden[0], outputs=outputs), *golden[1:]))
    else:
        pytest.skip("golden answers of files that are not run are compared nowhere")
    file = main_file(copy)
    # Sealed as if it were true: the bytes are as the manifest says, what it says is not.
    file.write_bytes(write_manifest(file.read_bytes(), manifest, copy))
    report = check_bundle(copy)
    assert not report.ok
    (failed,) = (check for check in report.checks if check.result == "failed")
    assert failed.name in ("answers", "interface")
    assert failed.detail
    assert main(["verify", str(copy)]) == 1


@pytest.mark.parametrize("keep", [0, 7, 300, 0.5, 0.99])
def test_a_file_cut_short_is_refused(copy, keep):
    file = main_file(copy)
    data = file.read_bytes()
    file.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(BundleError) as caught:
        verify_bundle(copy)
    assert copy.name in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("keep", [0.5, 0.999])
def test_a_litert_file_without_its_end_is_not_taken_for_another_tools(copy, keep):
    if copy.suffix != ".tflite":
        pytest.skip("others break where they are cut")
    data = copy.read_bytes()
    copy.write_bytes(data[: int(keep * len(data))])
    assert not is_foreign(copy)
    with pytest.raises(VerificationError, match="the manifest was changed or cut off"):
        verify_bundle(copy)


def test_the_command_line_takes_it(runnable, capsys):
    assert main(["verify", str(runnable)]) == 0
    said = capsys.readouterr().out
    assert "proved" in said
    assert "0 tensors" not in said
    assert main(["benchmark", str(runnable), "--rounds", "1"]) == 0
    assert FORMATS[read_bundle(runnable).format].engine in capsys.readouterr().out


def test_a_benchmark_counts_all_that_belongs_to_a_file(runnable):
    report = benchmark([runnable], rounds=1, seconds=0.01)
    assert report.measurements[0].size_bytes == verify_bundle(runnable).size_bytes


def test_all_that_belongs_to_a_file_is_counted(exported):
    files = (file for file in exported.parent.rglob("*") if file.is_file())
    assert verify_bundle(exported).size_bytes == sum(file.stat().st_size for file in files)


def test_pixels_of_another_size_are_refused_by_the_engine_too(runnable):
    engine = engine_type(FORMATS[read_bundle(runnable).format].engine)(runnable, 1)
    with pytest.raises(BundleError):
        engine.run(photos(1, (64, 65)))


def test_the_name_of_another_kind_is_refused(exported, tmp_path):
    target = read_bundle(exported).format
    other = ".onnx" if target != "onnx" else ".pte"
    with pytest.raises(UsageError, match="is the name of another kind of model file"):
        export_checkpoint(
            checkpoint_of("mobilenet_v2"), tmp_path / f"m{other}", None, target=target
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", FORMATS)
def test_a_missing_package_is_one_sentence_with_the_pip_line(target, tmp_path, monkeypatch):
    monkeypatch.setattr(targets.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mobilens\[\w+\]'"):
        export_checkpoint(checkpoint_of("mobilenet_v2"), tmp_path / "m", None, target=target)


# OpenVINO's second file


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    path = tmp_path_factory.mktemp("pair") / "model.xml"
    export_checkpoint(checkpoint_of("mobilenet_v1"), path, None, target="openvino")
    return path


def test_weights_that_are_changed_or_gone_are_named(pair, tmp_path):
    for file in (pair, pair.with_suffix(".bin")):
        shutil.copy(file, tmp_path / file.name)
    path, weights = tmp_path / "model.xml", tmp_path / "model.bin"
    data = bytearray(weights.read_bytes())
    data[100] ^= 1
    weights.write_bytes(data)
    with pytest.raises(VerificationError, match="weight 'weights' was changed"):
        verify_bundle(path)
    weights.unlink()
    os.mkfifo(weights)  # nobody would ever write to it
    with pytest.raises(BundleError, match=r"model\.bin is not what belongs to a model file"):
        verify_bundle(path)
    weights.unlink()
    with pytest.raises(BundleError, match=r"its weights, model\.bin, are not beside it"):
        verify_bundle(path)


# ncnn's three files


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    path = tmp_path_factory.mktemp("three") / "model.ncnn"
    export_checkpoint(checkpoint_of("mobilenet_v1"), path, None, target="ncnn")
    return path


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (".ncnn.param", "the graph was changed"),
        (".ncnn.bin", "weight 'weights' was changed"),
    ],
)
def test_what_lies_beside_a_manifest_is_sealed(three, tmp_path, end, said):
    for file in three.parent.iterdir():
        shutil.copy(file, tmp_path / file.name)
    path, beside = tmp_path / three.name, tmp_path / f"model{end}"
    data = beside.read_bytes()
    for changed in (data[:99] + b"1" + data[100:], data[:-1], data + b"\n", b""):
        beside.write_bytes(changed)
        with pytest.raises(VerificationError, match=said):
            verify_bundle(path)
        assert main(["predict", str(path), str(path)]) == 1
    beside.unlink()
    with pytest.raises(BundleError, match=rf"model\{end} is not beside it"):
        verify_bundle(path)


def test_the_manifest_of_another_model_does_not_pass(three, tmp_path):
    export_checkpoint(checkpoint_of("mobilenet_v2"), tmp_path / three.name, None, target="ncnn")
    shutil.copy(three, tmp_path / three.name)
    with pytest.raises(VerificationError, match="weight 'weights' was changed"):
        verify_bundle(tmp_path / three.name)


def test_a_manifest_beside_is_json(three):
    value = json.loads(three.read_text(encoding="ascii"))
    assert value["manifest"]["task"]["class_names"] == list(NAMES)
    assert value["ncnn"] == 1


def test_layers_given_in_place_of_their_manifest_lead_to_it(three, capsys):
    layers = three.with_suffix(".ncnn.param")
    assert main(["verify", str(layers)]) == 1
    said = capsys.readouterr().err
    assert "it holds the layers alone, model.ncnn the manifest" in said
    assert f"try: {three}" in said


def test_files_without_a_manifest_are_told_so(three, tmp_path):
    for file in three.parent.iterdir():
        shutil.copy(file, tmp_path / file.name)
    (tmp_path / three.name).write_bytes(b'{"ncnn":1}\n')
    with pytest.raises(BundleError, match="is an ncnn file without a mobilens manifest"):
        read_manifest(tmp_path / three.name)


def test_the_name_of_a_file_that_lies_beside_is_refused(tmp_path):
    for name in ("model.ncnn.param", "model.bin"):
        with pytest.raises(UsageError, match="is the name of another kind of model file"):
            export_checkpoint(checkpoint_of("mobilenet_v1"), tmp_path / name, None, target="ncnn")


# LiteRT's archive


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "model.tflite"
    export_checkpoint(checkpoint_of("mobilenet_v1"), path, None, target="litert")
    return path


def test_labels_lie_packed_behind_the_model(packed):
    with zipfile.ZipFile(packed) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(NAMES)


def test_phone_libraries_find_the_picture_and_the_labels(packed):
    """Read by field numbers of the metadata's schema; tools/mediapipe_check.py asks the library."""
    data = packed.read_bytes()
    model = Flatbuffer(data)
    (entry,) = model.tables(model.follow(model.field(model.root(), 6)))
    assert model.text(model.follow(model.field(entry, 0))) == b"TFLITE_METADATA"
    buffers = model.tables(model.follow(model.field(model.root(), 4)))
    held = buffers[model.number(model.field(entry, 1))]
    metadata = Flatbuffer(model.text(model.follow(model.field(held, 0))))
    assert metadata.number(4) == int.from_bytes(b"M001", "little")
    (graph,) = metadata.tables(metadata.follow(metadata.field(metadata.root(), 3)))
    ends = [metadata.tables(metadata.follow(metadata.field(graph, index))) for index in (2, 3)]
    ((pixels,), (scores,)) = ends
    content = metadata.follow(metadata.field(pixels, 3))
    assert metadata.number(metadata.field(content, 0), 1) == 2  # a picture
    (labels,) = metadata.tables(metadata.follow(metadata.field(scores, 6)))
    assert metadata.text(metadata.follow(metadata.field(labels, 0))) == b"labels.txt"
    assert metadata.number(metadata.field(labels, 2), 1) == 2  # of an output's axis


def bomb(packed, kind):
    """The model with an archive behind it that is not plain."""
    data = packed.read_bytes()
    model = data[: data.index(b"PK\3\4")]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        if kind == "swells":
            target.writestr("mobilens.json", bytes(200_000_000))
        elif kind == "many":
            for index in range(1000):
                target.writestr(f"{index}", b"")
        else:
            target.writestr(zipfile.ZipInfo("a"), b"1")
            with pytest.warns(UserWarning, match="Duplicate"):
                target.writestr(zipfile.ZipInfo("a"), b"2")
    return model + archive.getvalue()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("swells", "unpacks to 200,000,000 bytes"),
        ("many", "1,000 files are packed behind the model"),
        ("twice", "two files packed behind the model share a name"),
    ],
)
def test_archives_that_swell_are_not_unpacked(packed, tmp_path, kind, said):
    path = tmp_path / "bomb.tflite"
    path.write_bytes(bomb(packed, kind))
    with pytest.raises(BundleError, match=said):
        verify_bundle(path)
    assert main(["verify", str(path)]) == 1
    for look in (is_foreign, open_foreign):
        with pytest.raises(BundleError, match=said):
            look(path)


def test_a_model_without_an_archive_has_no_manifest(packed, tmp_path):
    data = packed.read_bytes()
    path = tmp_path / "plain.tflite"
    # Another tool's metadata names other files, or none.
    path.write_bytes(data[: data.index(b"PK\3\4")].replace(b"mobilens.json", b"whatever.json"))
    with pytest.raises(BundleError, match="is a LiteRT file without a mobilens manifest"):
        read_manifest(path)
