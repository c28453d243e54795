"""A checkpoint becomes a file with sixteen bits where there were 32, and says what that cost."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mobilens.errors import ExportError
from mobilens.exporting.draft import require_name, say_skipped
from mobilens.exporting.exported import Exported, differing
from mobilens.exporting.original import Original
from mobilens.exporting.targets import target_named
from mobilens.exporting.workbench import Measured, Workbench
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import Precision

SHORT: dict[Precision, str] = {"float16": "FP16", "bfloat16": "BF16"}


def export_half(
    original: Original,
    path: Path,
    precision: Precision,
    *,
    target: str,
    max_drop: float | None,
    threads: int | None = None,
) -> Exported:
    """Write a file that stores or computes in 16 bits and loses no more than is allowed.

    Args:
        original: What to export, and what it is measured on.
        path: Where the file goes; it appears there whole and proven, or not at all.
        precision: ``"float16"`` or ``"bfloat16"``.
        target: Kind of file, one of ``targets.TARGETS``.
        max_drop: Largest drop of the main score that is allowed, 0 to 1; None allows no other
            answer to any image.
        threads: Threads for one answer, when it is timed and where nothing else is said when it is
            opened; one, and none, by default.

    Raises:
        MissingExtraError: What the target needs is not installed.
        ExportError: It loses more, or answers otherwise; nothing is written.
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
        _require_within(measured, original, SHORT[precision], max_drop)
        exported = bench.deliver(measured, path, precision, "rounded", max_drop or 0.0)
    say_skipped(original.evaluation, original.observer)
    return exported


def _require_within(
    measured: Measured, original: Original, name: str, max_drop: float | None
) -> None:
    """Refuse what loses more than is allowed, or where nothing is said answers otherwise."""
    lost = measured.drop.value
    if max_drop is not None:
        if lost > max_drop:
            raise ExportError(
                f"{name} loses {100 * lost:.1f} points; nothing was written",
                expected=f"at most {100 * max_drop:g}",
                remedy="a larger --max-drop, or the file in float32",
            )
        return
    before = original.evaluation
    changed = differing(original.checkpoint.task, before, measured.evaluation)
    if changed:
        raise ExportError(
            f"{name} answers {len(changed)} of {before.num_images:,} images otherwise, the first "
            f"is {changed[0]}, and loses {100 * lost:.1f} points; nothing was written",
            expected="the same answer on every image, where no loss is allowed",
            remedy="--max-drop 1.0 allows a loss; or the file in float32",
        )
