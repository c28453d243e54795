"""Model files and checkpoints of fewer bits, from Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mobilens.data.dataset import Dataset
from mobilens.data.listing import Source
from mobilens.errors import DataError, ExportError, MobilensError, UnknownNameError, UsageError
from mobilens.extras import require_train_extra
from mobilens.observer import SILENT, Observer
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.manifest import Precision
from mobilens.sources import calibration_files, labelled, named_alike, proof_data, training_files
from mobilens.vision.image import Region
from mobilens.vision.tasks import require_boxes

if TYPE_CHECKING:
    from mobilens.compress.quantize import Comparison
    from mobilens.exporting.exported import Exported
    from mobilens.exporting.fastest import Race
    from mobilens.exporting.order import Order


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
    class_agnostic: bool = False,
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
        class_agnostic: Of boxes, whether better ones suppress those of every class, though the
            checkpoint was trained without; both are measured so.
        threads: Threads for one answer: it is timed with them, and opened with them where nothing
            else is said.
        observer: Is told of progress.

    Raises:
        MissingExtraError: The [train] extra is not installed, or what the target needs is not.
        UnknownNameError: There is no such target or precision.
        WeightsError: The file is no checkpoint, or its tensors are not those of its model.
        DataError: The data cannot be used, or is not where it was.
        UsageError: ``out`` is a folder, the checkpoint does not say what it was trained with, the
            target has no such precision, or ``class_agnostic`` is for a task without boxes.
        ExportError: An answer differs from the checkpoint's, the new file does not verify, or fewer
            bits lose more than is allowed; nothing is written.
    """
    require_train_extra("exporting")
    from mobilens.exporting.targets import target_named

    target_named(to, precision)  # before anything is read
    order = _order(
        Path(checkpoint),
        data,
        measure,
        precision,
        max_drop,
        calibrate,
        class_agnostic,
        threads,
        observer,
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
    class_agnostic: bool = False,
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
        class_agnostic: Whether better boxes suppress those of every class.
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
        Path(checkpoint),
        data,
        measure,
        precision,
        max_drop,
        calibrate,
        class_agnostic,
        threads,
        observer,
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
    class_agnostic: bool = False,
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
        class_agnostic: Whether better boxes suppress those of every class.
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
        order = _order(
            path, data, True, "int8", max_drop, calibrate, class_agnostic, threads, observer
        )
    except (DataError, UsageError) as error:
        if calibrate is not None:
            raise
        order = _order(
            path, data, True, "float32", max_drop, None, class_agnostic, threads, observer
        )
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


def _order(
    path: Path,
    data: Source | None,
    measure: bool,
    precision: str,
    max_drop: float | None,
    calibrate: Source | None,
    class_agnostic: bool,
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
    if class_agnostic:
        require_boxes(checkpoint.task.kind)
        checkpoint = replace(checkpoint, task=replace(checkpoint.task, class_agnostic=True))
    dataset = proof_data(checkpoint, path, data, observer) if measure else None
    chosen: Sequence[Path | Region] = ()
    if precision == "int8":
        chosen = choose(calibration_files(checkpoint, path, calibrate))
        chosen = _apart(chosen, dataset, observer)
    allowed = None if max_drop is None else max_drop / 100
    return Order(Original(checkpoint, dataset, observer), allowed, chosen, threads)


def _apart(
    chosen: list[Path | Region], dataset: Dataset | None, observer: Observer
) -> list[Path | Region]:
    """Photos for calibration without those that the file is measured on."""
    from mobilens.exporting.int8 import LEAST_TO_TRAIN

    measured = {sample.path.resolve() for sample in dataset.samples} if dataset else set()
    apart = [file for file in chosen if Path(file).resolve() not in measured]
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
