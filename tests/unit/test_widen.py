"""Channels that are added to a graph: nobody reads them, and every answer stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.test_graph import checkpoint_of, photos

from mobilens.compress.placement import Placement
from mobilens.compress.quantiser import Quantiser, Recipe
from mobilens.exporting.onnx import CHANNELS_AT_ONCE
from mobilens.graph.ops import Conv, Graph, Linear, Mean, Mul, Permute, Reshape
from mobilens.graph.quantised import Grid, Quantisation
from mobilens.graph.rewrite import simplify
from mobilens.graph.run import run
from mobilens.graph.trace import trace
from mobilens.graph.widen import widened
from mobilens.spec.zoo import list_models


def answers(graph, pixels):
    with torch.inference_mode():
        return next(iter(run(graph, torch.from_numpy(pixels)).values())).numpy()


@pytest.mark.parametrize("name", list_models())
def test_every_net_answers_as_before(name):
    checkpoint = checkpoint_of(name)
    pixels = photos(2, checkpoint.task.preprocessing.size)
    graph = simplify(trace(checkpoint))
    found = Quantiser(graph, Placement("every value"), pixels).follow(Recipe())
    wider, quantisation = widened(found.graph, found.quantisation, CHANNELS_AT_ONCE)
    np.testing.assert_allclose(
        answers(wider, pixels), answers(found.graph, pixels), rtol=1e-4, atol=1e-6
    )
    makers = found.graph.maker()
    for op in wider.ops:
        if isinstance(op, (Conv, Linear)):
            assert len(op.weight) == len(op.bias) == len(quantisation.scales[op.output])
            before = makers[op.output]
            rows = quantisation.filters(op)[: len(before.weight), : before.weight.shape[1]]
            np.testing.assert_array_equal(rows, found.quantisation.filters(before))
        if isinstance(op, Conv) and op.depthwise and "hybrid" not in name:
            assert op.groups % CHANNELS_AT_ONCE == 0
            assert wider.shapes[op.output][0] == wider.shapes[op.inputs[0]][0] == op.groups


def chain(*ops, channels=6):
    """A stem of a few channels, and what follows; the last value is the answer."""
    stem = filters("pixels", "stem", (channels, 3, 1, 1))
    image, vector = (channels, 4, 4), (channels,)
    shapes = {"pixels": (3, 4, 4), "stem": image, "alone": image, "turned": (4, 4, channels)}
    shapes |= {"mean": (channels, 1, 1), "scaled": image, "flat": vector, "end": (2,)}
    graph = Graph("pixels", (stem, *ops), {"answer": ops[-1].output}, shapes)
    return graph.with_ops(graph.ops)


def filters(source, output, shape, **options):
    rng = np.random.default_rng(len(output))
    weight, bias = rng.normal(size=shape), rng.normal(size=shape[0])
    kind = Conv if len(shape) == 4 else Linear
    return kind(
        inputs=(source,),
        output=output,
        weight=weight.astype(np.float32),
        bias=bias.astype(np.float32),
        **options,
    )


def every_value(graph):
    scales = {
        op.output: np.ones(len(op.weight), np.float32)
        for op in graph.ops
        if isinstance(op, (Conv, Linear))
    }
    return Quantisation(dict.fromkeys(graph.shapes, Grid(0.1, 0)), scales)


ALONE = filters("stem", "alone", (6, 1, 3, 3), groups=6, pads=(1, 1, 1, 1))
MEAN = Mean(inputs=("alone",), output="mean")
SCALED = Mul(inputs=("alone", "mean"), output="scaled")


def test_all_that_shares_the_channels_is_widened():
    graph = chain(
        ALONE,
        MEAN,
        Reshape(inputs=("mean",), output="flat", shape=(6,)),
        filters("flat", "end", (2, 6)),
    )
    wider, quantisation = widened(graph, every_value(graph), 16)
    assert wider.shapes["stem"] == wider.shapes["alone"] == (16, 4, 4)
    assert (wider.shapes["flat"], wider.shapes["end"]) == ((16,), (2,))
    assert {name: len(scales) for name, scales in quantisation.scales.items()} == {
        "stem": 16,
        "alone": 16,
        "end": 2,
    }
    pixels = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(answers(wider, pixels), answers(graph, pixels), rtol=1e-5)


@pytest.mark.parametrize(
    "last",
    [
        (MEAN,),  # an answer's channels are what people asked for
        (MEAN, SCALED, Permute(inputs=("scaled",), output="turned", order=(0, 2, 3, 1))),
    ],
)
def test_what_others_count_on_stays(last):
    graph = chain(ALONE, *last)
    wider, _ = widened(graph, every_value(graph), 16)
    assert wider.shapes == graph.shapes


def test_filters_in_float_are_left_alone():
    graph = chain(ALONE, MEAN, filters("mean", "end", (2, 6, 1, 1)))
    graph = replace(graph, shapes={**graph.shapes, "end": (2, 1, 1)})
    integers = every_value(graph)
    scales = {name: each for name, each in integers.scales.items() if name != "alone"}
    wider, _ = widened(graph, Quantisation(integers.grids, scales), 16)
    assert wider.shapes == graph.shapes
    assert widened(graph, integers, 16)[0].shapes["alone"] == (16, 4, 4)
