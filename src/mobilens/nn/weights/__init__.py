"""Weights in: published ones by name, files of other libraries, and our own checkpoints."""

from __future__ import annotations

from mobilens.nn.weights.batchnorm import recover_batchnorm
from mobilens.nn.weights.pretrained import (
    PretrainedWeights,
    apply_pretrained,
    load_pretrained,
)

__all__ = [
    "PretrainedWeights",
    "apply_pretrained",
    "load_pretrained",
    "recover_batchnorm",
]
