"""INT8 in every format: it answers alike, says what it lost, and is refused where that is much."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.contract.test_formats import FAMILIES, NAMES, checkpoint_of
from torch import nn

from mobilens.api import export
from mobilens.cli import main
from mobilens.compress.quantiser import Quantiser, Recipe
from mobilens.compress.simulate import simulate, with_rounded_filters
from mobilens.data.dataset import load_split
from mobilens.errors import BundleError, ExportError, UsageError
from mobilens.exporting import workbench
from mobilens.exporting.draft import seal
from mobilens.exporting.int8 import Bounds, export_int8
from mobilens.exporting.original import Original
from mobilens.exporting.targets import TARGETS, build_of
from mobilens.graph import ops
from mobilens.graph.quantised import integer_operators
from mobilens.graph.rewrite import simplify
from mobilens.graph.run import run
from mobilens.graph.trace import trace
from mobilens.nn.backbone import build
from mobilens.nn.checkpoint import Checkpoint
from mobilens.runtime.bundle import read_manifest
from mobilens.runtime.engines import engine_type
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import InputSpec, Manifest, ModelCost
from mobilens.runtime.predictor import BundlePredictor
from mobilens.runtime.verify import verify_bundle
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec
from mobilens.tasks.normalise import Normalise
from mobilens.vision.intervals import Estimate

pytestmark = pytest.mark.slow
WITH_INTEGERS = [name for name, kind in TARGETS.items() if "int8" in kind.precisions]


@pytest.fixture(scope="module")
def folder(write_photos, tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("data") / "tints", classes=NAMES, count=6)


def draft(checkpoint, graph):
    """A manifest that proves nothing, for files that are written without proof."""
    return Manifest(
        task=checkpoint.task,
        model=checkpoint.model.to_json(),
        cost=ModelCost(1, 1),
        input=InputSpec(graph.input, checkpoint.task.preprocessing.size),
        outputs=tuple(graph.outputs),
        golden=(),
        tolerance=1.0,
    )


def scenes(count, side):
    """Photos that differ in what is large in them, so that rounding is small beside it."""
    stream = np.random.default_rng(2)
    coarse = stream.integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    return coarse.repeat(side // 4, 1).repeat(side // 4, 2)


def conditioned(name):
    """A net whose statistics are those of scenes."""
    torch.manual_seed(0)
    model = build_spec(name, width_mult=0.25, resolution=64, num_classes=3)
    net = build(model)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.2, 0.6)
    prepared = Preprocessing(size=model.resolution)
    with torch.no_grad():
        net.train()(Normalise(prepared)(torch.from_numpy(scenes(32, 64))))
    return Checkpoint(model, TaskSpec("classify", NAMES, prepared), net.state_dict())


def at_features(graph):
    """The graph as far as what the classifier reads, which random filters do not blow up."""
    last = [op for op in graph.ops if isinstance(op, ops.Linear)][-1]
    kept = graph.ops[: graph.ops.index(last)]
    return replace(graph, outputs={"features": last.inputs[0]}).with_ops(kept)


@pytest.mark.parametrize("target", WITH_INTEGERS)
@pytest.mark.parametrize("name", FAMILIES)
def test_integers_give_what_their_simulation_gives(name, target, tmp_path):
    checkpoint = conditioned(name)
    traced = simplify(trace(checkpoint))
    images = scenes(8, 64)
    for index, placement in enumerate(TARGETS[target].placements):
        recipe = Recipe("least squares", equalised=True)
        found = Quantiser(traced, placement, images).follow(recipe)
        graph, integers = at_features(found.graph), found.quantisation
        path = tmp_path / f"{index}{FORMATS[target].suffix}"
        manifest = draft(checkpoint, graph)
        build_of(TARGETS[target])(graph, manifest, path, integers)
        seal(path, manifest)
        engine = engine_type(FORMATS[target].engine)(path, 1)
        given = np.concatenate([engine.run(images[i : i + 1])["features"] for i in range(8)])
        simulated = simulate(
            with_rounded_filters(graph, integers), integers, torch.from_numpy(images)
        )["features"].numpy()
        exact = run(graph, torch.from_numpy(images))["features"].numpy()
        # Random nets blow up each value that falls to the other side of a half; no more than that.
        # What is computed otherwise than meant is as far from one as from the other.
        assert distance(given, simulated) < 1.4 * distance(simulated, exact), placement.name
        if placement.stored:
            assert integer_operators(graph, integers) > 20


def distance(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(other)


@pytest.fixture(scope="module", params=WITH_INTEGERS)
def exported(request, folder, tmp_path_factory):
    """A file of each format from the command line, and what was said of it."""
    saved = tmp_path_factory.mktemp("run") / "best.safetensors"
    checkpoint_of("mobilenet_v3_small").save(saved)
    path = tmp_path_factory.mktemp("file") / f"model{FORMATS[request.param].suffix}"
    command = ["export", str(saved), "--to", request.param, "--int8", "--out", str(path)]
    command += ["--data", str(folder), "--calibrate", str(folder), "--max-drop", "30"]
    assert main(command) == 0
    return path


def test_the_file_says_what_it_lost_and_how_fast_it_is(exported):
    manifest = read_manifest(exported)
    assert manifest.precision == "int8"
    reduction = manifest.reduction
    assert reduction is not None
    assert reduction.drop <= reduction.allowed == pytest.approx(0.3)
    low, high = reduction.drop_interval
    assert low <= reduction.drop <= high
    assert manifest.accuracy is not None
    difference = manifest.accuracy.checkpoint["top1"] - manifest.accuracy.file["top1"]
    assert difference == pytest.approx(reduction.drop)
    assert reduction.integers is not None
    assert reduction.integers.calibration_images == 18
    assert reduction.integers.recipe["images"] == 64
    assert reduction.integers.layers > 40
    assert reduction.speed.ms > 0
    assert reduction.speed.float_ms > 0
    assert reduction.speed.slower == (reduction.speed.ms > 1.03 * reduction.speed.float_ms)
    assert type(manifest).from_text(manifest.to_text()) == manifest


def test_it_proves_itself_by_its_own_answers(exported, capsys):
    assert main(["verify", str(exported)]) == 0
    assert "points by fewer bits, " in capsys.readouterr().out
    report = verify_bundle(exported)
    assert report.largest_difference == 0
    assert report.tolerance == workbench.TOLERANCES["int8"]
    assert len(BundlePredictor(exported).manifest.golden) == 4
    names = {file.name for file in exported.parent.iterdir()}
    ends = (exported.suffix, *TARGETS[_target(exported)].companions)
    assert names == {exported.with_suffix(end).name for end in ends}


def _target(path):
    return next(name for name, info in FORMATS.items() if info.suffix == path.suffix)


def test_a_loss_that_is_too_large_is_refused_with_what_to_try(
    folder, tmp_path, monkeypatch, watcher
):
    monkeypatch.setattr(workbench, "drop", lambda *_: Estimate(0.123, 0.1, 0.15))
    monkeypatch.setattr(workbench, "ROUNDS", 1)
    monkeypatch.setattr(workbench, "SECONDS", 0.01)
    bounds = Bounds(sorted(folder.rglob("*.png")), 0.01)
    data = load_split(folder, "val", NAMES)
    original = Original(checkpoint_of("mobilenet_v1"), data, watcher)
    path = tmp_path / "model.tflite"
    with pytest.raises(ExportError) as caught:
        export_int8(original, path, bounds, target="litert")
    assert caught.value.given == (
        "INT8 loses 12.3 points at best (a scale for each channel of filters); nothing was written"
    )
    assert caught.value.expected == "at most 1"
    assert caught.value.remedy == (
        "--max-drop 12.3, more or likelier photos to calibrate on (--calibrate), or the file in "
        "float"
    )
    assert not list(tmp_path.iterdir())
    assert watcher.said[0].startswith("litert: a scale for each channel of filters: ")
    assert "drop 12.3 (10.0 to 15.0) points" in watcher.said[0]
    assert any(line.startswith("litert: the worst 8 layers in float: ") for line in watcher.said)


def test_what_int8_cannot_do_without_is_asked_for(folder, tmp_path, capsys):
    saved = tmp_path / "best.safetensors"
    checkpoint_of("mobilenet_v1").save(saved)
    command = ["export", str(saved), "--int8", "--json"]
    assert main([*command, "--no-data"]) == 2
    assert "--int8 without data" in capsys.readouterr().err
    assert main([*command, "--data", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "does not say what it was trained with" in said
    assert "--calibrate" in said
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main([*command, "--data", str(folder), "--calibrate", str(empty)]) == 1
    assert f"no image in {empty}" in capsys.readouterr().err
    assert main(["export", str(saved), "--calibrate", str(folder)]) == 2
    assert "--calibrate is for --int8" in capsys.readouterr().err
    assert main(["export", str(saved), "--max-drop", "2"]) == 2
    assert "--max-drop is for --int8, --fp16, --bf16" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--max-drop", "-1"])
    assert "'-1' is no number of points, 0 to 100" in capsys.readouterr().err


def test_json_tells_what_was_lost(folder, tmp_path, capsys):
    saved = tmp_path / "best.safetensors"
    checkpoint_of("mobilenet_v1").save(saved)
    command = ["export", str(saved), "--int8", "--json", "--max-drop", "100"]
    command += ["--data", str(folder), "--calibrate", str(folder)]
    assert main(command) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["precision"] == "int8"
    assert value["reduction"]["rung"] == "a scale for each channel of filters"
    assert value["bytes"] == (tmp_path / "model.int8.onnx").stat().st_size


def test_int8_needs_data_from_python_too(tmp_path):
    saved = tmp_path / "best.safetensors"
    checkpoint_of("mobilenet_v1").save(saved)
    with pytest.raises(UsageError, match="int8 without data"):
        export(saved, precision="int8", measure=False)
    with pytest.raises(UsageError, match="max_drop is -1"):
        export(saved, precision="int8", measure=False, max_drop=-1)
    with pytest.raises(UsageError, match="threads is 0"):
        export(saved, threads=0)
    with pytest.raises(UsageError, match="no precision is named 'int4'"):
        export(saved, precision="int4")


def test_a_manifest_that_hides_slowness_is_refused(exported):
    manifest = read_manifest(exported)
    text = manifest.to_text()
    lying = text.replace(b'"slower":true', b'"slower":null').replace(
        b'"slower":false', b'"slower":true'
    )
    lying = lying.replace(b'"slower":null', b'"slower":false')
    assert lying != text
    with pytest.raises(BundleError, match=r"slower is (True|False) for"):
        type(manifest).from_text(lying)
