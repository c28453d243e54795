"""Tensors in another library's layout become ours; whatever does not fit is refused."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mobilens.errors import WeightsError
from mobilens.nn.backbone import MobileNet
from mobilens.nn.weights.layouts import LAYOUTS, Layout
from mobilens.spec.model import ModelSpec, WidthRule

CLASSIFIER = "head.classifier."
STEM = "backbone.stem.conv.weight"
# Layers behind the pooling, which files "without top" do not have.
TOP = ("head.hidden.", CLASSIFIER)


def detect_layout(keys: Mapping[str, object], where: str) -> Layout:
    """Find the layout that these keys are written in.

    Args:
        keys: Names of tensors.
        where: What they come from, for the message.

    Raises:
        WeightsError: No known layout.
    """
    for layout in LAYOUTS:
        if layout.matches(keys):
            return layout
    if not keys:
        raise WeightsError(f"{where} holds no tensors", expected="weights of a MobileNet")
    first = next(iter(keys))
    raise WeightsError(
        f"{where} holds tensors in no known layout (the first is {first!r})",
        expected="MobileNet weights of torchvision, timm, Keras, mobilens, or folded TensorFlow",
    )


def target_shapes(model: ModelSpec) -> dict[str, Tensor]:
    """Every tensor of the model's module by name, input to output, without memory behind it."""
    with torch.device("meta"):
        return MobileNet(model).state_dict()


def convert(
    source: Mapping[str, Tensor], model: ModelSpec, layout: Layout, where: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Rename and reshape weights for a model.

    The classifier is left out where the numbers of classes differ. A stem of RGB weights is fitted
    to another number of input channels: summed for one (a grey image then gives what it gave when
    repeated three times), repeated in turn and scaled by 3 / channels for others.

    Args:
        source: Tensors under their keys.
        model: The model that they shall fill.
        layout: How they are named.
        where: What they come from, for messages.

    Returns:
        Tensors under our names, float32, and the names of those that the weights do not give.

    Raises:
        WeightsError: A tensor is missing, has another shape or type, is not finite, or has no
            place; the first is named.
    """
    targets = target_shapes(model)
    counters = {name for name in targets if name.endswith("num_batches_tracked")}
    keys = layout.keys([name for name in targets if name not in counters], model, source)
    topless = not any(keys[f"{CLASSIFIER}{leaf}"] in source for leaf in ("weight", "bias"))
    tensors: dict[str, Tensor] = {name: torch.zeros((), dtype=torch.int64) for name in counters}
    fresh: list[str] = []
    _require_one_classifier(source, keys, where)
    for name, key in keys.items():
        target = targets[name]
        if key is None:
            tensors[name] = _identity(name, target, model.bn_eps)
        elif key not in source:
            if not (topless and name.startswith(TOP)):
                raise _misfit(f"{where} has no {key!r}", name, target, model)
            fresh.append(name)
        else:
            tensor = _oriented(_usable(source[key], key, where), layout, name)
            if name.startswith(CLASSIFIER) and tensor.shape[:1] != target.shape[:1]:
                fresh.append(name)
                continue
            if name == STEM and tensor.ndim == 4:
                tensor = fit_stem(tensor, target.shape[1])
            if _core(tensor) != _core(target):
                shape = tuple(source[key].shape)
                raise _misfit(f"{where}: {key!r} is {shape}", name, target, model)
            if name.endswith("running_var") and bool((tensor < 0).any()):
                raise WeightsError(f"{where}: {key!r} holds a negative variance")
            tensors[name] = tensor.reshape(target.shape).contiguous()
    _refuse_leftovers(source, keys, where, model)
    return tensors, tuple(fresh)


def fit_stem(weight: Tensor, channels: int) -> Tensor:
    """Fit the stem's filters, (out, RGB, k, k), to another number of input channels."""
    given = weight.shape[1]
    if channels == given:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    repeats = -(-channels // given)
    return weight.repeat(1, repeats, 1, 1)[:, :channels] * (given / channels)


def _usable(tensor: Tensor, key: str, where: str) -> Tensor:
    if tensor.is_meta or tensor.layout != torch.strided:
        raise WeightsError(f"{where}: {key!r} is a sparse or empty tensor", expected="its numbers")
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise WeightsError(f"{where}: {key!r} is {kind}", expected="floating-point weights")
    tensor = tensor.to(torch.float32)
    if not torch.isfinite(tensor).all():
        raise WeightsError(
            f"{where}: {key!r} holds NaN or infinity",
            expected="finite numbers, in 32 bits too",
            remedy="weights from before its training diverged",
        )
    return tensor


def _require_one_classifier(
    source: Mapping[str, Tensor], keys: Mapping[str, str | None], where: str
) -> None:
    """A classifier of another number of classes is left out, but not half of one."""
    weight, bias = (source.get(keys[f"{CLASSIFIER}{leaf}"] or "") for leaf in ("weight", "bias"))
    if weight is None or bias is None:
        return
    if max(bias.shape, default=1) not in weight.shape:
        raise WeightsError(
            f"{where}: the classifier has weights of shape {tuple(weight.shape)} and biases of "
            f"shape {tuple(bias.shape)}",
            expected="one number of classes",
        )


def _oriented(tensor: Tensor, layout: Layout, name: str) -> Tensor:
    if layout.kernels == "OIHW" or not name.endswith(".weight"):
        return tensor
    if tensor.ndim == 2:
        return tensor.T
    if tensor.ndim == 4:
        # Keras writes depthwise kernels as height, width, channel, multiplier.
        depthwise = ".depthwise." in name
        return tensor.permute(2, 3, 0, 1) if depthwise else tensor.permute(3, 2, 0, 1)
    return tensor


def _core(tensor: Tensor) -> tuple[int, ...]:
    """Shape without ones at its end: a linear layer is a 1x1 convolution."""
    shape = list(tensor.shape)
    while shape and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def _identity(name: str, target: Tensor, bn_eps: float) -> Tensor:
    """What a BatchNorm needs so that, in evaluation mode, it only adds its bias."""
    leaf = name.rpartition(".")[2]
    value = {"weight": (1 + bn_eps) ** 0.5, "running_mean": 0.0, "running_var": 1.0}[leaf]
    return torch.full(target.shape, value)


def _refuse_leftovers(
    source: Mapping[str, Tensor], keys: Mapping[str, str | None], where: str, model: ModelSpec
) -> None:
    used = set(keys.values())
    for key, tensor in source.items():
        if key not in used and not key.endswith("num_batches_tracked"):
            raise WeightsError(
                f"{where}: {key!r} {tuple(tensor.shape)} has no place in {model.name}",
                expected=described(model),
            )


def described(model: ModelSpec) -> str:
    """Say in a message whose weights would do."""
    return f"weights of {model.name}, width {model.width_mult:g} ({model.width_rule} rule)"


def options(name: str, width_mult: float, width_rule: WidthRule, asked: ModelSpec) -> str:
    """Say in a remedy how to ask for a model in the place of the one that was asked for."""
    differs = width_rule != "paper" or asked.width_rule != "paper"
    rule = f" --width-rule {width_rule}" if differs else ""
    return f"--model {name} --width {width_mult:g}{rule}"


def _misfit(given: str, name: str, target: Tensor, model: ModelSpec) -> WeightsError:
    return WeightsError(given, expected=f"{tuple(target.shape)} for {name}, {described(model)}")
