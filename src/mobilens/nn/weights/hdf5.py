"""Keras's HDF5 files: whole models and weights, of Keras 2 and 3."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import MissingExtraError, WeightsError

if TYPE_CHECKING:
    import h5py

# Keras 3 numbers the variables of a layer in the order in which they were made.
_VARIABLES = ("kernel", "bias")
_NORM_VARIABLES = ("gamma", "beta", "moving_mean", "moving_variance")


def read_h5(source: Path | io.BytesIO, where: str) -> dict[str, NDArray[Any]]:
    """Read every weight as ``{"layer/variable": array}``.

    Args:
        source: The file, or its bytes.
        where: Its name, for messages.

    Raises:
        MissingExtraError: h5py is not installed.
        WeightsError: No HDF5 file, or none that names its layers.
    """
    try:
        import h5py
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"reading {where} needs h5py, which is not installed", remedy="pip install h5py"
        ) from None
    try:
        with h5py.File(source, "r") as file:
            if "layers" in file:
                return _read_numbered(file["layers"], where)
            root = file.get("model_weights", file)
            if "layer_names" in root.attrs:
                return _read_named(root)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise WeightsError(f"{where} is no readable HDF5 file: {error}") from None
    raise WeightsError(f"{where} holds no Keras weights", expected="a file that Keras saved")


def _read_named(root: h5py.Group) -> dict[str, NDArray[Any]]:
    """Keras 2, and whole models of Keras 3 as ``.h5``."""
    arrays = {}
    for layer in map(_text, root.attrs["layer_names"]):
        group = root[layer]
        for weight in map(_text, group.attrs["weight_names"]):
            variable = weight.rpartition("/")[2].removesuffix(":0")
            arrays[f"{layer}/{variable}"] = np.asarray(group[weight])
    return arrays


def _read_numbered(layers: h5py.Group, where: str) -> dict[str, NDArray[Any]]:
    """``.weights.h5`` of Keras 3: groups by class and number, names beside them."""
    arrays = {}
    for label, layer in layers.items():
        if "vars" not in layer or not len(layer["vars"]):
            continue
        group = layer["vars"]
        if "name" not in group.attrs:
            raise WeightsError(
                f"{where} does not name its layers; an early Keras 3 wrote it",
                remedy="load it there and save the model as .keras or .h5 with a newer one",
            )
        is_norm = label.startswith("batch_normalization")
        for variable, key in zip(
            _NORM_VARIABLES if is_norm else _VARIABLES, sorted(group, key=int), strict=False
        ):
            arrays[f"{_text(group.attrs['name'])}/{variable}"] = np.asarray(group[key])
    return arrays


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
