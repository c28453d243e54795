"""torchvision's LR-ASPP and DeepLabv3 nets on V3: their tensors under our names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from mobilens.errors import WeightsError
from mobilens.nn.weights.convert import convert
from mobilens.nn.weights.layouts import TORCHVISION_V3
from mobilens.spec.heads import ClassifierHead
from mobilens.spec.model import ModelSpec

# Their modules and ours; the others are the backbone's, and a second classifier for training alone.
LRASPP = {
    "classifier.cbr.0": "head.conv.conv",
    "classifier.cbr.1": "head.conv.norm",
    "classifier.scale.1": "head.gate",
    "classifier.low_classifier": "head.low",
    "classifier.high_classifier": "head.high",
}
DEEPLAB = {
    "classifier.0.convs.0.0": "head.plain.conv",
    "classifier.0.convs.0.1": "head.plain.norm",
    **{
        f"classifier.0.convs.{index + 1}.{part}": f"head.rates.{index}.{ours}"
        for index in range(3)
        for part, ours in enumerate(("conv", "norm"))
    },
    "classifier.0.convs.4.1": "head.pooled.conv",
    "classifier.0.convs.4.2": "head.pooled.norm",
    "classifier.0.project.0": "head.project.conv",
    "classifier.0.project.1": "head.project.norm",
    "classifier.1": "head.decode.0.conv",
    "classifier.2": "head.decode.0.norm",
    "classifier.4": "head.classes",
}
BESIDE = "aux_classifier."
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EPSILON = 1e-5


def is_torchvision(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of one of torchvision's segmentation nets."""
    return "classifier.cbr.0.weight" in tensors or "classifier.0.project.0.weight" in tensors


def on_model(tensors: Mapping[str, Tensor], model: ModelSpec) -> ModelSpec:  # noqa: ARG001
    """The model itself: their heads have names of their own, whatever it is."""
    return model


def from_torchvision(
    tensors: Mapping[str, Tensor], model: ModelSpec, where: str = "the weights"
) -> dict[str, Tensor]:
    """Give the tensors of a segmentation net under our names.

    Args:
        tensors: State of ``lraspp_mobilenet_v3_large``, ``deeplabv3_mobilenet_v3_large`` or their
            like.
        model: A V3 under the same head, dilated by torchvision's rule.
        where: What they come from, for messages.

    Raises:
        WeightsError: They are not those of the model; the first difference is named.
    """
    names = LRASPP if "classifier.cbr.0.weight" in tensors else DEEPLAB
    backbone, ours = {}, {}
    for key, tensor in tensors.items():
        module, _, leaf = key.rpartition(".")
        if module in names:
            ours[f"{names[module]}.{leaf}"] = tensor
        elif key.startswith("backbone."):
            backbone[f"features.{key.removeprefix('backbone.')}"] = tensor
        elif not key.startswith(BESIDE):
            raise WeightsError(f"{where}: {key!r} has no place in {model.name}")
    for name in [name for name in ours if name.endswith("norm.running_var")]:
        # Their heads have a smaller epsilon than their backbones.
        variance, weight = ours[name], name.replace("running_var", "weight")
        ours[weight] = ours[weight] * ((variance + model.bn_eps) / (variance + EPSILON)).sqrt()
    bare = replace(model, head=ClassifierHead(1))
    found, _ = convert(backbone, bare, TORCHVISION_V3, where)
    ours.update({name: tensor for name, tensor in found.items() if name.startswith("backbone.")})
    return ours
