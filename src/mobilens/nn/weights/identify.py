"""Which model some weights are of, for the remedy of a refusal."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mobilens.errors import WeightsError
from mobilens.nn.weights.convert import STEM, convert, options
from mobilens.nn.weights.layouts import Layout
from mobilens.spec.model import WIDTH_RULES, ModelSpec
from mobilens.spec.zoo import build_spec, list_models

WIDTHS = (1.0, 0.25, 0.35, 0.5, 0.75, 1.25, 1.3, 1.4)


def identify(source: Mapping[str, Tensor], layout: Layout) -> ModelSpec | None:
    """Find the model that weights fill, at the widths that are published, or None."""
    for name in list_models():
        for width in WIDTHS:
            for rule in WIDTH_RULES if name.startswith("mobilenet_v3") else WIDTH_RULES[:1]:
                model = build_spec(name, width_mult=width, width_rule=rule)
                if _fills(source, model, layout):
                    return model
    return None


def remedy(source: Mapping[str, Tensor], layout: Layout, asked: ModelSpec) -> str:
    """Say which model to ask for, where that can be found."""
    model = identify(source, layout)
    if model is None:
        return ""
    return options(model.name, model.width_mult, model.width_rule, asked) + (
        ", which the file is of"
    )


def _fills(source: Mapping[str, Tensor], model: ModelSpec, layout: Layout) -> bool:
    try:
        stem = layout.keys([STEM], model, source)[STEM]
        # Most candidates fail here, before a module is built.
        if stem is None or stem not in source or model.stem.out_channels not in source[stem].shape:
            return False
        convert(source, model, layout, "")
    except WeightsError:
        return False
    return True
