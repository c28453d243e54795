"""ncnn's two files, written from graphs of a few operators: layers as text, numbers in order."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.test_graph import checkpoint_of

from mobilens.api import operators, write_device_kit
from mobilens.compress.simulate import simulate, with_rounded_filters
from mobilens.errors import BundleError, ExportError
from mobilens.exporting.draft import seal
from mobilens.exporting.ncnn import FLOAT16, INT8, build
from mobilens.graph import ops
from mobilens.graph.pixels import UNIT, fold_normalisation
from mobilens.graph.quantised import Grid, Quantisation, weight_scales
from mobilens.graph.rewrite import simplify
from mobilens.graph.run import run
from mobilens.graph.trace import trace
from mobilens.runtime.engines import engine_type
from mobilens.runtime.manifest import InputSpec, Manifest, ModelCost
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec

HEIGHT, WIDTH = 6, 9
SHAPE = (3, HEIGHT, WIDTH)


def stream():
    return np.random.default_rng(0)


def normal(*shape):
    return stream().normal(size=shape).astype(np.float32)


def photos(count=2):
    return stream().integers(0, 256, (count, HEIGHT, WIDTH, 3), np.uint8)


class Net:
    """A graph put together step by step, from centred pixels on."""

    def __init__(self):
        self.ops = [ops.Normalise(inputs=("pixels",), output="image", mean=(0.5,) * 3, std=UNIT)]
        self.shapes = {"pixels": (HEIGHT, WIDTH, 3), "image": SHAPE}

    def add(self, op, /, *inputs, size=None, **fields):
        """Add an operator whose value has the size of its first input, or another one."""
        name = f"{op.__name__.lower()}.{len(self.ops)}"
        self.ops.append(op(inputs=inputs, output=name, **fields))
        self.shapes[name] = fields.get("shape") or size or self.shapes[inputs[0]]
        return name

    def conv(self, source, out=8, kernel=(3, 3), pads=(1, 1, 1, 1), **fields):
        """Filters small enough for values of some tens."""
        channels, height, width = self.shapes[source]
        groups, stride = fields.get("groups", 1), fields.get("stride", (1, 1))
        dilation = fields.get("dilation", (1, 1))
        weight = normal(out, channels // groups, *kernel) / 20
        sides = zip((height, width), (pads[0] + pads[2], pads[1] + pads[3]), strict=True)
        size = tuple(
            (side + pad - gap * (extent - 1) - 1) // step + 1
            for (side, pad), gap, extent, step in zip(sides, dilation, kernel, stride, strict=True)
        )
        return self.add(
            ops.Conv,
            source,
            size=(out, *size),
            weight=weight,
            bias=normal(out),
            pads=pads,
            **fields,
        )

    def graph(self, **outputs):
        return ops.Graph("pixels", tuple(self.ops), outputs, self.shapes)


def written(graph, tmp_path, precision="float32", quantisation=None):
    """Write a graph with a manifest that proves nothing; gives layers, numbers and the file."""
    prepared = Preprocessing(size=(HEIGHT, WIDTH))
    manifest = Manifest(
        task=TaskSpec("classify", ("a", "b"), prepared),
        model=build_spec("mobilenet_v1").to_json(),
        cost=ModelCost(1, 1),
        input=InputSpec(graph.input, prepared.size),
        outputs=tuple(graph.outputs),
        golden=(),
        tolerance=1.0,
        precision=precision,
    )
    path = tmp_path / "net.ncnn"
    build(graph, manifest, path, quantisation)
    seal(path, manifest)
    layers = path.with_suffix(".ncnn.param").read_text().splitlines()
    return layers, path.with_suffix(".ncnn.bin").read_bytes(), path


def engine(path):
    return engine_type("ncnn")(path, 1)


def assert_same(graph, tmp_path):
    """The engine answers as torch does, whatever the order of the outputs."""
    layers, _, path = written(graph, tmp_path)
    opened, pixels = engine(path), photos()
    assert opened.outputs == tuple(graph.outputs)
    given, expected = opened.run(pixels), run(graph, torch.from_numpy(pixels))
    for name, value in expected.items():
        flat = given[name].reshape(value.shape)
        allowed = 1e-6 * max(float(value.abs().max()), 1.0)
        np.testing.assert_allclose(flat, value, atol=allowed, rtol=1e-5, err_msg=name)
    return layers


def kinds(layers):
    return [line.split()[0] for line in layers[2:]]


@pytest.mark.parametrize(
    "fields",
    [
        {"pads": (0, 1, 2, 3)},
        {"pads": (0, 0, 1, 1), "stride": (2, 2)},
        {"pads": (2, 1, 2, 1), "dilation": (2, 1)},
        {"kernel": (1, 5), "pads": (0, 2, 0, 2), "stride": (1, 2)},
        {"kernel": (5, 3), "out": 3, "groups": 3, "pads": (2, 0, 1, 2)},
        {"out": 6, "groups": 3},
        {"kernel": (1, 1), "pads": (0, 0, 0, 0), "out": 5},
    ],
)
@pytest.mark.parametrize(
    "clamp", [ops.UNCLAMPED, (0.0, None), (0.0, 6.0), (None, 1.0), (-2.0, None)]
)
def test_filters_of_every_shape_and_clamp(fields, clamp, tmp_path):
    net = Net()
    layers = assert_same(net.graph(y=net.conv("image", clamp=clamp, **fields)), tmp_path)
    assert len(layers) == 2 + 4, "the clamp is the filters' own"


def test_sides_of_padding_are_told_apart(tmp_path):
    net = Net()
    layers, _, _ = written(net.graph(y=net.conv("image", pads=(0, 1, 2, 3))), tmp_path)
    words = layers[4].split()
    assert {"14=0", "4=1", "16=2", "15=3"} < set(words)


@pytest.mark.parametrize("kind", ["relu", "relu6", "hard_swish", "hard_sigmoid", "gelu", "sigmoid"])
def test_activations_of_images_and_of_averages(kind, tmp_path):
    net = Net()
    conv = net.conv("image")
    mean = net.add(ops.Mean, conv, size=(8, 1, 1))
    outputs = {
        "picture": net.add(ops.Activation, conv, kind=kind),
        "average": net.add(ops.Activation, mean, kind=kind),
    }
    assert_same(net.graph(**outputs), tmp_path)


def test_a_hard_swish_is_computed_by_the_filters_that_it_alone_reads(tmp_path):
    net = Net()
    alone = net.add(ops.Activation, net.conv("image"), kind="hard_swish")
    shared = net.conv(alone)
    swish = net.add(ops.Activation, shared, kind="hard_swish")
    total = net.add(ops.Add, shared, swish)
    layers = assert_same(net.graph(y=total), tmp_path)
    assert kinds(layers).count("HardSwish") == 1
    assert sum("9=6" in line.split() for line in layers) == 1


def test_sums_products_and_gates(tmp_path):
    net = Net()
    image = net.conv("image")
    gate = net.add(ops.Mean, image, size=(8, 1, 1))
    gate = net.conv(gate, kernel=(1, 1), pads=(0, 0, 0, 0), clamp=(0.0, 6.0))
    gated = net.add(ops.Mul, image, gate)
    outputs = {
        "gated": gated,
        "sum": net.add(ops.Add, image, gated),
        "clamped": net.add(ops.Add, image, gated, clamp=(0.0, 6.0)),
        "relu": net.add(ops.Add, gated, image, clamp=(0.0, None)),
        "number": net.add(ops.Add, image, constant=3.0, clamp=(0.0, 6.0)),
        "flat": net.add(ops.Mul, gate, gate),
    }
    layers = assert_same(net.graph(**outputs), tmp_path)
    assert kinds(layers).count("InnerProduct") == 1


def test_scales_of_channels_and_of_all(tmp_path):
    net = Net()
    image = net.conv("image")
    scale, shift = normal(8), normal(8)
    one = np.array([0.3], np.float32)
    outputs = {
        "channels": net.add(ops.Scale, image, scale=scale, shift=shift),
        "plain": net.add(ops.Scale, image, scale=scale, shift=np.zeros_like(scale)),
        "all": net.add(ops.Scale, image, scale=one, shift=one),
    }
    assert_same(net.graph(**outputs), tmp_path)


@pytest.mark.parametrize(
    "order",
    [(0, 1, 2, 3), (0, 1, 3, 2), (0, 2, 1, 3), (0, 2, 3, 1), (0, 3, 1, 2), (0, 3, 2, 1)],
)
def test_images_are_turned_every_way(order, tmp_path):
    net = Net()
    image = net.conv("image", out=5)
    shape = tuple(net.shapes[image][axis - 1] for axis in order[1:])
    turned = net.add(ops.Permute, image, size=shape, order=order)
    assert_same(net.graph(y=net.add(ops.Reshape, turned, shape=(5 * HEIGHT * WIDTH,))), tmp_path)


@pytest.mark.parametrize("transpose", [False, True])
def test_matrices_meet_and_softmax_runs_over_the_last_axis(transpose, tmp_path):
    net = Net()
    left = net.add(ops.Reshape, net.conv("image", out=4), shape=(12, 18))
    right = net.add(ops.Reshape, net.conv("image", out=3), shape=(9, 18))
    if not transpose:
        right = net.add(ops.Permute, right, size=(18, 9), order=(0, 2, 1))
    product = net.add(ops.MatMul, left, right, size=(12, 9), transpose=transpose)
    assert_same(net.graph(y=net.add(ops.Softmax, product), z=product), tmp_path)


def test_outputs_keep_their_order_and_one_value_may_have_two_names(tmp_path):
    net = Net()
    first = net.conv("image")
    last = net.conv(first)
    assert_same(net.graph(late=last, early=first, again=last), tmp_path)


def assert_well_formed(layers):
    """Names are made once and read once, and the head counts them."""
    read, made = [], []
    for line in layers[2:]:
        _, _, inputs, outputs, *names = line.split()
        read += names[: int(inputs)]
        made += names[int(inputs) : int(inputs) + int(outputs)]
    assert layers[0] == "7767517"
    assert layers[1] == f"{len(layers) - 2} {len(made)}"
    assert len(set(read)) == len(read)
    assert len(set(made)) == len(made)
    assert not set(read) - set(made)
    return set(made) - set(read)


def test_every_value_has_one_reader(tmp_path):
    net = Net()
    image = net.conv("image")
    total = net.add(ops.Add, image, net.add(ops.Add, net.conv(image), image))
    layers, _, _ = written(net.graph(y=total), tmp_path)
    assert assert_well_formed(layers) == {"y"}


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "mobilenet_v4_hybrid_medium"])
def test_names_of_traced_nets_are_told_apart(name, tmp_path):
    graph = fold_normalisation(simplify(trace(checkpoint_of(name))))
    layers, _, _ = written(graph, tmp_path)
    assert assert_well_formed(layers) == set(graph.outputs)


def parts(numbers, size, tag, item):
    """Filters and what follows them, behind three means."""
    assert int.from_bytes(numbers[12:16], "little") == tag
    end = 16 + size * item
    rest = numbers[end + -end % 4 :]
    assert not any(numbers[end : end + -end % 4])
    return numbers[16:end], np.frombuffer(rest, np.float32)


def test_halves_fill_up_to_four_bytes(tmp_path):
    net = Net()
    graph = net.graph(y=net.conv("image", out=3, kernel=(1, 1), pads=(0, 0, 0, 0)))
    conv = graph.ops[1]
    _, numbers, path = written(graph, tmp_path, "float16")
    halves, bias = parts(numbers, 9, FLOAT16, 2)
    np.testing.assert_array_equal(
        np.frombuffer(halves, np.float16), conv.weight.astype(np.float16).ravel()
    )
    np.testing.assert_array_equal(bias, conv.bias)
    pixels = photos()
    expected = run(graph, torch.from_numpy(pixels))["y"]
    np.testing.assert_allclose(engine(path).run(pixels)["y"], expected, atol=0.05, rtol=0.01)


def test_what_no_half_holds_is_refused(tmp_path):
    net = Net()
    graph = net.graph(y=net.conv("image"))
    large = replace(graph.ops[1], weight=graph.ops[1].weight * np.float32(1e7))
    with pytest.raises(ExportError, match=r"a filter of conv\.1 holds 1\.19\d+e\+06"):
        written(graph.with_ops((graph.ops[0], large)), tmp_path, "float16")


def test_bfloat16_is_the_engines_doing(tmp_path):
    net = Net()
    graph = net.graph(y=net.conv(net.conv("image", out=16), out=16))
    pixels = photos()
    exact = run(graph, torch.from_numpy(pixels))["y"].numpy()
    errors = {}
    for precision in ("float32", "bfloat16"):
        _, _, path = written(graph, tmp_path, precision)
        errors[precision] = np.abs(engine(path).run(pixels)["y"] - exact).max() / exact.std()
    assert errors["float32"] < 1e-4 < errors["bfloat16"] < 0.05


def quantised(graph, names, symmetric=True):
    """Filters of some operators as integers, with grids that reach as far as values do."""
    pixels = torch.from_numpy(photos())
    reached = {}
    run(graph, pixels, lambda op, value: reached.setdefault(op.output, value))
    cover = Grid.symmetric if symmetric else Grid.covering
    chosen = [op for op in graph.ops if op.output in names]
    grids = {
        op.inputs[0]: cover(float(reached[op.inputs[0]].min()), float(reached[op.inputs[0]].max()))
        for op in chosen
    }
    return Quantisation(grids, {op.output: weight_scales(op) for op in chosen})


def test_integers_are_handed_on_where_filters_alone_read_them(tmp_path):
    net = Net()
    first = net.conv("image", out=8, clamp=(0.0, None))
    depthwise = net.conv(first, out=8, groups=8)
    swish = net.add(ops.Activation, depthwise, kind="hard_swish")
    last = net.conv(swish, out=7, kernel=(1, 1), pads=(0, 0, 0, 0))
    mean = net.add(ops.Mean, last, size=(7, 1, 1))
    flat = net.add(ops.Reshape, mean, shape=(7,))
    graph = net.graph(
        y=net.add(ops.Linear, flat, size=(2,), weight=normal(2, 7), bias=normal(2)), z=last
    )
    integers = quantised(graph, {op.output for op in graph.ops if hasattr(op, "weight")})
    layers, numbers, path = written(graph, tmp_path, quantisation=integers)
    terms = [[word for word in line.split() if word.startswith("8=")] for line in layers[2:]]
    found = dict(zip(kinds(layers), terms, strict=True))
    assert [term for term in terms if term] == [["8=102"], ["8=101"], ["8=2"], ["8=2"]]
    assert found["ConvolutionDepthWise"] == ["8=101"]
    assert found["InnerProduct"] == ["8=2"]
    filters, rest = parts(numbers, 8 * 27, INT8, 1)
    conv = graph.ops[1]
    np.testing.assert_array_equal(np.frombuffer(filters, np.int8), integers.filters(conv).ravel())
    np.testing.assert_array_equal(rest[:8], conv.bias)
    np.testing.assert_allclose(rest[8:16], 1 / integers.scales[first])
    np.testing.assert_allclose(
        rest[16:18], [1 / integers.grids["image"].scale, 1 / integers.grids[first].scale]
    )
    pixels = photos()
    given, expected = engine(path).run(pixels), run(graph, torch.from_numpy(pixels))
    for name, value in expected.items():
        error = np.linalg.norm(given[name] - value.numpy()) / np.linalg.norm(value)
        assert 1e-5 < error < 0.03, name


SHAPES = [
    {"pads": (0, 1, 2, 3)},
    {"pads": (0, 0, 1, 1), "stride": (2, 2)},
    {"pads": (2, 1, 2, 1), "dilation": (2, 1)},
    {"kernel": (1, 5), "pads": (0, 2, 0, 2), "stride": (1, 2)},
    {"kernel": (1, 1), "pads": (0, 0, 0, 0), "out": 5},
    {"kernel": (3, 3), "out": 12, "groups": 12, "pads": (0, 1, 2, 1)},
    {"kernel": (5, 3), "out": 12, "groups": 12, "pads": (2, 0, 1, 2), "stride": (2, 1)},
]


@pytest.mark.parametrize("fields", SHAPES)
@pytest.mark.parametrize("clamp", [ops.UNCLAMPED, (0.0, None), (0.0, 6.0)])
def test_integer_filters_of_every_shape_give_what_is_simulated(fields, clamp, tmp_path):
    net = Net()
    source = net.conv("image", out=12)
    made = net.conv(source, clamp=clamp, **fields)
    graph = net.graph(y=made)
    integers = quantised(graph, {made})
    _, _, path = written(graph, tmp_path, quantisation=integers)
    pixels = photos()
    simulated = simulate(with_rounded_filters(graph, integers), integers, torch.from_numpy(pixels))[
        "y"
    ].numpy()
    # A value in the middle between two steps may fall to either side.
    error = np.linalg.norm(engine(path).run(pixels)["y"] - simulated) / np.linalg.norm(simulated)
    assert error < 1e-3


def test_groups_of_several_channels_have_no_integers(tmp_path):
    net = Net()
    source = net.conv("image", out=12)
    made = net.conv(source, out=12, groups=3)
    graph = net.graph(y=made)
    with pytest.raises(ExportError, match="has 12 channels in 3 groups"):
        written(graph, tmp_path, quantisation=quantised(graph, {made}))


def test_a_sum_is_fed_in_float(tmp_path):
    net = Net()
    first = net.conv("image", out=8)
    second = net.conv(first, out=8)
    graph = net.graph(y=net.add(ops.Add, first, second))
    layers, _, path = written(graph, tmp_path, quantisation=quantised(graph, {first, second}))
    assert sum("8=2" in line.split() for line in layers) == 2
    pixels = photos()
    expected = run(graph, torch.from_numpy(pixels))["y"].numpy()
    error = np.linalg.norm(engine(path).run(pixels)["y"] - expected) / np.linalg.norm(expected)
    assert error < 0.03


def test_grids_that_are_not_around_zero_are_no_grids_of_ncnn(tmp_path):
    net = Net()
    first = net.conv("image", out=8, clamp=(0.0, None))
    second = net.conv(first, out=8)
    graph = net.graph(y=second)
    with pytest.raises(ExportError, match="0 is the middle of every grid"):
        written(graph, tmp_path, quantisation=quantised(graph, {second}, symmetric=False))


def test_what_ncnn_has_no_layer_for_is_named(tmp_path):
    net = Net()
    pad = net.add(ops.Pad, "image", size=(3, 8, 11), pads=(1, 1, 1, 1))
    with pytest.raises(ExportError, match=r"ncnn has no layer for Pad \(pad\.1\)"):
        written(net.graph(y=pad), tmp_path)


@pytest.mark.parametrize("end", [".ncnn.param", ".ncnn.bin"])
def test_the_engine_refuses_what_it_cannot_load(end, tmp_path):
    net = Net()
    _, _, path = written(net.graph(y=net.conv("image")), tmp_path)
    broken = path.with_suffix(end)
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(BundleError, match=f"ncnn cannot load {path}"):
        engine(path)


def test_the_profile_tells_which_layers_have_integers(tmp_path):
    net = Net()
    one = net.conv("image")
    graph = net.graph(y=net.conv(one))
    _, _, path = written(graph, tmp_path, "int8", quantised(graph, {one}))
    (report,) = operators([path])
    groups = {(group.kind, group.precision): group for group in report.groups}
    assert groups["Convolution", "int8"].count == groups["Convolution", "float32"].count == 1
    assert sum(group.share for group in report.groups) == pytest.approx(1)
    assert "the wait for the value of this layer alone" in report.note


def test_a_kit_takes_all_three_files(tmp_path):
    net = Net()
    _, _, path = written(net.graph(y=net.conv("image")), tmp_path)
    kit = write_device_kit(tmp_path / "kit", path)
    assert {file.name for file in (kit / "models").iterdir()} == {
        "net.ncnn",
        "net.ncnn.param",
        "net.ncnn.bin",
    }
    assert re.search("^ncnn==[0-9.]+$", (kit / "requirements.txt").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" 2=3\n", "\n"),
        (" 2=3\n", " 2=1\n"),
        (f"0={WIDTH} 1={HEIGHT}", f"0={WIDTH}"),
    ],
)
def test_an_image_of_an_unknown_size_is_refused(old, new, tmp_path):
    net = Net()
    _, _, path = written(net.graph(y=net.conv("image")), tmp_path)
    layers = path.with_suffix(".ncnn.param")
    text = layers.read_text()
    assert old in text
    layers.write_text(text.replace(old, new, 1))
    with pytest.raises(BundleError, match="reads pixels") as caught:
        engine(path)
    assert caught.value.expected == "one image of a size that it says"


def test_the_graph_tells_its_size(tmp_path):
    net = Net()
    _, _, path = written(net.graph(y=net.conv("image")), tmp_path)
    with pytest.raises(BundleError, match=r"the graph reads \(6, 9, 3\), given is \(9, 6, 3\)"):
        engine(path).run(photos().transpose(0, 2, 1, 3).copy())
