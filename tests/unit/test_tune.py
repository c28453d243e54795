"""Training with integers: what is learnt, and that it is carried back to the checkpoint whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.contract.test_int8 import conditioned, scenes
from tests.unit.test_graph import checkpoint_of, photos

from mobilens.cli import main
from mobilens.compress.placement import Placement
from mobilens.compress.quantiser import Quantiser, Recipe
from mobilens.compress.quantize import PLACEMENT, train_with_integers
from mobilens.compress.simulate import simulate, with_rounded_filters
from mobilens.compress.tune import _before_softmax, _distance, tune
from mobilens.graph import ops
from mobilens.graph.origin import carried_back, without_bias
from mobilens.graph.quantised import weight_scales
from mobilens.graph.rewrite import simplify
from mobilens.graph.run import run
from mobilens.graph.trace import trace
from mobilens.nn.checkpoint import Checkpoint

PLACEMENTS = (PLACEMENT, Placement("inputs of filters", stored=False))


def filtered(graph):
    return {op.output: op for op in graph.ops if isinstance(op, (ops.Conv, ops.Linear))}


@pytest.mark.parametrize("placement", PLACEMENTS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v3_small"])
def test_filters_and_biases_come_back_to_the_checkpoint(name, placement):
    checkpoint = checkpoint_of(name)

    def rewrite(graph):
        return placement.rewritten(simplify(graph))

    graph = rewrite(trace(checkpoint))
    stream = np.random.default_rng(0)
    changed = graph.with_ops(
        replace(
            op,
            weight=(op.weight * stream.uniform(0.9, 1.1, op.weight.shape)).astype(np.float32),
            bias=(op.bias + stream.normal(0, 0.1, op.bias.shape)).astype(np.float32),
        )
        if isinstance(op, (ops.Conv, ops.Linear))
        else op
        for op in graph.ops
    )
    again = filtered(rewrite(trace(carried_back(checkpoint, changed, rewrite))))
    for output, op in filtered(changed).items():
        size = np.abs(op.weight).max()
        np.testing.assert_allclose(again[output].weight, op.weight, atol=1e-5 * size)
        np.testing.assert_allclose(again[output].bias, op.bias, atol=1e-5)


def test_attention_has_filters_without_a_bias():
    assert not without_bias(checkpoint_of("mobilenet_v3_small"))
    found = without_bias(checkpoint_of("mobilenet_v4_hybrid_medium"))
    assert {name.rpartition(".")[2] for name in found} == {"query", "key", "value", "output"}


def first_blocks():
    """V3-Small as far as rounding has not yet been blown up by random filters."""
    whole = simplify(trace(checkpoint_of("mobilenet_v3_small")))
    return replace(whole, outputs={"features": whole.ops[13].output}).with_ops(whole.ops[:14])


def test_answers_in_float_drift_less_where_they_are_taught_too():
    images = photos(64, (64, 64))
    graph = first_blocks()
    found = Quantiser(graph, PLACEMENT, images).follow(Recipe("percentile"))
    drifts = []
    for in_float_too in (False, True):
        tuned, _ = tune(
            *(found.graph, found.quantisation, images),
            pairs=True,
            epochs=6,
            in_float_too=in_float_too,
        )
        pixels = torch.from_numpy(images)
        exact, now = (run(one, pixels)["features"] for one in (found.graph, tuned))
        drifts.append(float((now - exact).norm() / exact.norm()))
    assert 0 < drifts[1] < 0.7 * drifts[0], drifts


def test_training_brings_integers_nearer_to_floats():
    images = photos(64, (64, 64))
    graph = first_blocks()
    found = Quantiser(graph, PLACEMENT, images).follow(Recipe("percentile"))
    stem = found.graph.ops[1].output
    tuned, integers = tune(
        found.graph, found.quantisation, images, pairs=True, epochs=12, fixed={stem}
    )
    assert integers.grids == found.quantisation.grids
    for output, op in filtered(tuned).items():
        np.testing.assert_array_equal(integers.scales[output], weight_scales(op, pairs=True))
    before, after = filtered(found.graph), filtered(tuned)
    np.testing.assert_allclose(after[stem].bias, before[stem].bias, atol=1e-6)
    assert not np.allclose(after[stem].weight, before[stem].weight, atol=1e-6)
    pixels = torch.from_numpy(images)
    wanted = run(graph, pixels)["features"]
    gaps = [
        float((simulate(with_rounded_filters(made, of), of, pixels)["features"] - wanted).norm())
        for made, of in ((found.graph, found.quantisation), (tuned, integers))
    ]
    assert gaps[1] < 0.985 * gaps[0]


def test_probabilities_are_compared_as_such_and_other_outputs_by_their_size():
    graph = simplify(trace(checkpoint_of("mobilenet_v1")))
    target, softmax = _before_softmax(graph)
    assert softmax == {"probabilities"}
    assert not target.count()["Softmax"]
    even, sure = torch.zeros(1, 2), torch.tensor([[0.0, 100.0]])
    assert float(_distance({"p": even}, {"p": sure}, {"p"})) == pytest.approx(np.log(2))
    assert float(_distance({"p": even}, {"p": sure}, ())) == pytest.approx(1)


def test_a_checkpoint_trained_with_integers_is_the_one_that_was_trained():
    checkpoint = conditioned("mobilenet_v3_small")
    images = scenes(48, 64)
    trained = train_with_integers(checkpoint, images, epochs=1)
    assert trained.checkpoint.provenance["quantisation"] == {"epochs": 1, "images": 48}
    assert set(trained.checkpoint.tensors) == set(checkpoint.tensors)
    graph = PLACEMENT.rewritten(simplify(trace(trained.checkpoint)))
    learnt = filtered(trained.after._graph)
    for output, op in filtered(graph).items():
        step = weight_scales(op, pairs=True).reshape(-1, *[1] * (op.weight.ndim - 1))
        assert (np.abs(op.weight - learnt[output].weight) <= 0.51 * step).all()


@pytest.mark.slow
def test_the_command_line_trains_and_says_what_it_brought(tmp_path, write_photos, capsys):
    folder = write_photos(tmp_path / "tints", classes=("a", "b", "c"), count=8)
    saved = tmp_path / "best.safetensors"
    checkpoint_of("mobilenet_v3_small").save(saved)
    command = ["quantize", str(saved), "--data", str(folder), "--epochs", "1"]
    command += ["--max-drop", "100"]
    assert main(command) == 2
    assert "quantize without --qat has nothing to do" in capsys.readouterr().err
    assert main([*command, "--qat"]) == 0
    said = capsys.readouterr().out
    path = tmp_path / "best.int8.safetensors"
    assert said.startswith(f"{path}: trained with integers on ")
    assert "top-1 in float: " in said
    quantisation = Checkpoint.load(path).provenance["quantisation"]
    assert set(quantisation) == {"epochs", "images", "before", "after"}
    assert main([*command, "--qat", "--out", str(saved)]) == 2
    assert f"{saved} would be replaced" in capsys.readouterr().err
    assert Checkpoint.load(path).task == Checkpoint.load(saved).task
    assert main([*command, "--qat", "--out", str(tmp_path / "other.onnx")]) == 2
    assert "is no name of a checkpoint" in capsys.readouterr().err
    assert main([*command[:2], "--qat"]) == 2
    assert "does not say what it was trained with" in capsys.readouterr().err
