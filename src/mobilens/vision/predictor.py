"""The Predictor protocol: prepared pixels in, raw outputs out.

A checkpoint under torch and a bundle under any engine look the same from here, so one evaluation
and one way from files to answers serve all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mobilens.spec.task import TaskSpec

Pixels = NDArray[np.uint8]
RawOutputs = Mapping[str, NDArray[np.float32]]


class Predictor(Protocol):
    """Anything that answers.

    Attributes:
        task: What it answers, and how its pixels are prepared.
        data_fingerprint: Of the photos that it learnt from and was chosen on, where it is known.
    """

    task: TaskSpec
    data_fingerprint: str | None

    def forward(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch.

        Args:
            pixels: (N, height, width, 3), RGB, uint8, of the size in ``task.preprocessing``, as
                ``vision.image.load_prepared`` gives them.

        Returns:
            Outputs by name, each (N, ...).
        """
        ...
