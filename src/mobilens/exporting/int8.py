"""A checkpoint becomes a file that computes in 8 bits, and says what that cost."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from mobilens.compress import calibration
from mobilens.compress.placement import Placement
from mobilens.compress.quantiser import Quantised, Quantiser, Recipe
from mobilens.errors import ExportError
from mobilens.exporting.draft import require_name, say_skipped
from mobilens.exporting.exported import Exported
from mobilens.exporting.ladder import MANY, Measure, Rung, climb
from mobilens.exporting.original import Original
from mobilens.exporting.targets import target_named
from mobilens.exporting.workbench import Workbench
from mobilens.graph.ops import Graph
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import Integers
from mobilens.spec import codec
from mobilens.vision.image import Region
from mobilens.vision.predictor import Pixels

# Fewer images are learnt by heart.
LEAST_TO_TRAIN = 200


@dataclass(frozen=True)
class Bounds:
    """What a file of 8 bits is made with and held to.

    Attributes:
        calibration: Images that ranges are measured on, and that are trained with where nothing
            else is enough; chosen with ``calibration.choose``.
        max_drop: Largest drop of the main score that is allowed, 0 to 1.
    """

    calibration: Sequence[Path | Region]
    max_drop: float

    @property
    def enough_to_train(self) -> bool:
        """Whether there are enough images to train with integers."""
        return len(self.calibration) >= LEAST_TO_TRAIN


def export_int8(
    original: Original, path: Path, bounds: Bounds, *, target: str, threads: int | None = None
) -> Exported:
    """Write a file that computes in 8 bits and loses no more than is allowed.

    Args:
        original: What to export, and what it is measured on; its observer is told of every rung.
        path: Where the file goes; it appears there whole and proven, or not at all.
        bounds: What it is made with, and held to.
        target: Kind of file, one of ``targets.TARGETS``.
        threads: Threads for one answer, when it is timed and where nothing else is said when it is
            opened; one, and none, by default.

    Raises:
        MissingExtraError: What the target needs is not installed.
        ExportError: It loses more, whatever was tried; nothing is written.
        DataError: No image for calibration can be read.
        WeightsError: The checkpoint's tensors are not those of its model.
        UsageError: ``path`` is a folder, or bears another kind of file's suffix; or the target has
            no integers.
    """
    kind, suffix = target_named(target, "int8"), FORMATS[target].suffix
    require_name(path, suffix)
    preprocessing = original.checkpoint.task.preprocessing
    pixels = calibration.load(bounds.calibration[:MANY], preprocessing)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(original, target, Path(folder), threads)
        placement = _fastest(bench, original.graph, kind.placements, pixels)
        quantiser = Quantiser(
            original.graph,
            placement,
            pixels,
            cache(lambda: calibration.load(bounds.calibration, preprocessing))
            if bounds.enough_to_train
            else None,
            original.observer,
        )
        rungs = []
        for rung in climb(quantiser, _measuring(bench, quantiser), bounds.max_drop):
            original.observer.say(f"{target}: {_row(rung)}")
            rungs.append(rung)
        last = rungs[-1]
        if last.measured.drop.value > bounds.max_drop:
            raise _refusal(rungs, bounds.max_drop)
        exported = bench.deliver(
            last.measured,
            path,
            "int8",
            last.name,
            bounds.max_drop,
            _integers(last, placement, pixels),
        )
    say_skipped(original.evaluation, original.observer)
    return exported


def _fastest(
    bench: Workbench, graph: Graph, placements: Sequence[Placement], pixels: Pixels
) -> Placement:
    """Try each placement that the runtime may like, and give the one that is fastest."""
    if len(placements) == 1:
        return placements[0]
    files = []
    for index, placement in enumerate(placements):
        quantised = Quantiser(graph, placement, pixels[:8]).follow(Recipe())
        files.append(_write(bench, f"placement{index}", quantised))
    times = bench.times(files)
    return placements[times.index(min(times))]


def _measuring(bench: Workbench, quantiser: Quantiser) -> Measure:
    """Give what measures a rung."""

    def measure(name: str, recipe: Recipe) -> Rung:
        quantised = quantiser.follow(recipe)
        file = _write(bench, "rung", quantised)
        return Rung(name, recipe, quantised, bench.measure(file, name))

    return measure


def _write(bench: Workbench, name: str, quantised: Quantised) -> Path:
    return bench.write(name, quantised.graph, "int8", quantised.quantisation)


def _integers(rung: Rung, placement: Placement, pixels: Pixels) -> Integers:
    """Say how they were chosen."""
    seen = pixels[: rung.recipe.images]
    return Integers(
        recipe=codec.to_json(rung.recipe) | {"placement": placement.name},
        calibration_images=len(seen),
        calibration_sha256=calibration.fingerprint(seen),
        layers=len(rung.quantised.quantisation.scales),
        float_layers=rung.quantised.in_float,
    )


def _row(rung: Rung) -> str:
    found = rung.measured
    return (
        f"{rung.name}: {100 * found.evaluation.scores.main.value:.1f} %, drop "
        f"{found.drop.percent()} points, {found.size_bytes / 1e6:.2f} MB, "
        f"{found.ms:.2f} ms (float {found.float_ms:.2f})"
    )


def _refusal(rungs: list[Rung], allowed: float) -> ExportError:
    best = min(rungs, key=lambda rung: rung.measured.drop.value)
    lost = 100 * best.measured.drop.value
    return ExportError(
        f"INT8 loses {lost:.1f} points at best ({best.name}); nothing was written",
        expected=f"at most {100 * allowed:g}",
        remedy=f"--max-drop {np.ceil(10 * lost) / 10:g}, more or likelier photos to calibrate on "
        "(--calibrate), or the file in float",
    )
