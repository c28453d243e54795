"""Published ImageNet-1k weights by name, each with what one must know to use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mobilens.errors import UnknownNameError
from mobilens.nn.weights.layouts import TIMM, TIMM_TF, TORCHVISION_V2, TORCHVISION_V3, Layout
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import Preprocessing

_Rgb = tuple[float, float, float]
_Interpolation = Literal["bilinear", "bicubic"]

HALF: tuple[_Rgb, _Rgb] = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
IMAGENET: tuple[_Rgb, _Rgb] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
UNIT: tuple[_Rgb, _Rgb] = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


# What the hub calls the weights of every repository.
HUB_FILE = "model.safetensors"


@dataclass(frozen=True)
class Entry:
    """One set of published weights.

    Attributes:
        name: Architecture, width where it is not 1, and tag.
        model: Architecture.
        width_mult: Its width.
        host: ``"hub"``, where timm's checkpoints are, or ``"torchvision"``.
        file: On the host: a repository, or a file whose name ends in the first digits of its
            SHA-256.
        layout: How its tensors are named, with the padding and epsilon that they need.
        preprocessing: With which the published top-1 was measured.
        top1: Published ImageNet-1k top-1, percent; None where no source at hand states it.
        licence: SPDX identifier.
    """

    name: str
    model: str
    width_mult: float
    host: Literal["hub", "torchvision"]
    file: str
    layout: Layout
    preprocessing: Preprocessing
    top1: float | None
    licence: str

    def fits(self, model: ModelSpec) -> bool:
        """Whether these are weights of this architecture at this width."""
        # At width 1 both width rules give the same net; narrower entries are all timm's.
        rule = model.width_rule == "paper" or self.width_mult == 1
        return self.model == model.name and self.width_mult == model.width_mult and rule

    def is_file(self, path: Path) -> bool:
        """Whether a file bears this entry's name: ours, or its host's (file or folder)."""
        theirs = self.file.rpartition("/")[2].removesuffix(".pth")
        names = [path.stem]
        if path.stem == Path(HUB_FILE).stem:
            # The hub's name for every file: the folder tells, or in its client's cache one above.
            cached = [part for part in path.parts if part.startswith("models--")]
            names += [path.parent.name, *(part.rpartition("--")[2] for part in cached)]
        return path.stem.startswith(self.name) or theirs in names


# timm's architectures that are ours: model, width.
_ARCHITECTURES: dict[str, tuple[str, float]] = {
    "mobilenetv1_100": ("mobilenet_v1", 1.0),
    "mobilenetv1_125": ("mobilenet_v1", 1.25),
    "mobilenetv2_050": ("mobilenet_v2", 0.5),
    "mobilenetv2_100": ("mobilenet_v2", 1.0),
    "mobilenetv2_140": ("mobilenet_v2", 1.4),
    "mobilenetv3_large_100": ("mobilenet_v3_large", 1.0),
    "tf_mobilenetv3_large_100": ("mobilenet_v3_large", 1.0),
    "tf_mobilenetv3_large_075": ("mobilenet_v3_large", 0.75),
    "tf_mobilenetv3_large_minimal_100": ("mobilenet_v3_large_minimalistic", 1.0),
    "mobilenetv3_small_100": ("mobilenet_v3_small", 1.0),
    "tf_mobilenetv3_small_100": ("mobilenet_v3_small", 1.0),
    "mobilenetv3_small_075": ("mobilenet_v3_small", 0.75),
    "tf_mobilenetv3_small_075": ("mobilenet_v3_small", 0.75),
    "mobilenetv3_small_050": ("mobilenet_v3_small", 0.5),
    "tf_mobilenetv3_small_minimal_100": ("mobilenet_v3_small_minimalistic", 1.0),
    "mobilenetv4_conv_small": ("mobilenet_v4_conv_small", 1.0),
    "mobilenetv4_conv_small_050": ("mobilenet_v4_conv_small", 0.5),
    "mobilenetv4_conv_medium": ("mobilenet_v4_conv_medium", 1.0),
    "mobilenetv4_conv_large": ("mobilenet_v4_conv_large", 1.0),
    "mobilenetv4_hybrid_medium": ("mobilenet_v4_hybrid_medium", 1.0),
    "mobilenetv4_hybrid_large": ("mobilenet_v4_hybrid_large", 1.0),
}

_TimmRow = tuple[str, str, tuple[_Rgb, _Rgb], int, float, _Interpolation, float | None]

# architecture, tag, mean and std, size, crop, kernel, top-1 at that size.
# Preprocessing and licence (Apache-2.0 throughout) as timm's own configuration states them.
_TIMM: tuple[_TimmRow, ...] = (
    ("mobilenetv1_100", "ra4_e3600_r224_in1k", HALF, 256, 0.95, "bicubic", 76.09),
    ("mobilenetv1_125", "ra4_e3600_r224_in1k", HALF, 256, 1.0, "bicubic", 77.61),
    ("mobilenetv2_050", "lamb_in1k", IMAGENET, 224, 0.875, "bicubic", None),
    ("mobilenetv2_100", "ra_in1k", IMAGENET, 224, 0.875, "bicubic", 72.91),
    ("mobilenetv2_140", "ra_in1k", IMAGENET, 224, 0.875, "bicubic", None),
    ("mobilenetv3_large_100", "miil_in21k_ft_in1k", UNIT, 224, 0.875, "bilinear", 78.0),
    ("mobilenetv3_large_100", "ra4_e3600_r224_in1k", HALF, 256, 1.0, "bicubic", 77.18),
    ("mobilenetv3_large_100", "ra_in1k", IMAGENET, 224, 0.875, "bicubic", 75.77),
    ("tf_mobilenetv3_large_100", "in1k", HALF, 224, 0.875, "bilinear", 75.2),
    ("tf_mobilenetv3_large_075", "in1k", HALF, 224, 0.875, "bilinear", None),
    ("tf_mobilenetv3_large_minimal_100", "in1k", HALF, 224, 0.875, "bilinear", 72.3),
    ("mobilenetv3_small_100", "lamb_in1k", IMAGENET, 224, 0.875, "bicubic", 67.64),
    ("tf_mobilenetv3_small_100", "in1k", HALF, 224, 0.875, "bilinear", 67.5),
    ("mobilenetv3_small_075", "lamb_in1k", IMAGENET, 224, 0.875, "bicubic", None),
    ("tf_mobilenetv3_small_075", "in1k", HALF, 224, 0.875, "bilinear", None),
    ("mobilenetv3_small_050", "lamb_in1k", IMAGENET, 224, 0.875, "bicubic", 57.92),
    ("tf_mobilenetv3_small_minimal_100", "in1k", HALF, 224, 0.875, "bilinear", None),
    ("mobilenetv4_conv_small", "e3600_r256_in1k", HALF, 256, 0.95, "bicubic", 74.53),
    ("mobilenetv4_conv_small", "e2400_r224_in1k", IMAGENET, 224, 0.875, "bicubic", 73.76),
    ("mobilenetv4_conv_small", "e1200_r224_in1k", IMAGENET, 224, 0.875, "bicubic", 73.45),
    ("mobilenetv4_conv_small_050", "e3000_r224_in1k", HALF, 256, 0.95, "bicubic", None),
    ("mobilenetv4_conv_medium", "e500_r256_in1k", IMAGENET, 256, 0.95, "bicubic", 79.92),
    ("mobilenetv4_conv_medium", "e250_r384_in12k_ft_in1k", IMAGENET, 384, 0.95, "bicubic", None),
    ("mobilenetv4_conv_medium", "e500_r224_in1k", IMAGENET, 256, 1.0, "bicubic", None),
    ("mobilenetv4_conv_large", "e600_r384_in1k", IMAGENET, 384, 0.95, "bicubic", 82.97),
    ("mobilenetv4_conv_large", "e500_r256_in1k", IMAGENET, 320, 1.0, "bicubic", None),
    ("mobilenetv4_hybrid_medium", "ix_e550_r256_in1k", IMAGENET, 256, 0.95, "bicubic", 81.48),
    ("mobilenetv4_hybrid_medium", "e200_r256_in12k_ft_in1k", IMAGENET, 320, 1.0, "bicubic", None),
    ("mobilenetv4_hybrid_medium", "e500_r224_in1k", IMAGENET, 256, 1.0, "bicubic", None),
    ("mobilenetv4_hybrid_medium", "ix_e550_r384_in1k", IMAGENET, 448, 1.0, "bicubic", None),
    ("mobilenetv4_hybrid_large", "ix_e600_r384_in1k", IMAGENET, 384, 0.95, "bicubic", 84.0),
    ("mobilenetv4_hybrid_large", "e600_r384_in1k", IMAGENET, 448, 1.0, "bicubic", None),
)

# model, tag, file, crop, top-1
_TORCHVISION: tuple[tuple[str, str, str, float, float], ...] = (
    ("mobilenet_v2", "torchvision_v1", "mobilenet_v2-b0353104.pth", 224 / 256, 71.878),
    ("mobilenet_v2", "torchvision_v2", "mobilenet_v2-7ebf99e0.pth", 224 / 232, 72.154),
    ("mobilenet_v3_large", "torchvision_v1", "mobilenet_v3_large-8738ca79.pth", 224 / 256, 74.042),
    ("mobilenet_v3_large", "torchvision_v2", "mobilenet_v3_large-5c1a4163.pth", 224 / 232, 75.274),
    ("mobilenet_v3_small", "torchvision_v1", "mobilenet_v3_small-047dcff4.pth", 224 / 256, 67.668),
)


def _timm_entry(row: _TimmRow) -> Entry:
    arch, tag, (mean, std), size, crop, kernel, top1 = row
    model, width = _ARCHITECTURES[arch]
    port = arch.startswith("tf_")
    suffix = "" if width == 1 else f"_{round(100 * width):03d}"
    return Entry(
        name=f"{model}{suffix}.{'tf_' if port else ''}{tag}",
        model=model,
        width_mult=width,
        host="hub",
        file=f"timm/{arch}.{tag}",
        layout=TIMM_TF if port else TIMM,
        preprocessing=Preprocessing((size, size), "crop", crop, kernel, mean, std),
        top1=top1,
        licence="Apache-2.0",
    )


def _torchvision_entry(model: str, tag: str, file: str, crop: float, top1: float) -> Entry:
    mean, std = IMAGENET
    return Entry(
        name=f"{model}.{tag}",
        model=model,
        width_mult=1.0,
        host="torchvision",
        file=file,
        layout=TORCHVISION_V2 if model == "mobilenet_v2" else TORCHVISION_V3,
        preprocessing=Preprocessing((224, 224), "crop", crop, "bilinear", mean, std),
        top1=top1,
        licence="BSD-3-Clause",
    )


ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for entry in sorted(
        (*map(_timm_entry, _TIMM), *(_torchvision_entry(*row) for row in _TORCHVISION)),
        key=lambda entry: -(entry.top1 or 0),
    )
}


def list_weights(model: str | None = None) -> list[Entry]:
    """Published weights, best first; those without a known score last.

    Args:
        model: Name of an architecture; all of them by default.
    """
    return [entry for entry in ENTRIES.values() if model in (None, entry.model)]


def find_entry(name: str) -> Entry:
    """Look up weights by name.

    Raises:
        UnknownNameError: No such weights; the nearest name is the remedy.
    """
    if name not in ENTRIES:
        model = name.partition(".")[0]
        near = [known for known in ENTRIES if known.partition(".")[0] == model]
        raise UnknownNameError.among("weights file or published weights", name, near or ENTRIES)
    return ENTRIES[name]


def entry_of_file(path: Path) -> Entry | None:
    """The entry whose name a file bears, if any."""
    return next((entry for entry in ENTRIES.values() if entry.is_file(path)), None)
