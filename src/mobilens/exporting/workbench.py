"""Files of fewer bits: written, measured on their runtime beside their float twin, delivered."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mobilens.atomic import written_together
from mobilens.errors import BundleError, ExportError
from mobilens.evaluation import Evaluation, drop, evaluate
from mobilens.exporting.draft import draft_manifest, golden_samples, seal, stated_accuracy
from mobilens.exporting.exported import Exported, differing
from mobilens.exporting.original import Original
from mobilens.exporting.targets import TARGETS, build_of
from mobilens.graph.ops import Graph
from mobilens.graph.pixels import fold_normalisation
from mobilens.graph.quantised import Quantisation
from mobilens.runtime.device import this_device
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import Integers, Manifest, Precision, Reduction, Speed
from mobilens.runtime.predictor import BundlePredictor
from mobilens.runtime.stopwatch import medians
from mobilens.runtime.verify import verify_bundle
from mobilens.vision.intervals import Estimate

# Another processor rounds some sums the other way, by one step of what values are stored in.
TOLERANCES: dict[Precision, float] = {"float16": 0.02, "bfloat16": 0.1, "int8": 0.1}
ROUNDS, SECONDS = 3, 0.3


@dataclass(frozen=True, eq=False)
class Measured:
    """What a file reached on its runtime.

    Attributes:
        file: The file.
        evaluation: Its answers and score.
        drop: What it lost against the checkpoint, as a share of the images.
        size_bytes: Its size, with what belongs to it.
        ms: Median time of one answer, milliseconds.
        float_ms: The same of the float twin, in turns with it.
    """

    file: Path
    evaluation: Evaluation
    drop: Estimate
    size_bytes: int
    ms: float
    float_ms: float


class Workbench:
    """Makes files of one kind from a checkpoint, in a folder that is thrown away."""

    def __init__(self, original: Original, target: str, folder: Path, threads: int | None) -> None:
        """Write the float twin.

        Args:
            original: What files are made of.
            target: Their kind, one of ``targets.TARGETS``.
            folder: Where they are written.
            threads: Threads for one answer, when they are timed and where nothing else is said
                when they are opened; one, and none, by default.

        Raises:
            ExportError: The checkpoint answers with NaN or infinity.
        """
        self._original, self._target, self._format = original, TARGETS[target], FORMATS[target]
        self._folder, self._threads = folder, threads or 1
        self.in_float = fold_normalisation(original.graph)
        draft = draft_manifest(
            original.checkpoint,
            original.predictor,
            original.finished(self.in_float, self._target),
            original.dataset,
            self._target,
        )
        self._draft = replace(draft, threads=threads)
        self._twin = self.write("float", self.in_float, "float32")

    def write(
        self,
        name: str,
        graph: Graph,
        precision: Precision,
        quantisation: Quantisation | None = None,
    ) -> Path:
        """Write a file that opens, and proves nothing yet.

        Args:
            name: Its name without a suffix.
            graph: What it computes.
            precision: What in.
            quantisation: What of it is 8-bit.
        """
        path = self._folder / f"{name}{self._format.suffix}"
        manifest = replace(self._draft, precision=precision)
        whole = self._original.finished(graph, self._target)
        build_of(self._target)(whole, manifest, path, quantisation)
        seal(path, manifest)
        return path

    def times(self, files: Sequence[Path]) -> list[float]:
        """Give the median time of one answer of each, milliseconds, in turns."""
        engine = self._format.engine
        return medians(files, engine, threads=self._threads, rounds=ROUNDS, seconds=SECONDS)

    def measure(self, file: Path, label: str) -> Measured:
        """Let a file answer all images, and time it beside its twin.

        Args:
            file: What ``write`` gave.
            label: What the progress is called.
        """
        original = self._original
        assert original.dataset is not None
        after = evaluate(
            BundlePredictor(file), original.dataset, observer=original.observer, label=label
        )
        float_ms, ms = self.times([self._twin, file])
        size, lost = self._size(file), drop(original.evaluation, after, original.checkpoint.task)
        return Measured(file, after, lost, size, ms, float_ms)

    def deliver(
        self,
        measured: Measured,
        path: Path,
        precision: Precision,
        how: str,
        allowed: float,
        integers: Integers | None = None,
    ) -> Exported:
        """Put the file that was measured where it shall go, with what it is and what it cost.

        Args:
            measured: What it reached.
            path: Where it goes.
            precision: What it computes in.
            how: What was done, in words.
            allowed: Largest drop that was allowed.
            integers: How they were chosen.

        Raises:
            ExportError: It does not verify; nothing is written.
        """
        lost = measured.drop
        reduction = Reduction(
            drop=lost.value,
            drop_interval=(lost.low, lost.high),
            allowed=allowed,
            rung=how,
            speed=Speed(
                measured.ms,
                measured.float_ms,
                Speed.takes_longer(measured.ms, measured.float_ms),
                self._threads,
                this_device().processor,
            ),
            integers=integers,
        )
        before, after = self._original.evaluation, measured.evaluation
        task = self._original.checkpoint.task
        manifest = replace(
            self._draft,
            precision=precision,
            reduction=reduction,
            tolerance=TOLERANCES[precision],
            accuracy=stated_accuracy(before, after),
        )
        with written_together(path, self._target.companions) as temporary:
            manifest = self._copy(measured.file, temporary, manifest)
        size = self._size(path)  # with a manifest that says more than while it was measured
        agreeing = before.num_images - len(differing(task, before, after))
        return Exported(path, size, before, after, agreeing, manifest)

    def _copy(self, file: Path, path: Path, manifest: Manifest) -> Manifest:
        """Copy what was measured and put the manifest in; gives it with its golden answers."""
        shutil.copyfile(file, path)  # whose name may end in anything, or in nothing
        for suffix in self._target.companions:
            shutil.copyfile(file.with_suffix(suffix), path.with_suffix(suffix))
        seal(path, manifest)
        images = [sample.pixels(manifest.input.size) for sample in manifest.golden]
        manifest = replace(manifest, golden=golden_samples(BundlePredictor(path), images))
        seal(path, manifest)
        try:
            verify_bundle(path)
        except BundleError as error:
            raise ExportError(f"{error.given}; nothing was written") from None
        return manifest

    def _size(self, path: Path) -> int:
        files = [path, *(path.with_suffix(suffix) for suffix in self._target.companions)]
        return sum(file.stat().st_size for file in files)
