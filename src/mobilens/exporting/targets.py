"""The kinds of model file that a graph can become, and what each needs to be installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast, get_args

from mobilens.compress.placement import Placement
from mobilens.errors import (
    ExportError,
    MissingExtraError,
    MobilensError,
    PrecisionError,
    UnknownNameError,
)
from mobilens.graph.ops import Graph
from mobilens.graph.quantised import Quantisation
from mobilens.quiet import quiet
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import Manifest, Precision


class Build(Protocol):
    """What a target's module offers as ``build``."""

    def __call__(
        self,
        graph: Graph,
        manifest: Manifest,
        path: Path,
        quantisation: Quantisation | None = None,
    ) -> None:
        """Write a graph into an empty folder.

        Args:
            graph: What to write.
            manifest: What will be put in; its class names and length may be of use.
            path: Name of the file; others that belong to it go beside it.
            quantisation: What of the graph is 8-bit; nothing by default.
        """
        ...


@dataclass(frozen=True)
class Target:
    """One kind of model file.

    Attributes:
        module: Where its ``build`` is.
        needs: Modules that must be installed, each with the package that it comes with.
        extra: Name of the extra that installs them.
        placements: Where it may have integers; the one that proves fastest is taken.
        companions: Suffixes of further files that belong to one.
        finishes: Whether its graphs can do what is left to do with answers, such as choosing boxes.
        unproven: Why its files are not run here and stay unproven; empty where they are.
        precisions: What it may store its filters and compute in.
    """

    module: str
    needs: Mapping[str, str]
    extra: str
    placements: tuple[Placement, ...] = (Placement("every value"),)
    companions: tuple[str, ...] = ()
    precisions: tuple[Precision, ...] = ("float32", "float16", "int8")
    finishes: bool = False
    unproven: str = ""

    def tools(self) -> dict[str, str]:
        """Give the version of each package that takes part."""
        return {name: importlib.metadata.version(name) for name in self.needs.values()}


TARGETS = {
    "onnx": Target(
        "mobilens.exporting.onnx",
        {"onnx": "onnx", "onnxruntime": "onnxruntime"},
        "train",
        (
            Placement("every value", pairs=True),
            # Its int8 kernels are slow where there are three channels alone.
            Placement("every value but the image", stem=False, pairs=True),
        ),
        finishes=True,
    ),
    "openvino": Target(
        "mobilens.exporting.openvino",
        {"onnx": "onnx", "openvino": "openvino"},
        "openvino",
        (
            Placement("inputs of filters", stored=False, pairs=True),
            Placement("every value", pairs=True),
        ),
        FORMATS["openvino"].companions,
        ("float32", "float16", "bfloat16", "int8"),
        finishes=True,
    ),
    "litert": Target(
        "mobilens.exporting.litert",
        {"ai_edge_litert": "ai-edge-litert", "flatbuffers": "flatbuffers"},
        "litert",
    ),
    "executorch": Target(
        "mobilens.exporting.executorch",
        {"executorch": "executorch"},
        "executorch",
        # XNNPACK takes filters in float16 where it computes so, which takes other processors.
        precisions=("float32", "int8"),
    ),
    "coreml": Target(
        "mobilens.exporting.coreml",
        {"coremltools": "coremltools"},
        "coreml",
        precisions=("float32", "float16"),
        unproven="Core ML is a part of Apple's systems: no answer of this file was compared with "
        "the checkpoint's",
    ),
    "ncnn": Target(
        "mobilens.exporting.ncnn",
        {"ncnn": "ncnn"},
        "ncnn",
        (
            # Its int8 kernels for single channels are slower than its float ones on x86.
            Placement(
                "inputs of filters but depthwise ones",
                stored=False,
                depthwise=False,
                symmetric=True,
            ),
            Placement("inputs of filters", stored=False, symmetric=True),
        ),
        companions=FORMATS["ncnn"].companions,
        precisions=("float32", "float16", "bfloat16", "int8"),
    ),
}


def target_named(name: str, precision: Precision = "float32") -> Target:
    """Look a target up.

    Args:
        name: Its name.
        precision: What its file shall be in.

    Raises:
        UnknownNameError: No target has this name.
        PrecisionError: It has no such precision.
        MissingExtraError: What it needs is not installed.
    """
    if name not in TARGETS:
        raise UnknownNameError.among("target", name, TARGETS)
    target = TARGETS[name]
    if precision not in target.precisions:
        raise _not_offered(name, precision)
    for module in target.needs:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError.needed_for(f"a file for {name}", target.extra, module)
    return target


def _not_offered(name: str, precision: Precision) -> MobilensError:
    target = TARGETS[name]
    others = [other for other, kind in TARGETS.items() if precision in kind.precisions]
    if not others:
        return UnknownNameError.among("precision", precision, get_args(Precision))
    unknown = ", which is not run here: what it would lose cannot be measured"
    return PrecisionError(
        f"a file for {name} in {precision}{unknown if target.unproven else ''}",
        expected=" or ".join(target.precisions),
        remedy=f"--to {' or '.join(others)}",
    )


def build_of(target: Target) -> Build:
    """Load what writes a target's files.

    Raises:
        ExportError: It is installed and does not start here.
    """
    try:
        with quiet():
            return cast(Build, importlib.import_module(target.module).build)
    except (ImportError, OSError) as error:  # made for another Python, processor or torch
        packages = ", ".join(f"{name} {version}" for name, version in target.tools().items())
        raise ExportError(
            f"what writes these files does not start here ({packages}): {error}",
            remedy=f"pip install --force-reinstall 'mobilens[{target.extra}]'",
        ) from error
