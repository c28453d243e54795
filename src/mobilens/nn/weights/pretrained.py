"""Weights from a name or a file, fitted to a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

from torch import Tensor, nn

from mobilens.errors import WeightsError
from mobilens.nn.backbone import MobileNet
from mobilens.nn.checkpoint import METADATA_KEY, Checkpoint
from mobilens.nn.weights import torchvision_segmenters, torchvision_ssdlite
from mobilens.nn.weights.convert import convert, described, detect_layout, options
from mobilens.nn.weights.files import READERS, read_tensors
from mobilens.nn.weights.hub import fetch
from mobilens.nn.weights.identify import remedy
from mobilens.nn.weights.layouts import OWN, TIMM, TIMM_TF, TORCHVISION_V3, Layout
from mobilens.nn.weights.registry import Entry, entry_of_file, find_entry
from mobilens.observer import SILENT, Observer
from mobilens.spec.heads import ClassifierHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import Preprocessing


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights that fit a model, and what one must know to use them.

    Attributes:
        name: Name or file that they were asked for by.
        tensors: Parameters and statistics under our names.
        model: The model asked for, with the padding and BatchNorm epsilon that they need.
        preprocessing: How pixels were prepared for them; the size is the model's resolution.
        class_names: Names in the order of the classifier, where known.
        top1: Published ImageNet top-1, percent, where known.
        licence: Of the weights: an SPDX identifier, or what the file itself says.
        folded: BatchNorm is folded: ``recover_batchnorm`` comes before training.
        fresh: Tensors that they do not give, which stay as initialised.
        caveat: What a person should know before using them; empty for nothing.
        classifies: Whether they are of a classifier; else their head is another.
    """

    name: str
    tensors: Mapping[str, Tensor]
    model: ModelSpec
    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None = None
    top1: float | None = None
    licence: str = "unknown"
    folded: bool = False
    fresh: tuple[str, ...] = ()
    caveat: str = ""
    classifies: bool = True


def load_pretrained(
    source: str | Path,
    model: ModelSpec,
    *,
    offline: bool = False,
    observer: Observer = SILENT,
) -> PretrainedWeights:
    """Load weights and fit them to a model.

    Args:
        source: Name in the registry, such as ``"mobilenet_v3_small.lamb_in1k"``, or a file.
        model: The model that they shall fill. Another number of classes leaves the classifier
            fresh; another number of input channels fits the stem (see ``convert``).
        offline: Use no network; the environment may say so too.
        observer: Is told of progress.

    Raises:
        UnknownNameError: Neither a name nor a file.
        WeightsError: They do not fit; the first mismatch is named.
        OfflineError: They would have to be fetched.
    """
    path = Path(source).expanduser()
    if path.exists() or path.suffix in (".safetensors", *READERS) or len(path.parts) > 1:
        return load_file(path, model, identify=True)
    return load_entry(find_entry(str(source)), model, offline=offline, observer=observer)


def load_entry(
    entry: Entry, model: ModelSpec, *, offline: bool = False, observer: Observer = SILENT
) -> PretrainedWeights:
    """Load published weights, fetching them if need be; arguments as in ``load_pretrained``.

    Raises:
        WeightsError: They are another model's, or cannot be had.
        OfflineError: They would have to be fetched.
    """
    if not entry.fits(model):
        raise WeightsError(
            f"{entry.name} holds weights of {entry.model}, width {entry.width_mult:g}",
            expected=described(model),
            remedy=options(entry.model, entry.width_mult, "paper", model),
        )
    path = fetch(entry, offline=offline, observer=observer)
    return replace(load_file(path, model, entry), name=entry.name)


def load_file(
    path: Path, model: ModelSpec, entry: Entry | None = None, *, identify: bool = False
) -> PretrainedWeights:
    """Load a file of weights: a mobilens checkpoint, or any layout in ``layouts``.

    Args:
        path: The file.
        model: The model that they shall fill.
        entry: The published weights in it; by default, those whose name the file bears.
        identify: Where they do not fit, say whose weights they are; takes about a second.

    Raises:
        WeightsError: No such file, no known layout, or it does not fit.
    """
    tensors, metadata = read_tensors(path)
    return fit_file(path, tensors, metadata, model, entry, identify=identify)


def fit_file(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    model: ModelSpec,
    entry: Entry | None = None,
    *,
    identify: bool = False,
) -> PretrainedWeights:
    """Fit what ``read_tensors`` read from a file; arguments as in ``load_file``.

    Raises:
        WeightsError: No known layout, or it does not fit.
    """
    if METADATA_KEY in metadata:
        return _from_checkpoint(Checkpoint.load(path), path, model)
    for library in WHOLE_NETS:
        if library.is_torchvision(tensors):
            return _from_whole(library, tensors, model, str(path))
    entry = entry or entry_of_file(path)
    layout = entry.layout if entry else detect_layout(tensors, str(path))
    if layout is TIMM and path.name.startswith("tf_"):
        layout = TIMM_TF
    try:
        weights = fit_state_dict(tensors, model, name=str(path), layout=layout)
    except WeightsError as error:
        if identify:
            error.remedy = remedy(tensors, layout, model)
        raise
    if entry is None:
        stated = metadata.get("license") or metadata.get("licence") or metadata.get("origin")
        caveat = layout.caveat_at(model.resolution)
        return replace(weights, licence=stated or "unknown", caveat=caveat)
    return replace(
        weights,
        preprocessing=replace(entry.preprocessing, size=model.resolution),
        top1=entry.top1,
        licence=entry.licence,
    )


def fit_state_dict(
    tensors: Mapping[str, Tensor],
    model: ModelSpec,
    *,
    name: str = "the state dict",
    layout: Layout | None = None,
) -> PretrainedWeights:
    """Fit a state dict in memory to a model.

    Args:
        tensors: In any layout of ``layouts``; Keras weights as ``keras_tensors`` gives them.
        model: The model that they shall fill.
        name: What they come from, for messages.
        layout: Theirs; found from the keys by default. timm's ports of TensorFlow's nets have the
            same keys as its own, but need ``TIMM_TF``.

    Raises:
        WeightsError: No known layout, or they do not fit; the first mismatch is named.
    """
    layout = layout or detect_layout(tensors, name)
    if layout is TIMM and model.name.endswith("minimalistic"):
        layout = TIMM_TF  # timm has no others
    fitted = replace(model, padding=layout.padding, bn_eps=layout.bn_eps)
    ours, fresh = convert(tensors, fitted, layout, name)
    return PretrainedWeights(
        name=name,
        tensors=ours,
        model=fitted,
        preprocessing=Preprocessing(size=model.resolution, mean=layout.mean, std=layout.std),
        folded=layout.folded,
        fresh=fresh,
    )


class _WholeNets(Protocol):
    """What is known of another library's nets that do not classify."""

    MEAN: tuple[float, float, float]
    STD: tuple[float, float, float]

    def is_torchvision(self, tensors: Mapping[str, Tensor]) -> bool: ...
    def on_model(self, tensors: Mapping[str, Tensor], model: ModelSpec) -> ModelSpec: ...
    def from_torchvision(
        self, tensors: Mapping[str, Tensor], model: ModelSpec, where: str
    ) -> dict[str, Tensor]: ...


WHOLE_NETS = (
    cast(_WholeNets, torchvision_ssdlite),
    cast(_WholeNets, torchvision_segmenters),
)


def _from_whole(
    library: _WholeNets, tensors: Mapping[str, Tensor], model: ModelSpec, name: str
) -> PretrainedWeights:
    """Weights of a net with another head: those of the head stay where they fit."""
    fitted = replace(model, padding=TORCHVISION_V3.padding, bn_eps=TORCHVISION_V3.bn_eps)
    return PretrainedWeights(
        name=name,
        tensors=library.from_torchvision(tensors, library.on_model(tensors, fitted), name),
        model=fitted,
        preprocessing=Preprocessing(size=model.resolution, mean=library.MEAN, std=library.STD),
        classifies=False,
    )


def _from_checkpoint(checkpoint: Checkpoint, path: Path, model: ModelSpec) -> PretrainedWeights:
    given = checkpoint.model
    fitted = replace(model, padding=given.padding, bn_eps=given.bn_eps)
    asked_like_it = options(given.name, given.width_mult, given.width_rule, model)
    remedy = f"{asked_like_it}, which the file is of"
    if isinstance(given.head, ClassifierHead):
        try:
            tensors, fresh = convert(checkpoint.tensors, fitted, OWN, str(path))
        except WeightsError as error:
            error.remedy = remedy
            raise
    elif described(given) == described(model):
        # Their heads stay where they fit (``apply_backbone``).
        tensors, fresh = dict(checkpoint.tensors), ()
    else:
        raise WeightsError(
            f"{path} holds {described(given)}",
            expected=described(model),
            remedy=remedy,
        )
    return PretrainedWeights(
        name=str(path),
        tensors=tensors,
        model=fitted,
        preprocessing=replace(checkpoint.task.preprocessing, size=model.resolution),
        class_names=checkpoint.task.class_names or None,
        licence=checkpoint.provenance.get("weights_licence") or "own",
        fresh=fresh,
        classifies=isinstance(given.head, ClassifierHead),
    )


def apply_pretrained(net: nn.Module, weights: PretrainedWeights) -> None:
    """Copy weights into a net built from ``weights.model``; fresh tensors stay as they are.

    Raises:
        WeightsError: The net is another one, in its tensors, its padding or its epsilon.
    """
    state = net.state_dict()
    missing = set(state) - set(weights.tensors) - set(weights.fresh)
    unknown = set(weights.tensors) - set(state)
    for name in sorted(missing | unknown):
        raise WeightsError(f"{weights.name} and the net differ in {name}")
    for module in net.modules():
        if isinstance(module, MobileNet):
            _require_same_function(module.spec, weights)
    net.load_state_dict(dict(weights.tensors), strict=False)


def apply_backbone(net: nn.Module, weights: PretrainedWeights) -> None:
    """Copy weights of a classifier into a net with another head, as far as their names go.

    Args:
        net: It has a ``backbone``, and perhaps parts of the head under the classifier's names.
        weights: They must hold the whole backbone.

    Raises:
        WeightsError: The backbones differ.
    """
    state = net.state_dict()
    shared = {
        name: tensor
        for name, tensor in weights.tensors.items()
        if name in state and state[name].shape == tensor.shape
    }
    for name in state:
        if name.startswith("backbone.") and name not in shared:
            raise WeightsError(f"{weights.name} and the net differ in {name}")
    net.load_state_dict(shared, strict=False)


def _require_same_function(built: ModelSpec, weights: PretrainedWeights) -> None:
    """Tensors of one shape give another function under another padding or epsilon."""
    wanted = weights.model
    for what in ("padding", "bn_eps"):
        if getattr(built, what) != getattr(wanted, what):
            raise WeightsError(
                f"the net has {what} {getattr(built, what)}",
                expected=f"{getattr(wanted, what)}, which {weights.name} needs",
                remedy="build(weights.model)",
            )
