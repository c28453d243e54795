"""The best known weights for a model that can be had."""

from __future__ import annotations

from collections.abc import Callable

from mobilens.errors import MobilensError, OfflineError, WeightsError
from mobilens.nn.weights.files import READERS, read_tensors
from mobilens.nn.weights.hub import (
    address,
    find_local,
    is_offline,
    weights_folder,
)
from mobilens.nn.weights.pretrained import PretrainedWeights, fit_file, load_entry
from mobilens.nn.weights.registry import list_weights
from mobilens.observer import SILENT, Observer
from mobilens.spec.model import ModelSpec


def auto_weights(
    model: ModelSpec,
    *,
    offline: bool = False,
    observer: Observer = SILENT,
) -> PretrainedWeights | None:
    """Find the best known weights for a model.

    A file in ``MOBILENS_WEIGHTS_DIR`` comes first, then published weights, best first. A host is
    asked until it fails once; then only what is on this machine counts of what it publishes.

    Args:
        model: The model that they shall fill.
        offline: Use no network; the environment may say so too.
        observer: Is told of progress, and in one line of each attempt that failed.

    Returns:
        Fitted weights, or None where there are none: train from scratch.
    """
    own = _from_folder(model, observer.say)
    if own is not None:
        return own
    published = list_weights(model.name)
    entries = [entry for entry in published if entry.fits(model)]
    if not entries:
        widths = sorted({entry.width_mult for entry in published})
        others = ", ".join(f"{width:g}" for width in widths)
        asked = f" at width {model.width_mult:g} ({model.width_rule} rule), only for {others}"
        observer.say(f"weights: none are published for {model.name}{asked if widths else ''}")
    dead: set[str] = set()
    for entry in entries:
        if (is_offline(offline) or entry.host in dead) and find_local(entry) is None:
            continue
        try:
            return load_entry(entry, model, offline=offline, observer=observer)
        except OfflineError as error:
            dead.add(entry.host)
            observer.say(f"weights: {error.given}")
        except WeightsError as error:
            observer.say(f"weights: {error.given}")
    if entries and is_offline(offline):
        observer.say(
            f"weights: offline, and none of {model.name} on this machine: fetch "
            f"{address(entries[0])} on another one and give the file with --weights FILE"
        )
    return None


def _from_folder(model: ModelSpec, say: Callable[[str], None]) -> PretrainedWeights | None:
    """The best file of the weights folder that fits: published ones by score, then by name."""
    folder = weights_folder()
    if folder is None:
        return None
    if not folder.is_dir():
        say(f"weights: MOBILENS_WEIGHTS_DIR is {folder}, which is no folder")
        return None
    fitting: list[PretrainedWeights] = []
    for path in sorted(folder.iterdir()):
        if path.suffix in (".safetensors", *READERS):
            try:
                tensors, metadata = read_tensors(path)
            except MobilensError as error:
                say(f"weights: {error.given}")
                continue
            try:
                fitting.append(fit_file(path, tensors, metadata, model))
            except MobilensError:
                continue  # another model's
    return max(fitting, key=lambda weights: weights.top1 or 0.0, default=None)
