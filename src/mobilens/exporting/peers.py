"""The nets of other libraries, exported as their documentation says: what ours is measured against.

Their weights stay random, which costs the same time; their accuracy is shown nowhere.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mobilens.errors import ExportError, MissingExtraError, UnknownNameError, UsageError
from mobilens.observer import SILENT, Observer
from mobilens.quiet import quiet
from mobilens.runtime.benchmark import Rival
from mobilens.runtime.bundle import read_bundle
from mobilens.runtime.foreign import is_foreign
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.measurement import LeftOut
from mobilens.spec.model import ModelSpec
from mobilens.spec.zoo import build_spec

# Names in timm, before the width.
_TIMM = {
    "mobilenet_v1": "mobilenetv1",
    "mobilenet_v2": "mobilenetv2",
    "mobilenet_v3_large": "mobilenetv3_large",
    "mobilenet_v3_small": "mobilenetv3_small",
    "mobilenet_v3_large_minimalistic": "tf_mobilenetv3_large_minimal",
    "mobilenet_v3_small_minimalistic": "tf_mobilenetv3_small_minimal",
    "mobilenet_v4_conv_small": "mobilenetv4_conv_small",
    "mobilenet_v4_conv_medium": "mobilenetv4_conv_medium",
    "mobilenet_v4_conv_large": "mobilenetv4_conv_large",
    "mobilenet_v4_hybrid_medium": "mobilenetv4_hybrid_medium",
    "mobilenet_v4_hybrid_large": "mobilenetv4_hybrid_large",
}
_TORCHVISION = ("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small")


@dataclass(frozen=True)
class Peer:
    """A library's net of the same architecture, width and classes.

    Attributes:
        library: Name of the library.
        name: The net's name there.
        net: The net, with random weights.
        size: (height, width) of its input, pixels.
    """

    library: str
    name: str
    net: nn.Module
    size: tuple[int, int]


def require_library(name: str) -> None:
    """Refuse a library that is not known or not installed.

    Raises:
        UnknownNameError: No such library.
        MissingExtraError: It is not installed, or what exports its nets.
    """
    if name not in LIBRARIES:
        raise UnknownNameError.among("library to compare with", name, LIBRARIES)
    for module in (name, "onnxscript"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError.needed_for(f"a comparison with {name}", "peers", module)


def rivals_of(
    files: Sequence[str], libraries: Sequence[str], folder: Path, observer: Observer = SILENT
) -> tuple[list[Rival], list[LeftOut]]:
    """Write each library's net for every model and engine among files.

    Args:
        files: Model files; those without a manifest have no rivals.
        libraries: Names of libraries.
        folder: Where to; it exists.
        observer: Is told of progress.

    Returns:
        The rivals, and what none could be made for.

    Raises:
        BundleError: A file is no model file.
        UnknownNameError: No such library.
        MissingExtraError: A library is not installed.
    """
    for library in libraries:
        require_library(library)
    groups: dict[tuple[ModelSpec, str], list[str]] = {}
    for file in files:
        if not is_foreign(file):
            bundle = read_bundle(file)
            key = bundle.manifest.model_spec(), FORMATS[bundle.format].engine
            groups.setdefault(key, []).append(file)
    wanted = [(*key, library) for key in groups for library in libraries]
    rivals, left_out = [], []
    label = "plain exports of " + " and ".join(libraries)
    for index, (spec, engine, library) in enumerate(observer.progress(wanted, len(wanted), label)):
        place = folder / str(index)
        place.mkdir()
        try:
            peer = peer_of(spec, library)
            path = export_plain(peer, engine, place)
        except ExportError as error:
            left_out.append(LeftOut(f"{library}'s {spec.name} on {engine}", error.given))
            continue
        name = f"{library} {peer.name}{path.suffix}"
        rivals.append(Rival(str(path), engine, library, name, tuple(groups[spec, engine])))
    return rivals, list(dict.fromkeys(left_out))


def peer_of(spec: ModelSpec, library: str) -> Peer:
    """Build a library's net of the same architecture.

    Args:
        spec: Ours.
        library: ``"torchvision"`` or ``"timm"``.

    Raises:
        ExportError: The library has none; the message says why.
    """
    try:
        plain = build_spec(
            spec.name,
            width_mult=spec.width_mult,
            resolution=spec.resolution,
            width_rule=spec.width_rule,
            num_classes=spec.num_classes,
        ).cost()
        as_named = (plain.params, plain.macs) == (spec.cost().params, spec.cost().macs)
    except UsageError:
        as_named = False
    if not as_named or spec.in_channels != 3:
        raise ExportError(f"{spec.name} here is a net of its own, not that of the paper")
    name, net = LIBRARIES[library](spec)
    params = sum(each.numel() for each in net.parameters())
    if params != spec.cost().params:
        raise ExportError(
            f"{name} of {library} is another net: {params:,} parameters, not {spec.cost().params:,}"
        )
    return Peer(library, name, net.eval(), spec.resolution)


def _timm_net(spec: ModelSpec) -> tuple[str, nn.Module]:
    import timm

    percent = f"_{round(100 * spec.width_mult):03}"
    name = _TIMM.get(spec.name, spec.name) + percent
    if spec.name.startswith("mobilenet_v4"):
        name = name.removesuffix("_100")
    if not timm.list_models(name):
        raise ExportError(f"timm has no {spec.name} of width {spec.width_mult:g} ({name})")
    return name, timm.create_model(name, num_classes=spec.num_classes)


def _torchvision_net(spec: ModelSpec) -> tuple[str, nn.Module]:
    import torchvision

    if spec.name not in _TORCHVISION:
        raise ExportError(f"torchvision has no {spec.name}")
    build = getattr(torchvision.models, spec.name)
    net: nn.Module = build(width_mult=spec.width_mult, num_classes=spec.num_classes)
    return spec.name, net


LIBRARIES: Mapping[str, Callable[[ModelSpec], tuple[str, nn.Module]]] = {
    "torchvision": _torchvision_net,
    "timm": _timm_net,
}


def export_plain(peer: Peer, engine: str, folder: Path) -> Path:
    """Write a peer for an engine, as the documentation of the library and the engine says.

    Args:
        peer: What to write.
        engine: Name of the engine that shall run it.
        folder: Where to; it exists.

    Returns:
        The file.

    Raises:
        ExportError: There is no plain way to this engine, or it failed; the message says why.
    """
    if engine not in EXPORTS:
        raise ExportError(f"no plain export to {engine} is known here")
    example = torch.rand(1, 3, *peer.size)
    path = folder / f"{peer.library}_{peer.name}{EXPORTS[engine].suffix}"
    try:
        with quiet(), contextlib.redirect_stdout(io.StringIO()):
            EXPORTS[engine].write(peer.net, example, path)
    except ModuleNotFoundError as error:
        raise ExportError(
            f"its plain export to {engine} needs {error.name}: {EXPORTS[engine].install}"
        ) from None
    except Exception as error:  # each exporter has its own kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ExportError(f"its plain export to {engine} failed: {reason}") from error
    return path


def _write_onnx(net: nn.Module, example: Tensor, path: Path) -> None:
    torch.onnx.export(net, (example,), path, dynamo=True, external_data=False, verbose=False)


def _write_openvino(net: nn.Module, example: Tensor, path: Path) -> None:
    import openvino

    onnx = path.with_suffix(".onnx")
    _write_onnx(net, example, onnx)
    openvino.save_model(openvino.convert_model(onnx), path)


def _write_litert(net: nn.Module, example: Tensor, path: Path) -> None:
    litert_torch = importlib.import_module("litert_torch")
    litert_torch.convert(net, (example,)).export(str(path))


def _write_executorch(net: nn.Module, example: Tensor, path: Path) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = to_edge_transform_and_lower(
        torch.export.export(net, (example,)), partitioner=[XnnpackPartitioner()]
    )
    path.write_bytes(program.to_executorch().buffer)


def _write_ncnn(net: nn.Module, example: Tensor, path: Path) -> None:
    pnnx = importlib.import_module("pnnx")
    files = {"ncnnparam": str(path), "ncnnbin": str(path.with_suffix(".bin"))}
    pnnx.export(net, str(path.with_suffix(".pt")), (example,), **files)
    # It leaves out what the net reads; ncnn has a place for it, and what measures asks for it.
    _, channels, height, width = example.shape
    layers = path.read_text(encoding="utf-8").splitlines()
    layers[2] += f" 0={width} 1={height} 2={channels}"
    path.write_text("\n".join(layers) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class _Way:
    """A plain export.

    Attributes:
        suffix: What the file's name ends in.
        write: Writes it.
        install: What to do where a module of it is missing.
    """

    suffix: str
    write: Callable[[nn.Module, Tensor, Path], None]
    install: str


EXPORTS: Mapping[str, _Way] = {
    "onnxruntime": _Way(".onnx", _write_onnx, "pip install 'mobilens[peers]'"),
    "openvino": _Way(".xml", _write_openvino, "pip install 'mobilens[peers,openvino]'"),
    # Its pins exclude versions that mobilens is tested with.
    "litert": _Way(
        ".tflite", _write_litert, "pip install litert-torch, in an environment of its own"
    ),
    "executorch": _Way(".pte", _write_executorch, "pip install 'mobilens[executorch]'"),
    "ncnn": _Way(".ncnn.param", _write_ncnn, "pip install 'mobilens[peers,ncnn]'"),
}
