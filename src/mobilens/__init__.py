"""MobileNets, from your photos to your phone.

    import mobilens

    run = mobilens.train("photos")             # best.safetensors, model.onnx, report.html
    model = mobilens.load(run.file)
    print(model.predict("photo.jpg").label)

Every name below is imported when it is first used, so ``import mobilens`` alone costs nothing, and
only ``train``, ``resume``, ``quantize`` and ``export`` need the [train] extra.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mobilens import errors
    from mobilens.api import (
        benchmark,
        check,
        evaluate,
        export,
        groups,
        index,
        load,
        quantize,
        resume,
        search,
        train,
        verify,
    )
    from mobilens.model import Model
    from mobilens.observer import Observer, TerminalObserver
    from mobilens.spec.model import ModelSpec
    from mobilens.spec.zoo import build_spec, list_models
    from mobilens.vision.image import Region

    __version__: str

__all__ = [
    "Model",
    "ModelSpec",
    "Observer",
    "Region",
    "TerminalObserver",
    "__version__",
    "benchmark",
    "build_spec",
    "check",
    "errors",
    "evaluate",
    "export",
    "groups",
    "index",
    "list_models",
    "load",
    "quantize",
    "resume",
    "search",
    "train",
    "verify",
]

_HOMES = {
    "Model": "mobilens.model",
    "ModelSpec": "mobilens.spec.model",
    "Observer": "mobilens.observer",
    "Region": "mobilens.vision.image",
    "TerminalObserver": "mobilens.observer",
    "benchmark": "mobilens.api",
    "build_spec": "mobilens.spec.zoo",
    "check": "mobilens.api",
    "evaluate": "mobilens.api",
    "export": "mobilens.api",
    "groups": "mobilens.api",
    "index": "mobilens.api",
    "list_models": "mobilens.spec.zoo",
    "load": "mobilens.api",
    "quantize": "mobilens.api",
    "resume": "mobilens.api",
    "search": "mobilens.api",
    "train": "mobilens.api",
    "verify": "mobilens.api",
}

# A type checker reads the imports above; this would tell it that every name exists.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name from its home when it is first used."""
        if name == "__version__":
            value = importlib.import_module("importlib.metadata").version("mobilens")
        elif name == "errors":
            value = importlib.import_module("mobilens.errors")
        elif name in _HOMES:
            value = getattr(importlib.import_module(_HOMES[name]), name)
        else:
            raise AttributeError(f"module 'mobilens' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
