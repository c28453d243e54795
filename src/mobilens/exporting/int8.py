"""A checkpoint becomes a file that computes in 8 bits, and says what that cost."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mobilens.atomic import written_together
from mobilens.compress import calibration
from mobilens.compress.placement import Placement
from mobilens.compress.quantiser import Quantised, Quantiser, Recipe
from mobilens.data.dataset import Dataset
from mobilens.errors import BundleError, ExportError
from mobilens.evaluation import Evaluation, drop, evaluate
from mobilens.exporting.bundle import Exported
from mobilens.exporting.draft import (
    draft_manifest,
    golden_samples,
    require_colour,
    require_name,
    say_skipped,
    seal,
    stated_accuracy,
)
from mobilens.exporting.ladder import MANY, Measure, Rung, climb
from mobilens.exporting.targets import Target, build_of, target_named
from mobilens.graph.ops import Graph
from mobilens.graph.pixels import fold_normalisation
from mobilens.graph.rewrite import simplify
from mobilens.graph.trace import trace
from mobilens.nn.checkpoint import Checkpoint
from mobilens.observer import SILENT, Observer
from mobilens.runtime.benchmark import benchmark
from mobilens.runtime.device import this_device
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import Manifest, Reduction, Speed
from mobilens.runtime.predictor import BundlePredictor
from mobilens.runtime.verify import verify_bundle
from mobilens.spec import codec
from mobilens.tasks import build_trained, torch_task
from mobilens.tasks.predictor import TorchPredictor
from mobilens.vision.predictor import Pixels
from mobilens.vision.tasks import task_vision

# Another processor rounds some sums the other way, by one step of a grid.
TOLERANCE = 0.1
ROUNDS, SECONDS = 3, 0.3


@dataclass(frozen=True)
class Bounds:
    """What a file of 8 bits is measured with and held to.

    Attributes:
        dataset: Validation data.
        calibration: Images that ranges are measured on, chosen with ``calibration.choose``.
        max_drop: Largest drop of the main score that is allowed, 0 to 1.
    """

    dataset: Dataset
    calibration: Sequence[Path]
    max_drop: float


def export_int8(
    checkpoint: Checkpoint,
    path: Path,
    bounds: Bounds,
    *,
    target: str,
    observer: Observer = SILENT,
) -> Exported:
    """Write a file that computes in 8 bits and loses no more than is allowed.

    Args:
        checkpoint: What to export.
        path: Where the file goes; it appears there whole and proven, or not at all.
        bounds: What it is measured with, and held to.
        target: Kind of file, one of ``targets.TARGETS``.
        observer: Is told of progress, and of every rung that is tried.

    Raises:
        MissingExtraError: What the target needs is not installed.
        ExportError: It loses more, whatever was tried; nothing is written.
        DataError: No image for calibration can be read.
        WeightsError: The checkpoint's tensors are not those of its model.
        UsageError: ``path`` is a folder, or bears another kind of file's suffix.
    """
    kind = target_named(target)
    suffix = FORMATS[target].suffix
    require_name(path, suffix)
    require_colour(checkpoint)
    pixels = calibration.load(bounds.calibration[:MANY], checkpoint.task.preprocessing)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        climber = _Climber(checkpoint, bounds, kind, Path(folder), suffix, observer)
        placement = climber.fastest(pixels)
        quantiser = Quantiser(climber.graph, placement, pixels)
        rungs = []
        for rung in climb(quantiser, climber.measuring(quantiser), bounds.max_drop):
            observer.say(_row(rung))
            rungs.append(rung)
        last = rungs[-1]
        if last.drop.value > bounds.max_drop:
            raise _refusal(rungs, bounds.max_drop)
        manifest = climber.manifest(last, placement, pixels)
        with written_together(path, kind.companions) as temporary:
            manifest = climber.deliver(temporary, manifest)
    say_skipped(climber.before, observer)
    agreeing = climber.agreeing(last.evaluation)
    size = _size(path, kind)  # with a manifest that says more than that of the rung
    return Exported(path, size, climber.before, last.evaluation, agreeing, manifest)


class _Climber:
    """Makes the file of a rung and measures it against checkpoint and float twin."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        bounds: Bounds,
        kind: Target,
        folder: Path,
        suffix: str,
        observer: Observer,
    ) -> None:
        self._checkpoint, self._bounds, self._kind = checkpoint, bounds, kind
        self._folder, self._suffix, self._observer = folder, suffix, observer
        self._build = build_of(kind)
        self.graph = simplify(trace(checkpoint))
        predictor = TorchPredictor(build_trained(checkpoint), checkpoint.task)
        in_float = fold_normalisation(self.graph)
        self._draft = draft_manifest(checkpoint, predictor, in_float, bounds.dataset, kind)
        self._twin = self._write("float", in_float, None, self._draft)
        label = "measuring the checkpoint"
        self.before = evaluate(predictor, bounds.dataset, observer=observer, label=label)

    def fastest(self, pixels: Pixels) -> Placement:
        """Try each placement that the runtime may like, and give the one that is fastest."""
        placements = self._kind.placements
        if len(placements) == 1:
            return placements[0]
        files = []
        for index, placement in enumerate(placements):
            quantised = Quantiser(self.graph, placement, pixels[:8]).follow(Recipe())
            files.append(self._write_quantised(f"placement{index}", quantised))
        times = self._times(files)
        return placements[times.index(min(times))]

    def measuring(self, quantiser: Quantiser) -> Measure:
        """Give what measures a rung."""

        def measure(name: str, recipe: Recipe) -> Rung:
            """Write the file, let it answer all images, and time it beside its twin."""
            quantised = quantiser.follow(recipe)
            file = self._write_quantised("rung", quantised)
            after = evaluate(
                BundlePredictor(file), self._bounds.dataset, observer=self._observer, label=name
            )
            float_ms, ms = self._times([self._twin, file])
            return Rung(
                name=name,
                recipe=recipe,
                quantised=quantised,
                evaluation=after,
                drop=drop(self.before, after),
                size_bytes=_size(file, self._kind),
                ms=ms,
                float_ms=float_ms,
            )

        return measure

    def manifest(self, rung: Rung, placement: Placement, pixels: Pixels) -> Manifest:
        """Say what was chosen and what it cost."""
        reduction = Reduction(
            drop=rung.drop.value,
            drop_interval=(rung.drop.low, rung.drop.high),
            allowed=self._bounds.max_drop,
            rung=rung.name,
            recipe=codec.to_json(rung.recipe) | {"placement": placement.name},
            calibration_images=min(rung.recipe.images, len(pixels)),
            calibration_sha256=calibration.fingerprint(pixels[: rung.recipe.images]),
            integer_layers=len(rung.quantised.quantisation.scales),
            float_layers=rung.quantised.in_float,
            speed=Speed(rung.ms, rung.float_ms, rung.ms > rung.float_ms, this_device().cpu),
        )
        main = torch_task(self._checkpoint.task.kind).main_score
        return replace(
            self._draft,
            precision="int8",
            reduction=reduction,
            tolerance=TOLERANCE,
            accuracy=stated_accuracy(main, self.before, rung.evaluation),
        )

    def deliver(self, path: Path, manifest: Manifest) -> Manifest:
        """Copy the file that was measured last, with its own golden answers; gives what it says."""
        rung = self._folder / f"rung{self._suffix}"
        for suffix in (self._suffix, *self._kind.companions):
            shutil.copyfile(rung.with_suffix(suffix), path.with_suffix(suffix))
        seal(path, manifest)
        images = [sample.pixels(manifest.input.size) for sample in manifest.golden]
        manifest = replace(manifest, golden=golden_samples(BundlePredictor(path), images))
        seal(path, manifest)
        try:
            verify_bundle(path)
        except BundleError as error:
            raise ExportError(f"{error.given}; nothing was written") from None
        return manifest

    def agreeing(self, after: Evaluation) -> int:
        """Count the images that checkpoint and file answer alike."""
        pairs = zip(self.before.predictions, after.predictions, strict=True)
        agree = task_vision(self._checkpoint.task.kind).agree
        return sum(agree(one, other) for one, other in pairs)

    def _write_quantised(self, name: str, quantised: Quantised) -> Path:
        return self._write(name, quantised.graph, quantised, self._draft)

    def _write(
        self, name: str, graph: Graph, quantised: Quantised | None, manifest: Manifest
    ) -> Path:
        path = self._folder / f"{name}{self._suffix}"
        self._build(graph, manifest, path, quantised.quantisation if quantised else None)
        seal(path, manifest)
        return path

    def _times(self, files: list[Path]) -> list[float]:
        report = benchmark(files, rounds=ROUNDS, seconds=SECONDS)
        return [one.p50_ms for one in report.measurements]


def _size(path: Path, kind: Target) -> int:
    """Size of a file with what belongs to it, bytes."""
    files = [path, *(path.with_suffix(suffix) for suffix in kind.companions)]
    return sum(file.stat().st_size for file in files)


def _row(rung: Rung) -> str:
    return (
        f"{rung.name}: {100 * rung.evaluation.scores.main.value:.1f} %, drop "
        f"{rung.drop.percent()} points, {rung.size_bytes / 1e6:.2f} MB, "
        f"{rung.ms:.2f} ms (float {rung.float_ms:.2f})"
    )


def _refusal(rungs: list[Rung], allowed: float) -> ExportError:
    best = min(rungs, key=lambda rung: rung.drop.value)
    lost = 100 * best.drop.value
    return ExportError(
        f"INT8 loses {lost:.1f} points at best ({best.name}); nothing was written",
        expected=f"at most {100 * allowed:g}",
        remedy=f"--max-drop {np.ceil(10 * lost) / 10:g}, more or likelier photos to calibrate on "
        "(--calibrate), or the file in float",
    )
