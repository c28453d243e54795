"""What is asked of an export, and who carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mobilens.exporting.bundle import export_float
from mobilens.exporting.exported import Exported
from mobilens.exporting.half import export_half
from mobilens.exporting.int8 import Bounds, export_int8
from mobilens.exporting.original import Original
from mobilens.exporting.targets import target_named
from mobilens.runtime.manifest import Precision
from mobilens.vision.image import Region

# Of computing in fewer bits; float16 stores in them alone.
USUAL_DROP = 0.01


@dataclass(frozen=True, eq=False)
class Order:
    """A checkpoint and what its files shall be.

    Attributes:
        original: The checkpoint, and what it is measured on.
        max_drop: Largest drop of the main score that fewer bits may cost, 0 to 1; None allows what
            is usual for each: ``USUAL_DROP`` or, in float16, no other answer to any image.
        calibration: Images that ranges of 8 bits are measured on.
        threads: Threads for one answer; None leaves them to who opens the file.
    """

    original: Original
    max_drop: float | None
    calibration: Sequence[Path | Region] = ()
    threads: int | None = None

    def carry_out(self, path: Path, target: str, precision: Precision) -> Exported:
        """Write one file; errors as of what writes each precision.

        Args:
            path: Where it goes.
            target: Its kind, one of ``targets.TARGETS``.
            precision: What it stores and computes in.
        """
        kind = target_named(target, precision)
        if precision == "float32" or kind.unproven:
            return export_float(
                self.original, path, target=target, precision=precision, threads=self.threads
            )
        if precision == "int8":
            bounds = Bounds(self.calibration, self._drop)
            return export_int8(self.original, path, bounds, target=target, threads=self.threads)
        return export_half(
            self.original,
            path,
            precision,
            target=target,
            max_drop=self.max_drop if precision == "float16" else self._drop,
            threads=self.threads,
        )

    @property
    def _drop(self) -> float:
        return USUAL_DROP if self.max_drop is None else self.max_drop
