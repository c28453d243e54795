"""A checkpoint becomes a file with sixteen bits where there were 32, and says what that cost."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mobilens.errors import ExportError
from mobilens.exporting.draft import require_name, say_skipped
from mobilens.exporting.exported import Exported
from mobilens.exporting.original import Original
from mobilens.exporting.targets import target_named
from mobilens.exporting.workbench import Workbench
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import Precision

SHORT: dict[Precision, str] = {"float16": "FP16", "bfloat16": "BF16"}


def export_half(
    original: Original,
    path: Path,
    precision: Precision,
    *,
    target: str,
    max_drop: float,
    threads: int | None = None,
) -> Exported:
    """Write a file that stores or computes in 16 bits and loses no more than is allowed.

    Args:
        original: What to export, and what it is measured on.
        path: Where the file goes; it appears there whole and proven, or not at all.
        precision: ``"float16"`` or ``"bfloat16"``.
        target: Kind of file, one of ``targets.TARGETS``.
        max_drop: Largest drop of the main score that is allowed, 0 to 1.
        threads: Threads for one answer, when it is timed and where nothing else is said when it is
            opened; one, and none, by default.

    Raises:
        MissingExtraError: What the target needs is not installed.
        ExportError: It loses more; nothing is written.
        WeightsError: The checkpoint's tensors are not those of its model.
        UsageError: ``path`` is a folder, or bears another kind of file's suffix; or the target has
            no such precision.
    """
    target_named(target, precision)
    require_name(path, FORMATS[target].suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(original, target, Path(folder), threads)
        file = bench.write("half", bench.in_float, precision)
        measured = bench.measure(file, f"measuring {SHORT[precision]}")
        lost = measured.drop.value
        if lost > max_drop:
            raise ExportError(
                f"{SHORT[precision]} loses {100 * lost:.1f} points; nothing was written",
                expected=f"at most {100 * max_drop:g}",
                remedy="a larger --max-drop, or the file in float32",
            )
        exported = bench.deliver(measured, path, precision, "rounded", max_drop)
    say_skipped(original.evaluation, original.observer)
    return exported
