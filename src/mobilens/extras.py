"""What is needed beyond the plain install."""

from __future__ import annotations

import importlib.util

from mobilens.errors import MissingExtraError

TRAIN_MODULES = ("torch", "safetensors", "onnx", "jinja2")


def require_train_extra(what: str) -> None:
    """Refuse in one sentence where the [train] extra is not installed.

    Args:
        what: What was asked for, such as ``"training"``.

    Raises:
        MissingExtraError: A module of the extra is missing.
    """
    for module in TRAIN_MODULES:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError.needed_for(what, "train", module)
