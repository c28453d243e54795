"""torchvision's SSDLite detectors: their tensors under our names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from mobilens.errors import WeightsError
from mobilens.nn.weights.convert import convert
from mobilens.nn.weights.layouts import TORCHVISION_V3
from mobilens.spec.heads import ClassifierHead, SsdLiteHead
from mobilens.spec.model import ModelSpec

MARK = "head.classification_head.module_list.0.0.0.weight"
_CLASSES, _OFFSETS = (
    f"head.{kind}_head.module_list.0.1.bias" for kind in ("classification", "regression")
)
MEAN = STD = (0.5, 0.5, 0.5)
# Their backbone is cut in two after the expansion that the first level reads: row by row
# ``features.0.N`` before it, ``features.1.0`` the rest of that row, ``features.1.M`` behind it.
_CONV = {"0": "conv", "1": "norm"}


def is_torchvision(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of one of torchvision's SSDLite detectors."""
    return MARK in tensors


def on_model(tensors: Mapping[str, Tensor], model: ModelSpec) -> ModelSpec:
    """The detector that they are of, on a model's body: with as many classes as they have."""
    boxes = tensors[_OFFSETS].numel() // 4
    return model.with_head(SsdLiteHead.kind, tensors[_CLASSES].numel() // boxes - 1)


def from_torchvision(
    tensors: Mapping[str, Tensor], model: ModelSpec, where: str = "the weights"
) -> dict[str, Tensor]:
    """Give the tensors of a detector under our names.

    Args:
        tensors: State of ``ssdlite320_mobilenet_v3_large`` or its like.
        model: A V3 under an SSDLite head, by torchvision's width rule where it is narrower.
        where: What they come from, for messages.

    Raises:
        WeightsError: They are not those of the model; the first difference is named.
    """
    head = model.head
    assert isinstance(head, SsdLiteHead)
    cut = model.taps[0].row + 1  # they count the stem as a row
    bare = replace(model, head=ClassifierHead(head.num_classes))
    backbone, ours = {}, {}
    for key, tensor in tensors.items():
        named = _head_name(key)
        if named:
            ours[named] = tensor
        elif not key.endswith("num_batches_tracked"):
            backbone[_plain(key, cut)] = tensor
    found, _ = convert(backbone, bare, TORCHVISION_V3, where)
    ours.update({name: tensor for name, tensor in found.items() if name.startswith("backbone.")})
    return ours


def _plain(key: str, cut: int) -> str:
    """Name of a backbone's tensor in the plain net."""
    first = re.fullmatch(r"backbone\.features\.0\.(\d+)\.(.*)", key)
    if first:
        row, rest = int(first[1]), first[2]
        return f"features.{row}.block.0.{rest}" if row == cut else f"features.{row}.{rest}"
    second = re.fullmatch(r"backbone\.features\.1\.(\d+)\.(.*)", key)
    if second is None:
        raise WeightsError(f"{key!r} has no place in an SSDLite detector")
    row, rest = int(second[1]), second[2]
    return f"features.{cut + row}.{rest}" if row else f"features.{cut}.block.{rest}"


def _head_name(key: str) -> str:
    """Our name of a head's tensor; empty for others."""
    extra = re.fullmatch(r"backbone\.extra\.(\d+)\.(\d)\.([01])\.(\w+)", key)
    if extra:
        level, step, part, leaf = extra.groups()
        return f"head.extras.{level}.{step}.{_CONV[part]}.{leaf}"
    kinds = {"classification": "classes", "regression": "offsets"}
    inner = re.fullmatch(r"head\.(\w+)_head\.module_list\.(\d+)\.0\.([01])\.(\w+)", key)
    if inner:
        kind, level, part, leaf = inner.groups()
        return f"head.{kinds[kind]}.{level}.0.{_CONV[part]}.{leaf}"
    last = re.fullmatch(r"head\.(\w+)_head\.module_list\.(\d+)\.1\.(weight|bias)", key)
    if last:
        return f"head.{kinds[last[1]]}.{last[2]}.1.{last[3]}"
    return ""
