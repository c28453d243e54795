"""The Predictor protocol: prepared pixels in, raw outputs out.

A checkpoint under torch and a bundle under any engine look the same from here, so one evaluation
and one way from files to answers serve all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mobilens.spec.task import TaskSpec

Pixels = NDArray[np.uint8]
RawOutputs = Mapping[str, NDArray[np.float32]]


# What is held out of data that is not divided, unless somebody says otherwise.
VAL_FRACTION = 0.2


@dataclass(frozen=True)
class Learnt:
    """What a model learnt from and was chosen on.

    Attributes:
        fingerprint: Of these photos; None where nothing is known of them.
        val_fraction: Share that it was chosen on and did not learn from, where the data was not
            divided.
    """

    fingerprint: str | None = None
    val_fraction: float = VAL_FRACTION

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Learnt:
        """Read what a checkpoint or a model file says; nonsense counts as nothing."""
        fraction = {**(provenance.get("settings") or {}), **provenance}.get("val_fraction")
        if not (isinstance(fraction, float) and 0 < fraction < 1):
            fraction = VAL_FRACTION
        return cls(provenance.get("data_fingerprint"), fraction)


class Predictor(Protocol):
    """Anything that answers.

    Attributes:
        task: What it answers, and how its pixels are prepared.
        learnt: What it learnt from, as far as it is known.
    """

    task: TaskSpec
    learnt: Learnt

    def forward(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch.

        Args:
            pixels: (N, height, width, 3), RGB, uint8, of the size in ``task.preprocessing``, as
                ``vision.image.load_prepared`` gives them.

        Returns:
            Outputs by name, each (N, ...).
        """
        ...
