"""Measure what a kit holds, on the machine that it was copied to; run by its ``run.py``."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from mobilens.atomic import written
from mobilens.device_kit.contents import LIST, MODELS, PHOTOS, RESULT, Kit, KitFile
from mobilens.errors import (
    BundleError,
    DataError,
    MissingExtraError,
    MobilensError,
    SpecError,
    VerificationError,
)
from mobilens.observer import SILENT, Observer, TerminalObserver
from mobilens.runtime.benchmark import benchmark
from mobilens.runtime.engines import engine_type
from mobilens.runtime.measurement import BenchmarkReport, LeftOut
from mobilens.runtime.predictor import BundlePredictor
from mobilens.spec import codec
from mobilens.vision.intervals import Estimate
from mobilens.vision.tasks import task_vision

BATCH = 32


def measure_kit(folder: Path, observer: Observer = SILENT) -> BenchmarkReport:
    """Measure the files of a kit and write ``result.json`` beside them.

    Args:
        folder: The kit.
        observer: Is told of progress.

    Raises:
        DataError: The folder is no kit, or none of its engines is here.
        BundleError: A file was changed on its way.
        MobilensError: A measurement ended early.
    """
    kit = _read(folder / LIST)
    # There files bear the short names of the kit.
    with contextlib.chdir(folder / MODELS):
        left_out = [LeftOut(one.name, why) for one in kit.files if (why := _obstacle(one))]
        absent = {one.what for one in left_out}
        files = [one for one in kit.files if one.name not in absent]
        if not files:
            reasons = "; ".join(dict.fromkeys(one.reason for one in left_out))
            raise DataError(f"nothing can be measured here: {reasons}")
        accuracy = _accuracy(files, folder / PHOTOS, observer) if kit.data else {}
        report = benchmark(
            [one.name for one in files],
            threads=kit.threads,
            batches=kit.batches,
            rounds=kit.rounds,
            peaks=True,
            observer=observer,
        )
    report = replace(
        report,
        measurements=tuple(
            replace(one, accuracy=accuracy.get(one.path)) for one in report.measurements
        ),
        data=kit.data,
        left_out=tuple(left_out),
    )
    with written(folder / RESULT) as temporary:
        temporary.write_text(json.dumps(report.to_json(), indent=2), encoding="utf-8")
    return report


def _read(path: Path) -> Kit:
    try:
        return codec.from_json(Kit, json.loads(path.read_bytes()), "kit")
    except (OSError, ValueError, SpecError) as error:
        reason = error.given if isinstance(error, SpecError) else error
        raise DataError(
            f"{path} is no list of a kit: {reason}",
            expected="a folder that mobilens benchmark --device-kit wrote, whole",
        ) from None


def _missing(engine: str) -> str:
    """Why an engine cannot answer here; empty where it can."""
    try:
        engine_type(engine)
    except MissingExtraError as error:
        if engine == "executorch":
            return "ExecuTorch's Python runtime needs torch, which a kit does not install"
        return error.given
    except BundleError as error:  # made for another processor, say
        return error.given
    return ""


def _obstacle(one: KitFile) -> str:
    """Why a file cannot be measured here; empty where it can.

    Raises:
        VerificationError: It was changed on its way: nothing of such a kit is to be trusted.
    """
    if missing := _missing(one.engine):
        return missing
    try:
        BundlePredictor(one.name, one.engine)
    except VerificationError:
        raise
    except MobilensError as error:  # its runtime refuses it, an older one perhaps
        return error.given
    return ""


def _accuracy(files: list[KitFile], photos: Path, observer: Observer) -> dict[str, Estimate]:
    """Answer the photos with each file, on every core."""
    found = {}
    with np.load(photos, allow_pickle=False) as arrays:
        for one in observer.progress(files, len(files), "accuracy"):
            pixels, targets = arrays[one.pixels], arrays[one.targets]
            predictor = BundlePredictor(one.name, one.engine)
            vision = task_vision(predictor.task.kind)
            metric = vision.new_metric(predictor.task)
            for start in range(0, len(pixels), BATCH):
                answers = predictor.forward(pixels[start : start + BATCH])
                truth = [int(target) for target in targets[start : start + BATCH]]
                metric.update(vision.decode(answers, predictor.task), truth)
            found[one.name] = metric.result().main
    return found


def main(folder: Path) -> int:
    """Measure, and say where the result lies.

    Returns:
        Exit code: 0 done, 1 failed, 130 stopped.
    """
    observer = TerminalObserver()
    try:
        report = measure_kit(folder, observer)
    except MobilensError as error:
        observer.say(f"run.py: {error}")
        return 1
    except KeyboardInterrupt:
        observer.say("run.py: stopped")
        return 130
    for one in report.left_out:
        observer.say(f"not measured: {one.what}: {one.reason}")
    for row in report.measurements:
        observer.say(f"{row.path}, {row.engine}, threads {row.threads}: {row.p50_ms:.2f} ms")
    observer.say(f"bring this back: {folder / RESULT}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
