"""The kinds of model file that a graph can become, and what each needs to be installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from mobilens.errors import MissingExtraError, UnknownNameError
from mobilens.graph.ops import Graph
from mobilens.quiet import quiet
from mobilens.runtime.manifest import Manifest


class Build(Protocol):
    """What a target's module offers as ``build``."""

    def __call__(self, graph: Graph, manifest: Manifest, path: Path) -> None:
        """Write a graph into an empty folder.

        Args:
            graph: What to write, as float32.
            manifest: What will be put in; its class names and length may be of use.
            path: Name of the file; others that belong to it go beside it.
        """
        ...


@dataclass(frozen=True)
class Target:
    """One kind of model file.

    Attributes:
        module: Where its ``build`` is.
        needs: Modules that must be installed, each with the package that it comes with.
        extra: Name of the extra that installs them.
        companions: Suffixes of further files that belong to one.
    """

    module: str
    needs: Mapping[str, str]
    extra: str
    companions: tuple[str, ...] = ()

    def tools(self) -> dict[str, str]:
        """Give the version of each package that takes part."""
        return {name: importlib.metadata.version(name) for name in self.needs.values()}


TARGETS = {
    "onnx": Target(
        "mobilens.exporting.onnx", {"onnx": "onnx", "onnxruntime": "onnxruntime"}, "train"
    ),
    "openvino": Target(
        "mobilens.exporting.openvino",
        {"onnx": "onnx", "openvino": "openvino"},
        "openvino",
        (".bin",),
    ),
    "litert": Target(
        "mobilens.exporting.litert",
        {"ai_edge_litert": "ai-edge-litert", "flatbuffers": "flatbuffers"},
        "litert",
    ),
    "executorch": Target(
        "mobilens.exporting.executorch", {"executorch": "executorch"}, "executorch"
    ),
}


def target_named(name: str) -> Target:
    """Look a target up.

    Raises:
        UnknownNameError: No target has this name.
        MissingExtraError: What it needs is not installed.
    """
    if name not in TARGETS:
        raise UnknownNameError.among("target", name, TARGETS)
    target = TARGETS[name]
    for module in target.needs:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError.needed_for(f"a file for {name}", target.extra, module)
    return target


def build_of(target: Target) -> Build:
    """Load what writes a target's files."""
    with quiet():
        return cast(Build, importlib.import_module(target.module).build)
