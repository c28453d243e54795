"""Filters in 16 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import ExportError
from mobilens.graph.ops import Floats


def float16(values: Floats, name: str) -> NDArray[np.float16]:
    """Round to float16.

    Args:
        values: Filters.
        name: What they are called, for the message.

    Raises:
        ExportError: One is too large.
    """
    largest = float(np.finfo(np.float16).max)
    if values.size and np.abs(values).max() > largest:
        raise ExportError(
            f"{name} reaches {np.abs(values).max():g}",
            expected=f"at most {largest:g} in float16",
            remedy="the file in float32",
        )
    return values.astype(np.float16)
