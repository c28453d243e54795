"""Files of weights: tensors under the names that their library gave them."""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mobilens.errors import WeightsError
from mobilens.nn.checkpoint import load_tensors
from mobilens.nn.weights.hdf5 import read_h5
from mobilens.nn.weights.layouts.keras import layer_name

# Where training scripts put a state dict inside their checkpoint; the averaged weights first.
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "net")


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file of weights: its tensors, and its metadata where the format has some.

    Args:
        path: ``.safetensors``; ``.pth``, ``.pt`` or ``.bin`` with a state dict; ``.npz`` (or
            ``.safetensors``) of Keras weights as ``{weight.path: array}``; Keras's ``.h5``,
            ``.weights.h5`` or ``.keras``.

    Raises:
        WeightsError: No such file, another kind of file, or one that holds more than tensors.
        MissingExtraError: A Keras file, and h5py is not installed.
    """
    if path.is_dir():
        raise WeightsError(
            f"{path} is a folder",
            expected="a file of weights",
            remedy=str(path / "best.safetensors")
            if (path / "best.safetensors").is_file()
            else "name one of its files; MOBILENS_WEIGHTS_DIR may name a folder to choose from",
        )
    if not path.is_file():
        raise WeightsError(
            f"there is no file {path}",
            expected="weights as .safetensors, .pth, .npz, .h5 or .keras",
            remedy="--weights auto takes the best that can be had",
        )
    if path.suffix == ".safetensors":
        tensors, metadata = load_tensors(path)
        named_by_keras = any("/" in key for key in tensors)
        return (keras_tensors(tensors) if named_by_keras else tensors), metadata
    if path.suffix not in READERS:
        raise WeightsError(
            f"{path} is no file of weights that is known",
            expected="a name ending in " + ", ".join([".safetensors", *READERS]),
        )
    return READERS[path.suffix](path), {}


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value: Any = torch.load(path, map_location="cpu", weights_only=True)
    # Bytes that are no pickle end in an exception of any type; torch's own words advise to
    # execute what is in the file.
    except Exception:
        raise WeightsError(
            f"{path} is no plain file of tensors, or it is damaged",
            expected="a state dict; nothing in a file is executed",
            remedy="where it is trusted: torch.save(model.state_dict(), FILE)",
        ) from None
    for key in WRAPPERS:
        if isinstance(value, Mapping) and isinstance(value.get(key), Mapping):
            value = value[key]
            break
    if not isinstance(value, Mapping):
        raise WeightsError(f"{path} holds a {type(value).__name__}", expected="a state dict")
    tensors = {str(key): item for key, item in value.items() if isinstance(item, Tensor)}
    # Data-parallel, compiling and averaging wrappers leave these.
    tensors.pop("n_averaged", None)
    return {
        key.removeprefix("module.").removeprefix("_orig_mod."): tensor
        for key, tensor in tensors.items()
    }


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        # A single array is no archive and has no `files`.
        with np.load(path, allow_pickle=False) as arrays:
            return keras_tensors({name: arrays[name] for name in arrays.files})
    except (zipfile.BadZipFile, AttributeError, TypeError, ValueError, OSError, EOFError) as error:
        raise WeightsError(f"{path} is no readable .npz file: {error}") from None


def _read_h5(path: Path) -> dict[str, Tensor]:
    return keras_tensors(read_h5(path, str(path)))


def _read_keras(path: Path) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            weights = io.BytesIO(archive.read("model.weights.h5"))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} is no readable .keras file: {error}") from None
    return keras_tensors(read_h5(weights, str(path)))


def keras_tensors(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn Keras weights, ``{weight.path: array}``, into tensors under the names of the key map.

    Names of Keras 2 (slashes, capitals, ``depthwise_kernel``, ``:0``) become those of Keras 3.
    """
    tensors = {}
    for path, array in arrays.items():
        layer, _, variable = path.removesuffix(":0").rpartition("/")
        variable = variable.removeprefix("depthwise_")
        values = np.array(array)
        if values.dtype.kind not in "fiub":
            raise WeightsError(f"{path!r} is {values.dtype}", expected="numbers")
        tensors[f"{layer_name(layer)}/{variable}"] = torch.from_numpy(values)
    return tensors


READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".bin": _read_torch,
    ".npz": _read_npz,
    ".h5": _read_h5,
    ".keras": _read_keras,
}
