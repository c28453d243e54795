"""The verbs from Python; ``import mobilens`` shows them.

Torch and its company are imported by the verbs that need them, when they run.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mobilens.data.dataset import Dataset, DataSplits, load_split, load_splits
from mobilens.data.lint import Finding, LintReport, check_splits
from mobilens.data.listing import Source
from mobilens.errors import (
    DataError,
    ExportError,
    MobilensError,
    UnknownNameError,
    UsageError,
)
from mobilens.evaluation import Evaluation, dataset_name, label_suspects
from mobilens.evaluation import evaluate as evaluate_predictor
from mobilens.extras import require_train_extra
from mobilens.model import Model, open_predictor
from mobilens.observer import SILENT, Observer, SayOnce
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import MeasuredOn, Precision
from mobilens.runtime.verify import VerificationReport, verify_bundle
from mobilens.sources import (
    calibration_files,
    labelled,
    measured_part,
    named_alike,
    names_of,
    proof_data,
    training_files,
)
from mobilens.spec.model import WidthRule

if TYPE_CHECKING:
    from mobilens.compress.quantize import Comparison
    from mobilens.deliver import Delivered
    from mobilens.exporting.exported import Exported
    from mobilens.exporting.fastest import Race
    from mobilens.exporting.order import Order
    from mobilens.runtime.benchmark import Rival
    from mobilens.runtime.measurement import BenchmarkReport, LeftOut
    from mobilens.runtime.operators import OperatorReport
    from mobilens.training.recipe import Recipe
    from mobilens.training.settings import TrainSettings


def train(
    data: Source,
    *,
    model: str = "mobilenet_v3_small",
    width: float = 1.0,
    width_rule: WidthRule = "paper",
    resolution: int | None = None,
    weights: str | Path | None = "auto",
    recipe: str | Path | Recipe | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    device: str = "auto",
    minutes: float | None = None,
    strict: bool = False,
    offline: bool = False,
    data_licence: str = "",
    out: str | Path | None = None,
    observer: Observer = SILENT,
) -> Delivered:
    """Train a model on labelled photos; what comes back is proven and measured.

    Args:
        data: Folder of class folders, or of ``train`` and ``validation``; a CSV file; patterns.
        model: One of ``list_models()``.
        width: Width multiplier.
        width_rule: ``"paper"`` or ``"torchvision"``; they differ for V3 only.
        resolution: Input side, pixels; the paper's by default.
        weights: ``"auto"``, ``"none"`` (or None), a name or a file.
        recipe: Name, ``recipe.json`` of another run (its recipe alone counts, not its other
            settings), or a ``Recipe``; by default ``"transfer"``
            with weights, ``"transfer_v3_small"`` for that net, and ``"scratch"`` without.
        epochs: In place of the recipe's; likewise the next two.
        batch_size: Images a step.
        lr: Highest learning rate.
        seed: Of everything random.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
        minutes: Cuts the epochs to fit into this time.
        strict: Whether a file that does not decode is an error, instead of being skipped.
        offline: Use no network for weights.
        data_licence: Terms of the photos, in words, for the model file.
        out: Folder for the results; a new one in ``runs`` by default.
        observer: Is told of progress, such as ``mobilens.TerminalObserver()``.

    Returns:
        Where checkpoint, model file and report lie, and what the file reached.

    Raises:
        MissingExtraError: The [train] extra is not installed.
        UsageError: A value is out of range, or ``out`` holds another run.
        DataError: The data cannot be used.
        WeightsError: The weights cannot be had or do not fit.
        ExportError: The file does not answer as the checkpoint does.
    """
    _require_training()
    from mobilens.training.folder import run_folder
    from mobilens.training.settings import TrainSettings, find_recipe

    source = names_of(data) if data is not None else ()
    if not source:
        raise UsageError("no data was given", expected="a folder, a CSV file or patterns")
    settings = TrainSettings(
        source=source,
        recipe=find_recipe(recipe) if isinstance(recipe, (str, Path)) else recipe,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        model=model,
        width=width,
        width_rule=width_rule,
        resolution=resolution,
        weights=str(weights or "none"),
        seed=seed,
        device=device,
        minutes=minutes,
        strict=strict,
        offline=offline,
        data_licence=data_licence,
        directory=str(Path.cwd()),
    )
    folder = run_folder(out, source[0], model)
    return _run(replace(settings, command=_command(settings, folder, recipe)), folder, observer)


def resume(folder: str | Path, *, observer: Observer = SILENT) -> Delivered:
    """Go on with a run that was stopped or killed; the result is that of one in a single go.

    Args:
        folder: Folder of the run.
        observer: Is told of progress.

    Raises:
        MissingExtraError: The [train] extra is not installed.
        DataError: The folder holds no run, or its data has changed.
    """
    _require_training()
    from mobilens.training.folder import settings_to_resume

    return _run(settings_to_resume(Path(folder)), Path(folder), observer)


def load(
    path: str | Path,
    *,
    threads: int | None = None,
    preprocess: str | Path | None = None,
    labels: str | Path | None = None,
) -> Model:
    """Open a model file, or a checkpoint where torch is installed.

    Args:
        path: ``model.onnx`` or ``best.safetensors`` of a run.
        threads: Threads for one answer and for decoding; every core by default.
        preprocess: For a file of another tool, how its pixels are prepared: a JSON file, or text
            such as ``"size=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225"``.
        labels: Likewise, a text file with the names of its classes; numbers by default.

    Raises:
        BundleError: It is no model file, or cannot be trusted.
        WeightsError: It is called a checkpoint and is none.
        MissingExtraError: A checkpoint, and torch is not installed.
        UsageError: ``threads`` is below 1.
    """
    return Model(path, threads=threads, preprocess=preprocess, labels=labels)


def evaluate(
    model: str | Path,
    data: Source,
    *,
    split: str = "val",
    batch_size: int = 32,
    threads: int | None = None,
    preprocess: str | Path | None = None,
    labels: str | Path | None = None,
    observer: Observer = SILENT,
) -> Evaluation:
    """Measure a model file or a checkpoint on labelled photos.

    Args:
        model: Model file or checkpoint.
        data: As for ``train``.
        split: ``"val"``, ``"train"``, ``"test"`` or ``"all"``. For ``"val"``, photos that are not
            divided are all measured, but of the very ones that the model was trained with only
            those that were held out.
        batch_size: Photos answered at once, 1 or more.
        threads: Threads for one answer and for decoding; every core by default.
        preprocess: For a file of another tool, as for ``load``; likewise the next.
        labels: Names of its classes.
        observer: Is told of progress.

    Raises:
        BundleError: The model cannot be trusted.
        DataError: The data cannot be used, or has classes that the model does not know.
    """
    predictor = open_predictor(model, threads, preprocess=preprocess, labels=labels)
    return evaluate_predictor(
        predictor,
        measured_part(data, split, predictor, observer),
        batch_size=batch_size,
        threads=threads,
        observer=observer,
    )


def export(
    checkpoint: str | Path,
    out: str | Path | None = None,
    *,
    to: str = "onnx",
    data: Source | None = None,
    measure: bool = True,
    precision: Precision = "float32",
    max_drop: float | None = None,
    calibrate: Source | None = None,
    threads: int | None = None,
    observer: Observer = SILENT,
) -> Exported:
    """Turn a checkpoint into a model file whose answers are proven to be the same.

    Args:
        checkpoint: ``best.safetensors`` of a run.
        out: Model file; by default ``model`` with the target's suffix beside the checkpoint, for
            fewer bits ``model.int8``, ``model.fp16`` or ``model.bf16``.
        to: Kind of file: ``"onnx"``, ``"openvino"``, ``"litert"``, ``"executorch"``, ``"ncnn"``, or
            ``"coreml"``, which is converted and checked, and not run.
        data: What to prove it on; the run's own validation data by default.
        measure: False proves it on patterns alone and states no accuracy.
        precision: What it stores and computes in: ``"float32"``, ``"float16"``, ``"bfloat16"`` or
            ``"int8"``. What fewer bits cost is measured and stated.
        max_drop: Largest drop of the main score that is allowed then, in points; by default 1.0,
            and in float16, which stores fewer bits and computes as ever, no other answer at all.
        calibrate: Folder or files of photos that ranges are measured on; the run's own training
            data by default.
        threads: Threads for one answer: it is timed with them, and opened with them where nothing
            else is said.
        observer: Is told of progress.

    Raises:
        MissingExtraError: The [train] extra is not installed, or what the target needs is not.
        UnknownNameError: There is no such target or precision.
        WeightsError: The file is no checkpoint, or its tensors are not those of its model.
        DataError: The data cannot be used, or is not where it was.
        UsageError: ``out`` is a folder, the checkpoint does not say what it was trained with, or
            the target has no such precision.
        ExportError: An answer differs from the checkpoint's, the new file does not verify, or fewer
            bits lose more than is allowed; nothing is written.
    """
    require_train_extra("exporting")
    from mobilens.exporting.targets import target_named

    target_named(to, precision)  # before anything is read
    order = _order(
        Path(checkpoint), data, measure, precision, max_drop, calibrate, threads, observer
    )
    path = Path(checkpoint).with_name(_file_name(to, precision)) if out is None else Path(out)
    return order.carry_out(path, to, precision)


def export_all(
    checkpoint: str | Path,
    out: str | Path | None = None,
    *,
    data: Source | None = None,
    measure: bool = True,
    precision: Precision = "float32",
    max_drop: float | None = None,
    calibrate: Source | None = None,
    threads: int | None = None,
    observer: Observer = SILENT,
) -> Iterator[tuple[str, Exported | MobilensError]]:
    """Turn a checkpoint into a file of every kind that can be written here, one after the other.

    Args:
        checkpoint: As for ``export``, likewise all that is not named here.
        out: Folder for ``model.onnx`` and the others, named as by ``export``; the checkpoint's by
            default.
        data: What to prove them on.
        measure: False proves them on patterns alone.
        precision: What they store and compute in.
        max_drop: Largest drop that is allowed then, in points.
        calibrate: Photos that ranges are measured on.
        threads: Threads for one answer.
        observer: Is told of progress.

    Yields:
        A target's name with its file, or with why there is none.

    Raises:
        UsageError: ``out`` is the name of a file; and as ``export``, before the first file.
    """
    folder = _folder(checkpoint, out)
    require_train_extra("exporting")
    from mobilens.exporting.targets import TARGETS

    order = _order(
        Path(checkpoint), data, measure, precision, max_drop, calibrate, threads, observer
    )

    for target in TARGETS:
        try:
            path = folder / _file_name(target, precision)
            yield target, order.carry_out(path, target, precision)
        except MobilensError as error:  # the others are written all the same
            yield target, error


def export_fastest(
    checkpoint: str | Path,
    out: str | Path | None = None,
    *,
    data: Source | None = None,
    max_drop: float = 1.0,
    max_mb: float | None = None,
    max_ms: float | None = None,
    calibrate: Source | None = None,
    threads: int | None = None,
    observer: Observer = SILENT,
) -> Race:
    """Try every runtime, precision and number of threads here, and keep the fastest that fits.

    Args:
        checkpoint: As for ``export``, likewise all that is not named here.
        out: Folder for the file and the table of the race, as numbers and as a picture; the
            checkpoint's by default.
        data: What to measure on.
        max_drop: Largest drop of the main score, in points.
        max_mb: Largest size, megabytes of 1,000,000 bytes; no bound by default.
        max_ms: Longest median time of one answer, milliseconds; no bound by default.
        calibrate: Photos that ranges of 8 bits are measured on.
        threads: Threads for one answer; by default 1, 2, 4, ... as far as there are cores.
        observer: Is told of progress.

    Raises:
        ExportError: Nothing fits; the nearest is named, and nothing is written.
        UsageError: A bound makes no sense, or ``out`` is the name of a file; and as ``export``.
    """
    require_train_extra("exporting")
    from mobilens.exporting.fastest import Limits, export_fastest
    from mobilens.standings import keep_standings

    for name, bound in (("max_mb", max_mb), ("max_ms", max_ms)):
        if bound is not None and not 0 < bound < float("inf"):
            raise UsageError(f"{name} is {bound}", expected="a number above 0")
    folder = _folder(checkpoint, out)
    path = Path(checkpoint)
    try:
        order = _order(path, data, True, "int8", max_drop, calibrate, threads, observer)
    except (DataError, UsageError) as error:
        if calibrate is not None:
            raise
        order = _order(path, data, True, "float32", max_drop, None, threads, observer)
        observer.say(f"8 bits are left out: {error.given}; --calibrate PHOTOS brings them in")
    race = export_fastest(order, folder, Limits(max_mb, max_ms))
    keep_standings(race, folder)
    return race


def _file_name(target: str, precision: Precision) -> str:
    """The file in float is not replaced by one of fewer bits."""
    short = {"float32": "", "float16": ".fp16", "bfloat16": ".bf16", "int8": ".int8"}
    return f"model{short[precision]}{FORMATS[target].suffix}"


def _folder(checkpoint: str | Path, out: str | Path | None) -> Path:
    folder = Path(checkpoint).parent if out is None else Path(out)
    suffixes = {kind.suffix for kind in FORMATS.values()} | {".safetensors"}
    if folder.is_file() or (folder.suffix.lower() in suffixes and not folder.is_dir()):
        raise UsageError(
            f"{folder} is the name of one file",
            expected="a folder: what comes into it depends on what is found",
            remedy="--out DIR",
        )
    return folder


@dataclass(frozen=True, eq=False)
class Quantized:
    """What ``quantize`` gives.

    Attributes:
        path: The new checkpoint.
        images: How many photos it was trained with.
        comparison: What that brought.
    """

    path: Path
    images: int
    comparison: Comparison


def quantize(
    checkpoint: str | Path,
    out: str | Path | None = None,
    *,
    data: Source | None = None,
    epochs: int = 3,
    max_drop: float = 1.0,
    observer: Observer = SILENT,
) -> Quantized:
    """Train a checkpoint with integers, so that its files of 8 bits lose less on every runtime.

    Args:
        checkpoint: ``best.safetensors`` of a run.
        out: The new checkpoint; ``best.int8.safetensors`` beside it by default.
        data: What to train with and to measure on; what it was trained with by default.
        epochs: How often each photo is seen; of large sets 2,000 photos are, of each class alike.
        max_drop: Largest drop of the main score in float that this may cost, in points.
        observer: Is told of progress.

    Raises:
        MissingExtraError: The [train] extra is not installed.
        WeightsError: The file is no checkpoint, or its tensors are not those of its model.
        DataError: The data cannot be used, or is not where it was.
        ExportError: The new checkpoint loses more in float; nothing is written.
        UsageError: It does not say what it was trained with; ``epochs`` is below 1; or ``out`` is
            no name of a checkpoint, or that of the one that is read.
    """
    require_train_extra("training")
    from mobilens.compress import calibration
    from mobilens.compress.quantize import compare, train_with_integers
    from mobilens.nn.checkpoint import Checkpoint

    source = Path(checkpoint)
    path = source.with_name(f"{source.stem}.int8{source.suffix}") if out is None else Path(out)
    if epochs < 1:
        raise UsageError(f"epochs is {epochs}", expected="1 or more")
    if path.suffix != ".safetensors" or path.is_dir():
        raise UsageError(f"{path} is no name of a checkpoint", expected="NAME.safetensors")
    if path.resolve() == source.resolve():
        raise UsageError(f"{path} would be replaced", expected="another name for the new one")
    given = Checkpoint.load(source)
    dataset = proof_data(given, source, data, observer)
    files = labelled(named_alike(given, data).train) if data else training_files(given, source)
    pixels = calibration.load(calibration.choose(files), given.task.preprocessing)
    trained = train_with_integers(given, pixels, epochs=epochs, observer=observer)
    found = compare(given, trained, dataset, observer)
    if found.drop.value > max_drop / 100:
        raise ExportError(
            f"training with integers cost {100 * found.drop.value:.1f} points in float; nothing "
            "was written",
            expected=f"at most {max_drop:g}",
            remedy="fewer --epochs, more photos, or a larger --max-drop",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    found.checkpoint.save(path)
    return Quantized(path, len(pixels), found)


def verify(path: str | Path) -> VerificationReport:
    """Prove a model file again: its manifest, every byte of it, and its golden answers.

    Args:
        path: Model file.

    Raises:
        BundleError: It is no model file of mobilens.
        VerificationError: It does not hold what it promises; the message names what broke.
    """
    return verify_bundle(path)


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

    names = list(dict.fromkeys(names_of(files)))
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


def check(
    data: Source, *, model: str | Path | None = None, observer: Observer = SILENT
) -> LintReport:
    """Look for what would spoil a result: unreadable, duplicate, leaking, too few, mislabelled.

    Args:
        data: As for ``train``.
        model: Model file or checkpoint whose doubts about labels are listed too.
        observer: Is told of progress.

    Raises:
        DataError: The data cannot be used, or has classes that the model does not know.
    """
    splits = load_splits(data)
    # First, so that a model of other classes is refused at once.
    suspects = _mislabelled(model, data, splits, observer) if model else []
    return check_splits(splits, observer=observer).with_findings(suspects)


def _order(
    path: Path,
    data: Source | None,
    measure: bool,
    precision: str,
    max_drop: float | None,
    calibrate: Source | None,
    threads: int | None,
    observer: Observer,
) -> Order:
    """Read what an export needs, once it is known to make sense."""
    if precision not in get_args(Precision):
        raise UnknownNameError.among("precision", precision, get_args(Precision))
    if max_drop is not None and not 0 <= max_drop <= 100:
        raise UsageError(f"max_drop is {max_drop}", expected="points, 0 to 100")
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}", expected="1 or more")
    if precision != "float32" and not measure:
        raise UsageError(f"{precision} without data to measure its drop on", remedy="--data DATA")
    from mobilens.compress.calibration import choose
    from mobilens.exporting.order import Order
    from mobilens.exporting.original import Original
    from mobilens.nn.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(path)
    dataset = proof_data(checkpoint, path, data, observer) if measure else None
    chosen: Sequence[Path] = ()
    if precision == "int8":
        chosen = choose(calibration_files(checkpoint, path, calibrate))
        chosen = _apart(chosen, dataset, observer)
    allowed = None if max_drop is None else max_drop / 100
    return Order(Original(checkpoint, dataset, observer), allowed, chosen, threads)


def _apart(chosen: list[Path], dataset: Dataset | None, observer: Observer) -> list[Path]:
    """Photos for calibration without those that the file is measured on."""
    from mobilens.exporting.int8 import LEAST_TO_TRAIN

    measured = {sample.path.resolve() for sample in dataset.samples} if dataset else set()
    apart = [path for path in chosen if path.resolve() not in measured]
    if len(apart) == len(chosen):
        return chosen
    if apart:
        observer.say(
            f"{len(chosen) - len(apart):,} of {len(chosen):,} photos for calibration are among "
            "those that the file is measured on: they are left out"
        )
        return apart
    observer.say(
        "all photos for calibration are among those that the file is measured on, which flatters "
        "it: --calibrate OTHERS"
    )
    return chosen[: LEAST_TO_TRAIN - 1]  # ranges may be measured on them, nothing learnt


def _require_training() -> None:
    """Refuse before anything heavy is imported."""
    require_train_extra("training")
    if "RANK" in os.environ:
        raise UsageError(
            "several processes train together",
            expected="one process from Python",
            remedy="torchrun --nproc-per-node 2 -m mobilens train DATA --out DIR",
        )


def _run(settings: TrainSettings, folder: Path, observer: Observer) -> Delivered:
    from mobilens.deliver import train_and_deliver

    delivered = train_and_deliver(settings, folder, observer)
    assert delivered is not None  # one process trains from Python
    return delivered


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


def _command(settings: TrainSettings, folder: Path, recipe: str | Path | Recipe | None) -> str:
    """The command line that does the same, for the record."""
    words = ["mobilens", "train", *settings.source]
    plain = type(settings)(settings.source)
    # With the file of another run, its settings would stand where none are named.
    repeats = isinstance(recipe, (str, Path)) and str(recipe).endswith(".json")
    for field in fields(settings):
        value = getattr(settings, field.name)
        option = "--" + field.name.replace("_", "-")
        default = not repeats and value == getattr(plain, field.name)
        unsaid = value is None or value is False or value == "" or default
        if field.name in ("source", "recipe", "command", "directory", "task") or unsaid:
            continue
        words += [option] if value is True else [option, str(value)]
    if recipe is not None:
        # Every recipe is in the folder at the end of the run, one without a name too.
        named = isinstance(recipe, (str, Path))
        words += ["--recipe", str(recipe if named else folder / "recipe.json")]
    return shlex.join([*words, "--out", str(folder)])


def _mislabelled(
    model: str | Path, data: Source, splits: DataSplits, observer: Observer
) -> list[Finding]:
    """Ask a model about every image that can be read."""
    predictor = open_predictor(model)
    dataset = load_split(data, "all", predictor.task.class_names)
    evaluation = evaluate_predictor(
        predictor,
        dataset,
        observer=observer,
        label="predict",
    )
    parts = [part for part in (splits.train, splits.val, splits.test) if part is not None]
    return [one for part in parts for one in label_suspects(evaluation, dataset.root, part)]
