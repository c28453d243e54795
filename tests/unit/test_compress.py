"""What is 8-bit, on which grids: every step towards integers, alone and together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_graph import checkpoint_of, photos

from mobilens.compress import calibration
from mobilens.compress.equalise import equalise, largest, multiplied
from mobilens.compress.fit import fit
from mobilens.compress.grids import quantisation
from mobilens.compress.placement import Placement
from mobilens.compress.quantiser import Quantiser, Recipe
from mobilens.compress.ranges import METHODS, ranges
from mobilens.compress.sensitivity import sensitivity
from mobilens.compress.simulate import rounded, with_rounded_filters
from mobilens.compress.statistics import Histogram, histograms
from mobilens.errors import DataError
from mobilens.exporting.openvino import _framed
from mobilens.graph import ops
from mobilens.graph.gates import hard_swish_by_product
from mobilens.graph.quantised import Grid, Quantisation, weight_scales
from mobilens.graph.rewrite import simplify
from mobilens.graph.run import run
from mobilens.graph.trace import trace
from mobilens.spec.task import Preprocessing

EVERY_VALUE = Placement("every value")
FILTERS = Placement("inputs of filters", stored=False)
AROUND_ZERO = Placement("around 0", stored=False, depthwise=False, symmetric=True)


def graph_of(name, placement=EVERY_VALUE):
    return placement.rewritten(simplify(trace(checkpoint_of(name))))


def answers(graph, pixels):
    with torch.inference_mode():
        return run(graph, torch.from_numpy(pixels))["probabilities"].numpy()


def test_calibration_takes_each_class_in_turn_whatever_the_order():
    files = [(Path(f"{label}/{n}.jpg"), label) for label in "abc" for n in range(10)]
    files += [(Path("rare/only.jpg"), "rare")]
    chosen = calibration.choose(files, 7)
    assert [path.parent.name for path in chosen] == ["c", "b", "rare", "a", "c", "b", "a"]
    assert calibration.choose(reversed(files), 7) == chosen
    moved = [(Path("elsewhere") / path, label) for path, label in files]
    assert [path.name for path in calibration.choose(moved, 7)] == [path.name for path in chosen]
    assert len(calibration.choose(files, 100)) == 31


def test_the_first_few_are_of_classes_from_the_whole_alphabet():
    files = [(Path(f"{index}.jpg"), f"{index:04}") for index in range(500)]
    first = [int(path.stem) for path in calibration.choose(files, 64)]
    assert np.histogram(first, bins=5, range=(0, 500))[0].min() >= 5


def test_calibration_leaves_out_what_cannot_be_read(tmp_path, write_photos):
    root = write_photos(tmp_path / "data", count=2)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    good = sorted(root.rglob("*.png")) or sorted(root.rglob("*.jpg"))
    assert calibration.load([broken, *good], Preprocessing((32, 32))).shape == (
        len(good),
        32,
        32,
        3,
    )
    with pytest.raises(DataError, match="none of 1 images for calibration can be read") as caught:
        calibration.load([broken], Preprocessing((32, 32)))
    assert caught.value.remedy == "--calibrate FOLDER"


def bell(outlier=0):
    """A normal distribution from -4 to 4, and one number far outside."""
    edges = np.linspace(-4, 40 if outlier else 4, 2049)
    centres = (edges[:-1] + edges[1:]) / 2
    counts = 1e6 * np.exp(-(centres**2) / 2)
    counts[-1] += outlier
    return Histogram(edges[0], edges[-1], counts)


def test_ranges_cut_off_what_hardly_occurs():
    assert METHODS["extremes"](bell(1)) == (-4, 40)
    for name in ("percentile", "least squares", "entropy"):
        low, high = METHODS[name](bell(1))
        assert -4 <= low <= -2, name
        assert 3 <= high < 20, name
    # Where the far number is common, it is kept.
    assert METHODS["least squares"](bell(1e7))[1] > 35


@given(
    st.floats(-50, 0.0),
    st.floats(0.001, 50),
    st.lists(st.integers(0, 10**6), min_size=16, max_size=64),
)
def test_ranges_never_reach_beyond_what_occurs(low, high, counts):
    histogram = Histogram(low, high, np.array([*counts, 1], np.float64))
    for name, method in METHODS.items():
        found = method(histogram)
        assert min(low, 0) - 1e-6 <= found[0] <= found[1] <= max(high, 0) + 1e-6, name


def test_what_a_hard_swish_makes_zero_needs_no_steps():
    for placement in (EVERY_VALUE, FILTERS):
        graph = graph_of("mobilenet_v3_small", placement)
        swish = next(op.inputs[0] for op in graph.ops if "hardswish" in op.output)
        counted = {swish: Histogram(-50.0, 10.0, np.ones(2048))}
        assert ranges(graph, counted, METHODS["extremes"])[swish] == (-3.0, 10.0)


@pytest.mark.parametrize("name", METHODS)
def test_ranges_around_zero_reach_alike_on_both_sides(name):
    graph = graph_of("mobilenet_v2", AROUND_ZERO)
    clamped = next(op.output for op in graph.ops if isinstance(op, ops.Conv))
    half = Histogram(0.0, 8.0, np.exp(-(np.linspace(0, 6, 2048) ** 2) / 2))
    counted = {clamped: half}
    low, high = ranges(graph, counted, METHODS[name], symmetric=True)[clamped]
    assert -low == pytest.approx(high, rel=0.05)
    assert 2 < high <= 8.01
    alone = ranges(graph, counted, METHODS[name])[clamped]
    assert alone[0] >= -0.01


def test_grids_around_zero_have_it_in_the_middle_and_leave_depthwise_filters_alone():
    found = Quantiser(
        simplify(trace(checkpoint_of("mobilenet_v3_small"))), AROUND_ZERO, photos(4, (64, 64))
    ).follow(Recipe())
    grids = found.quantisation.grids
    assert {grid.zero_point for grid in grids.values()} == {0}
    for op in found.graph.ops:
        if isinstance(op, (ops.Conv, ops.Linear)):
            assert found.quantisation.has_integer_filters(op) != getattr(op, "depthwise", False)
    # Pixels less the means of each colour: zeros around the image are exact.
    first = found.graph.ops[0]
    assert isinstance(first, ops.Normalise)
    assert len(set(first.mean)) == 3
    assert grids[first.output].scale * 127 == pytest.approx(255 * (1 - min(first.mean)), rel=0.05)


@given(st.floats(-1e4, 1e4, width=32), st.floats(-1e4, 1e4, width=32))
def test_a_symmetric_grid_reaches_the_further_end(lowest, highest):
    grid = Grid.symmetric(lowest, highest)
    ends = np.array([lowest, highest, 0.0], np.float32)
    back = grid.encode(ends).astype(np.float64) * grid.scale
    assert back[2] == 0
    assert np.abs(back - ends).max() <= grid.scale * 0.501


def test_placements_say_what_is_stored():
    graph = graph_of("mobilenet_v3_small")
    filters = EVERY_VALUE.integer_filters(graph)
    assert len(filters) == sum(isinstance(op, (ops.Conv, ops.Linear)) for op in graph.ops)
    stored = EVERY_VALUE.stored_values(graph, filters)
    assert {op.output for op in graph.ops} - stored == {graph.outputs["probabilities"]}
    inputs = FILTERS.stored_values(graph, filters)
    assert inputs == {op.inputs[0] for op in graph.ops if op.output in filters} | {
        op.inputs[0] for op in graph.ops if isinstance(op, ops.Reshape)
    }
    stem = next(op for op in graph.ops if isinstance(op, ops.Conv))
    outside = Placement("no stem", stem=False)
    assert outside.integer_filters(graph) == filters - {stem.output}
    assert graph.ops[0].output not in outside.stored_values(graph, filters - {stem.output})


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "mobilenet_v4_conv_small"])
def test_equalised_nets_answer_as_before_with_channels_of_one_size(name):
    graph = graph_of(name)
    pixels = photos(6, (64, 64))
    even = equalise(graph, pixels)
    np.testing.assert_allclose(answers(even, pixels), answers(graph, pixels), atol=1e-4)
    changed = [
        before.output
        for before, after in zip(graph.ops, even.ops, strict=True)
        if before is not after and isinstance(before, ops.Conv) and before.clamp == (0.0, None)
    ]
    assert changed or name == "mobilenet_v3_small"
    for value in changed:
        before, after = (largest(each, pixels, {value})[value] for each in (graph, even))
        alive = before > 0
        assert np.ptp(np.log(after[alive])) <= np.ptp(np.log(before[alive])) + 1e-6
    if name == "mobilenet_v3_small":
        gates = [op for op in even.ops if op.output.endswith(".gate") and isinstance(op, ops.Conv)]
        assert gates, "the gates read the divided channels through filters of one pixel"


def test_relu6_is_left_alone():
    graph = graph_of("mobilenet_v2")
    assert equalise(graph, photos(2, (64, 64))).ops == graph.ops
    quantiser = Quantiser(
        simplify(trace(checkpoint_of("mobilenet_v2"))), EVERY_VALUE, photos(2, (64, 64))
    )
    assert not quantiser.can_equalise


def quantised(graph, pixels, placement=EVERY_VALUE):
    filters = placement.integer_filters(graph)
    counted = histograms(graph, pixels, placement.stored_values(graph, filters))
    chosen = ranges(graph, counted, METHODS["extremes"])
    return quantisation(graph, placement, chosen, filters)


def test_fitted_filters_are_on_their_grid_and_their_errors_cancel():
    graph = graph_of("mobilenet_v2")
    pixels = photos(16, (64, 64))
    given = quantised(graph, pixels)
    fitted = fit(graph, given, pixels, rounding=True, bias=False)
    nearest = with_rounded_filters(graph, given)
    for op in fitted.ops:
        if isinstance(op, (ops.Conv, ops.Linear)):
            scales = given.scales[op.output].reshape(-1, *[1] * (op.weight.ndim - 1))
            np.testing.assert_allclose(given.filters(op) * scales, op.weight, rtol=1e-5, atol=1e-9)
    first = next(op for op in graph.ops if isinstance(op, ops.Conv) and op.depthwise)

    def error(other):
        images = torch.from_numpy(pixels)
        values = []
        for each in (graph, other):
            cut = replace(each, outputs={"it": first.output})
            values.append(run(cut, images)["it"])
        return float(((values[0] - values[1]) ** 2).mean())

    assert error(fitted) < error(nearest)


def test_corrected_biases_bring_the_mean_back():
    graph = graph_of("mobilenet_v2")
    pixels = photos(16, (64, 64))
    given = quantised(graph, pixels)
    last = next(op.output for op in graph.ops if op.output == "head.classifier")

    def mean(other):
        cut = replace(other, outputs={"it": last})
        with torch.inference_mode():
            value = run(
                cut,
                torch.from_numpy(pixels),
                lambda op, value: value if op.output == last else rounded(given, op.output, value),
            )["it"]
        return value.mean(0)

    exact = run(replace(graph, outputs={"it": last}), torch.from_numpy(pixels))["it"].mean(0)
    nearest = mean(with_rounded_filters(graph, given)) - exact
    corrected = mean(fit(graph, given, pixels, rounding=False)) - exact
    assert corrected.abs().max() < 1e-3
    assert corrected.abs().max() < nearest.abs().max()


def test_the_layer_that_suffers_most_is_found():
    graph = graph_of("mobilenet_v2")
    pixels = photos(8, (64, 64))
    given = quantised(graph, pixels)
    name = "backbone.blocks.3.depthwise.conv"
    coarse = {**given.scales, name: given.scales[name] * 40}
    found = sensitivity(graph, EVERY_VALUE, Quantisation(given.grids, coarse), pixels)
    assert next(iter(found)) == name
    assert set(found) == set(given.scales)


def test_the_worst_layers_stay_in_float():
    graph = simplify(trace(checkpoint_of("mobilenet_v3_small")))
    quantiser = Quantiser(graph, EVERY_VALUE, photos(8, (64, 64)))
    whole = quantiser.follow(Recipe(rounding=True, equalised=True))
    mixed = quantiser.follow(Recipe(rounding=True, equalised=True, in_float=3))
    assert whole.in_float == ()
    assert len(mixed.in_float) == 3
    assert set(whole.quantisation.scales) - set(mixed.quantisation.scales) == set(mixed.in_float)
    exact = equalise(EVERY_VALUE.rewritten(graph), photos(8, (64, 64))).maker()
    for op in mixed.graph.ops:
        if op.output in mixed.in_float:
            np.testing.assert_array_equal(op.weight, exact[op.output].weight)
    # What is read in integers has the grid that its filters were fitted to.
    for name, grid in mixed.quantisation.grids.items():
        assert grid == whole.quantisation.grids[name]


def test_grids_leave_room_for_integers_behind_a_dead_channel():
    weight = np.full((4, 4, 1, 1), 1e-4, np.float32)
    conv = ops.Conv(
        inputs=("image",), output="conv", weight=weight, bias=np.full(4, 50, np.float32)
    )
    second = replace(conv, inputs=("conv",), output="out")
    graph = ops.Graph(
        "image", (conv, second), {"it": "out"}, dict.fromkeys(("image", "conv", "out"), (4, 8, 8))
    )
    found = {"image": (-1.0, 1.0), "conv": (0.0, 1e-6), "out": (0.0, 1e-9)}
    given = quantisation(graph, EVERY_VALUE, found, {"conv", "out"})
    for op in (conv, second):
        assert np.abs(given.bias(op)).max() <= 2**28 + 1
        product = given.grids[op.inputs[0]].scale * given.scales[op.output].max()
        assert product / given.grids[op.output].scale <= 128


def test_what_is_moved_about_has_room_too():
    bias = np.full(4, 50, np.float32)
    weight = np.full((4, 4), 1e-4, np.float32)
    moved = ops.Reshape(inputs=("mean",), output="flat", shape=(4,))
    linear = ops.Linear(inputs=("flat",), output="out", weight=weight, bias=bias)
    mean = ops.Mean(inputs=("image",), output="mean")
    shapes = {"image": (4, 8, 8), "mean": (4, 1, 1), "flat": (4,), "out": (4,)}
    graph = ops.Graph("image", (mean, moved, linear), {"it": "out"}, shapes)
    found = {"image": (-1.0, 1.0), "mean": (0.0, 1e-6), "flat": (0.0, 1e-6), "out": (0.0, 1.0)}
    given = quantisation(graph, EVERY_VALUE, found, {"out"})
    assert given.grids["flat"] == given.grids["mean"]
    assert np.abs(given.bias(linear)).max() <= 2**28 + 1


def test_channels_that_are_met_twice_are_left_alone():
    weight = np.ones((4, 4, 1, 1), np.float32)
    conv = ops.Conv(inputs=("image",), output="a", weight=weight, bias=np.zeros(4, np.float32))
    mean = ops.Mean(inputs=("a",), output="mean")
    product = ops.Mul(inputs=("a", "mean"), output="product")
    last = replace(conv, inputs=("product",), output="out")
    shapes = dict.fromkeys(("image", "a", "product", "out"), (4, 8, 8)) | {"mean": (4, 1, 1)}
    graph = ops.Graph("image", (conv, mean, product, last), {"it": "out"}, shapes)
    assert multiplied(graph, "a", np.full(4, 2.0)) is None
    once = graph.with_ops((conv, mean, replace(product, inputs=("image", "mean")), last))
    changed = multiplied(once, "mean", np.full(4, 2.0))
    assert changed is not None
    np.testing.assert_array_equal(changed["out"].weight, 2 * weight)


@given(st.integers(0, 10**6))
def test_pairs_of_filters_fit_sixteen_bits(seed):
    stream = np.random.default_rng(seed)
    weight = stream.normal(size=(5, 7, 3, 3)).astype(np.float32)
    conv = ops.Conv(inputs=("a",), output="b", weight=weight, bias=np.zeros(5, np.float32))
    scales = {"b": weight_scales(conv, pairs=True)}
    integers = Quantisation({"a": Grid(1.0, 0)}, scales).filters(conv).astype(int)
    neighbours = np.abs(integers[:, 0:6:2]) + np.abs(integers[:, 1:6:2])
    assert 255 * neighbours.max() < 2**15
    assert np.abs(integers).max() > 60


def test_hard_swish_by_product_is_where_every_value_is_stored():
    graph = simplify(trace(checkpoint_of("mobilenet_v3_small")))
    assert (
        EVERY_VALUE.rewritten(graph).count()
        == hard_swish_by_product(FILTERS.rewritten(graph)).count()
    )
    assert FILTERS.rewritten(graph).count()["Activation"] > 0


def test_a_stem_in_float_keeps_its_hard_swish():
    graph = simplify(trace(checkpoint_of("mobilenet_v3_small")))
    inner = Placement("every value but the image", stem=False)
    stem = graph.ops[1].output
    kept = [op for op in inner.rewritten(graph).ops if isinstance(op, ops.Activation)]
    assert [op.inputs for op in kept] == [(stem,)]
    pixels = photos(2, (64, 64))
    np.testing.assert_allclose(
        answers(inner.rewritten(graph), pixels), answers(graph, pixels), atol=2e-2
    )


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small"])
def test_pixels_framed_give_what_zeros_gave(name):
    pixels = photos(16, (64, 64))
    found = Quantiser(simplify(trace(checkpoint_of(name))), FILTERS, pixels).follow(Recipe())
    framed, integers = _framed(found.graph, found.quantisation)
    assert integers.grids[framed.ops[1].output] == Grid(1.0, -128)
    stem = found.graph.ops[1].output
    before, after = (
        run(replace(graph, outputs={"stem": stem}), torch.from_numpy(pixels))["stem"]
        for graph in (
            with_rounded_filters(found.graph, found.quantisation),
            with_rounded_filters(framed, integers),
        )
    )
    np.testing.assert_allclose(after, before, atol=1e-5)
