"""Prove a model file again: what it says, every byte of it, and the answers that it promised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mobilens.errors import BundleError, MobilensError, VerificationError
from mobilens.runtime.bundle import COPY_AGAIN, Bundle, read_bundle
from mobilens.runtime.coreml_interface import check_interface
from mobilens.runtime.engines import ELSEWHERE, engine_type
from mobilens.runtime.formats import FORMATS, main_file
from mobilens.runtime.manifest import Accuracy, Manifest, Reduction
from mobilens.runtime.predictor import BundlePredictor
from mobilens.spec import codec
from mobilens.vision.tasks import task_vision


@dataclass(frozen=True)
class Check:
    """One part of a proof.

    Attributes:
        name: ``"manifest"``, ``"weights"``, ``"graph"``, ``"interface"`` or ``"answers"``.
        result: How it went; skipped when the file is not safe to run any more, or not run here.
        detail: What was found, in words.
    """

    name: str
    result: Literal["ok", "failed", "skipped"]
    detail: str


@dataclass(frozen=True)
class VerificationReport:
    """What came out when a file was proved again.

    Attributes:
        path: The file.
        sha256: Hash of the whole file.
        size_bytes: Its size.
        engine: Name of the engine that answered.
        engine_version: Its version; empty when it did not answer.
        largest_difference: Absolute, from the golden answers; None when the engine did not answer.
        tolerance: Largest difference that the manifest allows.
        accuracy: What the manifest claims; it takes the data set to measure it again.
        reduction: What it claims that fewer bits cost, likewise; None in float32.
        checks: Each part, in order.
        unproven: Why its answers were never compared with the checkpoint's; None where they were.
    """

    path: str
    sha256: str
    size_bytes: int
    engine: str
    engine_version: str
    largest_difference: float | None
    tolerance: float
    accuracy: Accuracy | None
    checks: tuple[Check, ...]
    unproven: str | None = None
    reduction: Reduction | None = None

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(check.result != "failed" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {"ok": self.ok} | dict(codec.to_json(self))


def verify_bundle(path: str | Path, engine: str | None = None) -> VerificationReport:
    """Prove a model file again; a broken promise is an error.

    Args:
        path: File written by ``mobilens export``.
        engine: Name of the engine that answers the golden inputs; the format's own by default.

    Raises:
        BundleError: It is no model file of mobilens, or one of a newer format.
        VerificationError: It does not hold what it promises; the message names what broke.
        MissingExtraError: The engine is not installed.
    """
    report = check_bundle(path, engine)
    for check in report.checks:
        if check.result == "failed":
            raise VerificationError(f"{path}: {check.detail}", remedy=COPY_AGAIN)
    return report


def check_bundle(path: str | Path, engine: str | None = None) -> VerificationReport:
    """Prove a model file again; a broken promise stands in the report.

    Args:
        path: File written by ``mobilens export``.
        engine: Name of the engine that answers the golden inputs; the format's own by default.

    Raises:
        BundleError: It is no model file of mobilens, or one of a newer format.
        VerificationError: The manifest was changed, so that there is nothing to check against.
        MissingExtraError: The engine is not installed.
    """
    bundle = read_bundle(path)
    engine = engine or FORMATS[bundle.format].engine
    if engine not in ELSEWHERE:
        engine_type(engine)
    manifest = bundle.manifest
    checks = [
        Check("manifest", "ok", f"format {manifest.format}, {_summary(manifest)}"),
        _check("weights", bundle.broken_weights(), _weights(manifest)),
        _check("graph", bundle.broken_graph(), "unchanged"),
    ]
    answers = _Answers("", None, "a changed file is not run")
    if engine in ELSEWHERE:
        checks.append(_interface(bundle))
        checks.append(Check("answers", "skipped", f"not run: {ELSEWHERE[engine]}"))
    elif all(check.result == "ok" for check in checks):
        answers = _answer_golden(path, engine)
        promised = f"{len(manifest.golden)} golden inputs, answered as promised"
        checks.append(_check("answers", answers.broken, promised))
    else:
        checks.append(Check("answers", "skipped", answers.broken))
    return VerificationReport(
        path=str(path),
        sha256=bundle.sha256,
        size_bytes=bundle.contents.size_bytes,
        engine=engine,
        engine_version=answers.engine_version,
        largest_difference=answers.largest_difference,
        tolerance=manifest.tolerance,
        accuracy=manifest.accuracy,
        checks=tuple(checks),
        unproven=manifest.unproven or ELSEWHERE.get(engine),
        reduction=manifest.reduction,
    )


def _interface(bundle: Bundle) -> Check:
    """Check what can be read of a file that cannot be run."""
    try:
        broken, well = check_interface(main_file(bundle.path).read_bytes(), bundle.manifest)
    except BundleError as error:
        broken, well = error.given, ""
    return _check("interface", broken, well)


@dataclass(frozen=True)
class _Answers:
    """What the engine did with the golden inputs; ``broken`` is empty when it kept its word."""

    engine_version: str
    largest_difference: float | None
    broken: str


def _answer_golden(path: str | Path, engine: str) -> _Answers:
    version = ""
    try:
        predictor = BundlePredictor(path, engine)
        version = predictor.engine.version
        difference, broken = _compare(predictor)
    except MobilensError as error:
        return _Answers(version, None, error.given)
    return _Answers(version, difference, broken)


def _compare(predictor: BundlePredictor) -> tuple[float | None, str]:
    """Run the golden inputs, one by one and as a batch.

    Returns:
        The largest absolute difference, and what is wrong in words; empty when nothing is.

    Raises:
        MobilensError: An input does not decode, or the answers do not fit the task.
    """
    manifest = predictor.manifest
    if not manifest.golden:
        return None, "it holds no golden input, so that it proves nothing"
    task, vision = manifest.task, task_vision(manifest.task.kind)
    pixels = np.stack([sample.pixels(manifest.input.size) for sample in manifest.golden])
    batch = predictor.forward(pixels)
    singles = [predictor.forward(pixels[i : i + 1]) for i in range(len(pixels))]
    for outputs in (batch, *singles):
        if not all(np.isfinite(values).all() for values in outputs.values()):
            return None, "a golden input is answered with NaN or infinity"
    promised = [_promised(manifest, index) for index in range(len(pixels))]
    together = vision.decode(batch, task)
    alone = [vision.decode(outputs, task)[0] for outputs in singles]
    difference = max(
        vision.difference(golden, answer)
        for given in (together, alone)
        for golden, answer in zip(promised, given, strict=True)
    )
    if not difference <= manifest.tolerance:
        return difference, (
            f"a golden answer differs by {difference:.2g}, allowed is {manifest.tolerance:.2g}"
        )
    for given in (together, alone):
        for index, (golden, answer) in enumerate(zip(promised, given, strict=True)):
            if not vision.agree(answer, golden):
                return difference, f"golden input {index} gets another answer"
    return difference, ""


def _promised(manifest: Manifest, index: int) -> Any:
    """The golden answer to an input."""
    with np.errstate(over="ignore"):  # a value that no float32 holds is no right answer
        outputs = manifest.golden[index].outputs.items()
        values = {name: np.asarray(numbers, np.float32) for name, numbers in outputs}
    try:
        return task_vision(manifest.task.kind).recall(values, manifest.task)
    except MobilensError as error:
        raise BundleError(f"golden input {index} promises no answer: {error.given}") from None


def _check(name: str, broken: str, well: str) -> Check:
    return Check(name, "failed", broken) if broken else Check(name, "ok", well)


def _weights(manifest: Manifest) -> str:
    if not manifest.tensors:
        return "unchanged, under one hash with the graph"
    return f"{len(manifest.tensors)} tensors, unchanged"


def _summary(manifest: Manifest) -> str:
    classes = len(manifest.task.class_names)
    name = str(manifest.model.get("name", "model"))
    shown = name if codec.is_plain(name) else ascii(name)
    reduced = "" if manifest.precision == "float32" else f", {manifest.precision}"
    return f"{shown}, {manifest.task.kind}, {classes} classes{reduced}"
