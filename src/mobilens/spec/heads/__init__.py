"""What stands on a backbone: one frozen dataclass for each kind of head, one file each.

A head names the values of the backbone that it reads (``taps``), checks that it can stand on them
(``check``) and counts what it costs (``walk``). A new kind is one file and one line in ``Head``.
"""

from __future__ import annotations

from typing import get_args

from mobilens.spec.heads.anchor_free import AnchorFreeHead
from mobilens.spec.heads.classifier import ClassifierHead
from mobilens.spec.heads.deeplab import DeepLabHead
from mobilens.spec.heads.embedding import ArcFaceHead, CosFaceHead, EmbeddingHead
from mobilens.spec.heads.heatmap import HeatmapHead
from mobilens.spec.heads.lraspp import LrAsppHead
from mobilens.spec.heads.ssdlite import SsdLiteHead

Head = (
    ClassifierHead
    | AnchorFreeHead
    | SsdLiteHead
    | LrAsppHead
    | DeepLabHead
    | HeatmapHead
    | ArcFaceHead
    | CosFaceHead
)

HEADS: dict[str, type[Head]] = {head.kind: head for head in get_args(Head)}

__all__ = [
    "HEADS",
    "AnchorFreeHead",
    "ArcFaceHead",
    "ClassifierHead",
    "CosFaceHead",
    "DeepLabHead",
    "EmbeddingHead",
    "Head",
    "HeatmapHead",
    "LrAsppHead",
    "SsdLiteHead",
]
