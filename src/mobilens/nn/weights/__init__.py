"""Weights in: published ones by name, files of other libraries, and our own checkpoints."""

from __future__ import annotations

from mobilens.nn.weights.auto import auto_weights
from mobilens.nn.weights.batchnorm import balance_filters, recover_batchnorm
from mobilens.nn.weights.pretrained import (
    PretrainedWeights,
    apply_backbone,
    apply_pretrained,
    fit_state_dict,
    load_pretrained,
)
from mobilens.nn.weights.registry import Entry, list_weights

__all__ = [
    "Entry",
    "PretrainedWeights",
    "apply_backbone",
    "apply_pretrained",
    "auto_weights",
    "balance_filters",
    "fit_state_dict",
    "list_weights",
    "load_pretrained",
    "recover_batchnorm",
]
