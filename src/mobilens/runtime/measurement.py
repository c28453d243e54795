"""What was measured, with all that it depends on; to JSON and back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mobilens.errors import DataError, SpecError
from mobilens.runtime.device import Device
from mobilens.runtime.manifest import MeasuredOn
from mobilens.spec import codec
from mobilens.vision.intervals import Estimate

FORMAT = 1
MAX_FILE_BYTES = 16 * 1024 * 1024
EXPECTED = "JSON of mobilens benchmark: result.json of a device kit, or what --json printed"


def _require_plain(*texts: str) -> None:
    for text in texts:
        if not codec.is_plain(text):
            raise SpecError(f"a name holds control characters: {text!a}")


@dataclass(frozen=True)
class Measurement:
    """What was found for one configuration, over all rounds.

    Attributes:
        path: Model file.
        engine: Name of the engine that ran it.
        engine_version: Its version.
        threads: Threads for one answer.
        batch: Images in one run.
        size_bytes: Size of the file, and of what belongs to it.
        runs: Runs that were timed.
        p50_ms: Median time of one run, milliseconds.
        p95_ms: Time that 95 of 100 runs stay below, milliseconds.
        images_per_second: Images answered, decoding not included; median of the rounds.
        peak_memory_bytes: Most that the process held, Python and the engine included; None
            where the system does not tell.
        model_memory_bytes: The part of it that came with opening and running the model.
        model: Name of the architecture; empty for a file without a manifest.
        precision: What the file says that it computes in; likewise.
        macs: Multiply-accumulate operations for one image; None where the file does not say.
        peak_share: Two operations for each of them over the median time, as a share of the
            machine's measured peak in this precision on as many threads; None where one of these
            is not known. Above 1 where an engine beats every probe.
        accuracy: Main figure of the task on the data, 0 to 1; None where it was not measured.
        library: Whose plain export the file is; empty for a file that was given.
        ratios: Time of this file over that of a library's plain export on the same engine, by
            library: the median of the rounds and its interval. Below 1 is faster.
    """

    path: str
    engine: str
    engine_version: str
    threads: int
    batch: int
    size_bytes: int
    runs: int
    p50_ms: float
    p95_ms: float
    images_per_second: float
    peak_memory_bytes: int | None
    model_memory_bytes: int | None
    model: str = ""
    precision: str = ""
    macs: int | None = None
    peak_share: float | None = None
    accuracy: Estimate | None = None
    library: str = ""
    ratios: dict[str, Estimate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = (self.threads, self.batch, self.size_bytes, self.runs)
        times = [self.p50_ms, self.p95_ms, self.images_per_second]
        for ratio in self.ratios.values():
            times += [ratio.low, ratio.value, ratio.high]
        if not (min(counts) > 0 and all(0 < time < math.inf for time in times)):
            raise SpecError(f"a figure of {self.path!a} is not above 0")
        found = self.accuracy
        if found is not None and not 0 <= found.low <= found.value <= found.high <= 1:
            raise SpecError(f"the accuracy of {self.path!a} is not within its interval")
        _require_plain(self.path, self.engine, self.engine_version, self.model, self.precision)
        _require_plain(self.library, *self.ratios)


@dataclass(frozen=True)
class Peak:
    """The most operations that this machine was seen to do.

    Attributes:
        precision: ``"float32"`` or ``"int8"``.
        threads: On how many threads.
        operations_per_second: A multiplication and an addition count as two; median of the rounds.
        probe: What reached it: the quickest of several.
    """

    precision: str
    threads: int
    operations_per_second: float
    probe: str

    def __post_init__(self) -> None:
        if not (self.operations_per_second > 0 and math.isfinite(self.operations_per_second)):
            raise SpecError(f"a peak of {self.operations_per_second} is not above 0")
        _require_plain(self.precision, self.probe)


@dataclass(frozen=True)
class LeftOut:
    """Something that was asked for and not measured.

    Attributes:
        what: A file, or a library's net.
        reason: Why, and what to do.
    """

    what: str
    reason: str

    def __post_init__(self) -> None:
        _require_plain(self.what, self.reason)


@dataclass(frozen=True)
class BenchmarkReport:
    """Measurements on one machine, with all that they depend on.

    Attributes:
        device: The machine.
        rounds: Fresh processes for each configuration.
        measurements: One for each configuration: files in the order given, then threads, batch.
        peaks: The roofs that shares of a peak refer to.
        data: What accuracy was measured on.
        left_out: What was asked for and not measured.
        imported: Measurements that were brought here from other machines.
        format: Version of this layout.
    """

    device: Device
    rounds: int
    measurements: tuple[Measurement, ...]
    peaks: tuple[Peak, ...] = ()
    data: MeasuredOn | None = None
    left_out: tuple[LeftOut, ...] = ()
    imported: tuple[BenchmarkReport, ...] = ()
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise SpecError(f"rounds is {self.rounds}", expected="1 or more")
        _require_plain(self.device.cpu, self.device.system, *(self.device.int8 or ()))

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return dict(codec.to_json(self))

    def machines(self) -> Iterator[BenchmarkReport]:
        """Give the measurements of each machine apart, this one first."""
        yield replace(self, imported=())
        for other in self.imported:
            yield from other.machines()


def read_report(path: Path) -> BenchmarkReport:
    """Read measurements that another machine made.

    Raises:
        DataError: The file is not there, cut short, or no such JSON; the message names the field.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DataError(f"{path} has {size:,} bytes", expected=f"at most {MAX_FILE_BYTES:,}")
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", expected=EXPECTED) from None
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is no JSON, or was cut short: {error}",
            expected=EXPECTED,
            remedy="copy it again from the machine that wrote it",
        ) from None
    given = value.get("format") if isinstance(value, dict) else None
    if isinstance(given, int) and given > FORMAT:
        raise DataError(
            f"{path}: a newer mobilens wrote it (format {given})",
            expected=f"format {FORMAT}",
            remedy="pip install --upgrade mobilens",
        )
    if not isinstance(value, dict) or "measurements" not in value:
        raise DataError(f"{path} holds something else", expected=EXPECTED)
    try:
        return codec.from_json(BenchmarkReport, value, "result")
    except (SpecError, RecursionError) as error:
        given = error.given if isinstance(error, SpecError) else "it is nested too deep"
        raise DataError(f"{path}: {given}", expected=EXPECTED) from None
