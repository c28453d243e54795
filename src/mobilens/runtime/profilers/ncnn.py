"""ncnn: which of its layers compute in 8 bits; times it does not tell from Python."""

from __future__ import annotations

from pathlib import Path

from mobilens.runtime.engines.ncnn import NcnnEngine
from mobilens.runtime.formats.ncnn import LAYERS_SUFFIX, Layer, manifest_text, read_layers
from mobilens.runtime.manifest import Manifest
from mobilens.runtime.profilers import Operator
from mobilens.vision.predictor import Pixels

NOTE = "ncnn does not tell times from Python: only its layers, and which of them have integers"
FILTERS = ("Convolution", "ConvolutionDepthWise", "InnerProduct")
# The number in which filters say how they are scaled to integers; 0 or nothing: they are not.
INTEGERS = 8
# Nothing is computed by these.
PLACES = ("Input", "Split")


def profile(path: Path, threads: int, pixels: Pixels, runs: int) -> list[Operator]:
    """Load a file and list its layers."""
    engine = NcnnEngine(path, threads)
    for _ in range(min(runs, 1)):  # a file that does not run has no operators to speak of
        engine.run(pixels)
    manifest = Manifest.from_text(manifest_text(path.read_bytes()))
    # Values between integer filters are float32 too.
    otherwise = "float32" if manifest.precision == "int8" else manifest.precision
    return [
        Operator(layer.kind, "int8" if _has_integers(layer) else otherwise, "ncnn", None)
        for layer in read_layers(path.with_suffix(LAYERS_SUFFIX).read_bytes())
        if layer.kind not in PLACES
    ]


def _has_integers(layer: Layer) -> bool:
    return layer.kind in FILTERS and bool(layer.sizes.get(INTEGERS))
