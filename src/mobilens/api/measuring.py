"""What model files cost on a machine, from Python."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mobilens.api.answering import evaluate
from mobilens.data.dataset import Dataset
from mobilens.data.listing import Source
from mobilens.errors import UsageError
from mobilens.evaluation import Evaluation, dataset_name
from mobilens.extras import require_train_extra
from mobilens.observer import SILENT, Observer, SayOnce
from mobilens.runtime.manifest import MeasuredOn
from mobilens.sources import measured_part, names_of

if TYPE_CHECKING:
    from mobilens.runtime.benchmark import Rival
    from mobilens.runtime.measurement import BenchmarkReport, LeftOut
    from mobilens.runtime.operators import OperatorReport


def benchmark(
    files: str | Path | Sequence[str | Path] = (),
    *,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1,),
    rounds: int = 5,
    data: Source | None = None,
    against: Sequence[str] = (),
    imports: Sequence[str | Path] = (),
    observer: Observer = SILENT,
) -> BenchmarkReport:
    """Measure latency, throughput, memory, size and accuracy of model files, side by side.

    Args:
        files: One model file or several; one named twice is measured once. None where results
            are imported alone. A file of another tool, without a manifest, is measured on random
            values of the types that it reads. Beside others, what does not run here and what is a
            part of another file is left out, and the report says so.
        threads: Threads for one answer, 1 or more each.
        batches: Images in one run, 1 or more each.
        rounds: Fresh processes for each file, number of threads and batch; they take turns.
        data: Validation data that each file's accuracy is measured on, as ``evaluate`` does.
        against: ``"torchvision"``, ``"timm"``: their nets of the same architecture, exported in
            the plain way, take their turns too; needs the [peers] extra.
        imports: Results of other machines: ``result.json`` of a device kit, to stand beside these.
        observer: Is told of progress.

    Raises:
        BundleError: A file is no model file, or one of mobilens that was changed.
        DataError: The data cannot be used, or has classes that a model does not know; a result of
            another machine cannot be read.
        MissingExtraError: A library to measure against is not installed.
        UsageError: Nothing to measure, or a number that does not do.
        MobilensError: A measurement ended early, for want of memory perhaps.
    """
    from mobilens.runtime.benchmark import benchmark as measure
    from mobilens.runtime.measurement import read_report
    from mobilens.runtime.selection import measurable

    others = [one for path in imports for one in read_report(Path(path)).machines()]
    names = list(dict.fromkeys(names_of(files)))
    if others and not names:
        return replace(others[0], imported=tuple(others[1:]))
    if against and 1 not in batches:
        shown = ", ".join(map(str, batches))
        raise UsageError(f"a comparison with batches of {shown}", expected="1 among them")
    names, not_measured = measurable(names)
    with tempfile.TemporaryDirectory() as folder:
        rivals, left_out = _rivals(names, against, Path(folder), observer)
        answers = {} if data is None else _answers(names, data, observer)
        report = measure(
            names,
            threads=threads,
            batches=batches,
            rounds=rounds,
            peaks=True,
            rivals=rivals,
            observer=observer,
        )
    report = replace(report, left_out=(*not_measured, *left_out), imported=tuple(others))
    return _with_accuracy(report, answers)


def operators(
    files: str | Path | Sequence[str | Path],
    *,
    threads: int = 1,
    observer: Observer = SILENT,
) -> list[OperatorReport]:
    """Tell which operators each file's runtime ran, in what precision, and their share of time.

    Args:
        files: One model file or several.
        threads: Threads for one answer, 1 or more.
        observer: Is told of progress.

    Raises:
        BundleError: A file is no model file of mobilens, or was changed.
        UsageError: No file was given, or its runtime does not tell.
        MissingExtraError: A runtime is not installed.
        MobilensError: A file did not run.
    """
    from mobilens.runtime.operators import operators as profile

    names = list(dict.fromkeys(names_of(files)))
    if not names:
        raise UsageError("no model file was given", expected="one or more")
    return [profile(name, threads) for name in observer.progress(names, len(names), "operators")]


def write_device_kit(
    folder: str | Path,
    files: str | Path | Sequence[str | Path],
    *,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1,),
    rounds: int = 5,
    data: Source | None = None,
    observer: Observer = SILENT,
) -> Path:
    """Write a folder that measures model files on the machine that it is copied to.

    Args:
        folder: Where to; it must not exist, or be empty.
        files: One model file or several.
        threads: Threads for one answer, 1 or more each.
        batches: Images in one run, 1 or more each.
        rounds: Fresh processes for each file, number of threads and batch.
        data: Validation data for accuracy there; at most 500 photos go with the files.
        observer: Is told what a person should know.

    Returns:
        The folder; its README.txt says what to do with it.

    Raises:
        BundleError: A file is no model file of mobilens, or was changed.
        DataError: The data cannot be used, or has classes that a model does not know.
        UsageError: The folder holds something, or no file was given.
    """
    from mobilens.device_kit.write import write_kit
    from mobilens.runtime.predictor import load_predictor
    from mobilens.runtime.selection import measurable

    names, left_out = measurable(list(dict.fromkeys(names_of(files))), here=False)
    for one in left_out:
        observer.say(f"not in the kit: {one.what}: {one.reason}")
    datasets: list[Dataset] = []
    if data is not None:
        once = SayOnce(observer)
        datasets = [measured_part(data, "val", load_predictor(name), once) for name in names]
    return write_kit(
        Path(folder),
        names,
        threads=threads,
        batches=batches,
        rounds=rounds,
        datasets=datasets,
        observer=observer,
    )


def _rivals(
    files: Sequence[str], libraries: Sequence[str], folder: Path, observer: Observer
) -> tuple[list[Rival], list[LeftOut]]:
    if not libraries:
        return [], []
    require_train_extra("a comparison")
    from mobilens.exporting.peers import rivals_of

    return rivals_of(files, libraries, folder, observer)


def _answers(files: Sequence[str], data: Source, observer: Observer) -> dict[str, Evaluation]:
    """Measure each file that says how its pixels are prepared."""
    from mobilens.runtime.foreign import is_foreign

    once = SayOnce(observer)
    answers = {}
    for file in files:
        if is_foreign(file):
            observer.say(f"{file} has no manifest that says what it reads: no accuracy")
        else:
            answers[file] = evaluate(file, data, observer=once)
    return answers


def _with_accuracy(report: BenchmarkReport, answers: Mapping[str, Evaluation]) -> BenchmarkReport:
    """Put what each file reached beside its times."""
    if not answers:
        return report
    first = next(iter(answers.values()))
    main = {file: answer.scores.main for file, answer in answers.items()}
    return replace(
        report,
        measurements=tuple(
            replace(one, accuracy=main.get(one.path)) for one in report.measurements
        ),
        data=MeasuredOn(dataset_name(first.dataset), first.dataset.fingerprint(), first.num_images),
    )
