"""Key maps: how other libraries name the tensors of these nets. One file a library, data only."""

from __future__ import annotations

from mobilens.nn.weights.layouts.folded import FOLDED
from mobilens.nn.weights.layouts.keras import KERAS_V1, KERAS_V2, KERAS_V3
from mobilens.nn.weights.layouts.layout import Layout
from mobilens.nn.weights.layouts.own import OWN
from mobilens.nn.weights.layouts.timm import TIMM, TIMM_TF
from mobilens.nn.weights.layouts.torchvision import TORCHVISION_V2, TORCHVISION_V3

LAYOUTS: tuple[Layout, ...] = (
    OWN,
    FOLDED,
    TIMM,
    TORCHVISION_V2,
    TORCHVISION_V3,
    KERAS_V1,
    KERAS_V2,
    KERAS_V3,
)

__all__ = [
    "LAYOUTS",
    "OWN",
    "TIMM",
    "TIMM_TF",
    "TORCHVISION_V2",
    "TORCHVISION_V3",
    "Layout",
]
