"""Normalisation of pixels, as far as the first filters can do it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mobilens.graph.ops import Conv, Graph, Normalise, Op, Scale
from mobilens.graph.replace import replaced, single

# The deviation by which pixels less their mean stay as they are, 0 to 255.
UNIT = (1 / 255,) * 3


def fold_normalisation(graph: Graph) -> Graph:
    """Leave but a subtraction of the means to the pixels; the first filters do the rest.

    Zeros around the image stay what they were, the mean colour. Where something else than filters
    reads the image, a factor a channel remains, as an operator of its own.
    """
    normalise, stems = _stems(graph)
    if normalise is None:
        return _scale_apart(graph)
    factors = [1 / (255 * std) for std in normalise.std]
    changed: dict[str, Op] = {
        stem.output: replace(stem, weight=single(stem.weight * _channels(factors)))
        for stem in stems
    }
    changed[normalise.output] = replace(normalise, std=UNIT)
    return replaced(graph, changed, ())


def _scale_apart(graph: Graph) -> Graph:
    first, *others = graph.ops
    if not isinstance(first, Normalise) or first.std == UNIT:
        return graph
    centred = f"{first.output}.centred"
    factors = single([1 / (255 * std) for std in first.std])
    scale = Scale(
        inputs=(centred,), output=first.output, scale=factors, shift=np.zeros_like(factors)
    )
    shape = graph.shapes[first.output]
    return graph.with_ops(
        (replace(first, output=centred, std=UNIT), scale, *others), {centred: shape}
    )


def whole_pixels(graph: Graph) -> Graph:
    """Subtract one whole number from all pixels, so that 8-bit pixels stay 8-bit integers.

    The first filters' bias makes up for the difference to the means, except where zeros are padded:
    there it stays, at most half a step where all three channels share a mean near a whole number.
    """
    graph = fold_normalisation(graph)
    normalise, stems = _stems(graph)
    if normalise is None:
        return graph
    means = [255 * mean for mean in normalise.mean]
    centre = round(sum(means) / 3)
    changed: dict[str, Op] = {}
    for stem in stems:
        missing = stem.weight.astype(np.float64) * _channels([centre - mean for mean in means])
        changed[stem.output] = replace(stem, bias=single(stem.bias + missing.sum((1, 2, 3))))
    changed[normalise.output] = replace(normalise, mean=(centre / 255,) * 3)
    return replaced(graph, changed, ())


def _stems(graph: Graph) -> tuple[Normalise | None, list[Conv]]:
    """The normalisation, and the convolutions that read it, where nothing else does."""
    first = graph.ops[0]
    if not isinstance(first, Normalise):
        return None, []
    readers = graph.users()[first.output]
    stems = [op for op in readers if isinstance(op, Conv) and op.groups == 1]
    return (first, stems) if stems and len(stems) == len(readers) else (None, [])


def _channels(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, np.float64).reshape(1, -1, 1, 1)
