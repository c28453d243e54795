"""ncnn: which of its layers compute in 8 bits, and the time of each.

It does not tell times from Python, but computes no further than what is asked for. So the value of
each layer is asked for in turn.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from mobilens.runtime.engines.ncnn import NcnnEngine
from mobilens.runtime.formats.ncnn import LAYERS_SUFFIX, Layer, manifest_text, read_layers
from mobilens.runtime.manifest import Manifest
from mobilens.runtime.profilers import Operator
from mobilens.vision.predictor import Pixels

NOTE = "ncnn tells no times from Python: each is the wait for the value of this layer alone"
FILTERS = ("Convolution", "ConvolutionDepthWise", "InnerProduct")
# The number in which filters say how they are scaled to integers; 0 or nothing: they are not.
INTEGERS = 8
# Nothing is computed by these.
PLACES = ("Input", "Split")


def profile(path: Path, threads: int, pixels: Pixels, runs: int) -> list[Operator]:
    """Load a file, list its layers and time each."""
    engine = NcnnEngine(path, threads)
    layers = [
        layer
        for layer in read_layers(path.with_suffix(LAYERS_SUFFIX).read_bytes())
        if layer.kind not in PLACES
    ]
    names = [layer.outputs[0] for layer in layers]
    each = zip(*(engine.waits(pixels[0], names) for _ in range(runs)), strict=True)
    manifest = Manifest.from_text(manifest_text(path.read_bytes()))
    # Values between integer filters are float32 too.
    otherwise = "float32" if manifest.precision == "int8" else manifest.precision
    return [
        Operator(
            layer.kind,
            "int8" if _has_integers(layer) else otherwise,
            "ncnn",
            statistics.median(waits),
        )
        for layer, waits in zip(layers, each, strict=True)
    ]


def _has_integers(layer: Layer) -> bool:
    return layer.kind in FILTERS and bool(layer.sizes.get(INTEGERS))
