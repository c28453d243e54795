"""Which layers suffer most from 8 bits: each alone, measured at the net's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from mobilens.compress.placement import Placement
from mobilens.compress.simulate import rounded, with_rounded_filters
from mobilens.graph.ops import Graph, Op, Softmax
from mobilens.graph.quantised import Quantisation
from mobilens.graph.run import run
from mobilens.vision.predictor import Pixels

IMAGES = 32


@torch.no_grad()
def sensitivity(
    graph: Graph, placement: Placement, quantisation: Quantisation, pixels: Pixels
) -> Mapping[str, float]:
    """Measure how far the answers move when one layer alone is in 8 bits.

    A layer is what has filters, with all values that are stored because of it.

    Args:
        graph: A rewritten graph.
        placement: Where its integers go.
        quantisation: Its grids and scales.
        pixels: (N, height, width, 3), RGB, uint8: calibration images.

    Returns:
        Mean squared distance of the scores before the softmax, as a share of their variance, by
        layer, the largest first.
    """
    images = torch.from_numpy(np.ascontiguousarray(pixels[:IMAGES]))
    exact = _scores(graph, images, lambda _, value: value)
    variance = float(exact.var()) or 1.0
    found = {}
    for name in quantisation.scales:
        alone = Quantisation(
            {each: quantisation.grids[each] for each in placement.stored_values(graph, {name})},
            {name: quantisation.scales[name]},
        )
        moved = _scores(with_rounded_filters(graph, alone), images, _rounding(alone))
        found[name] = float(((moved - exact) ** 2).mean()) / variance
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def _rounding(quantisation: Quantisation) -> Callable[[Op, Tensor], Tensor]:
    return lambda op, value: rounded(quantisation, op.output, value)


def _scores(graph: Graph, images: Tensor, each: Callable[[Op, Tensor], Tensor]) -> Tensor:
    """What goes into the softmax behind an output, or the outputs where there is none."""
    makers = graph.maker()
    ends = {
        key: makers[name].inputs[0] if isinstance(makers[name], Softmax) else name
        for key, name in graph.outputs.items()
    }
    cut = Graph(graph.input, graph.ops, ends, graph.shapes)
    return torch.cat([value.flatten(1) for value in run(cut, images, each).values()], 1)
