"""What a runtime makes of a file: its operators, their precision, and their share of the time.

An INT8 file is only as quick as the operators that still compute in float let it be, and a delegate
only as good as its reach. Run for itself, this module profiles one file and prints JSON: a profile
is taken in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobilens.errors import MobilensError
from mobilens.runtime.bundle import read_bundle
from mobilens.runtime.engines import engine_type
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.profilers import Operator, profiler
from mobilens.spec import codec

RUNS = 30


@dataclass(frozen=True)
class OperatorGroup:
    """Operators of one kind, precision and place.

    Attributes:
        kind: What they do, in the engine's words.
        precision: What they compute in; empty where the engine does not tell.
        where: What ran them.
        count: How many.
        ms: Their time together, milliseconds.
        share: Their part of the time of all operators, 0 to 1.
    """

    kind: str
    precision: str
    where: str
    count: int
    ms: float
    share: float


@dataclass(frozen=True)
class OperatorReport:
    """The operators of a file.

    Attributes:
        path: The file.
        engine: Name of the engine.
        threads: Threads for one answer.
        precision: What the file says that it computes in.
        groups: The operators, the most costly first.
        note: What the engine does not tell.
    """

    path: str
    engine: str
    threads: int
    precision: str
    groups: tuple[OperatorGroup, ...]
    note: str

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return dict(codec.to_json(self))


def operators(path: str | Path, threads: int = 1) -> OperatorReport:
    """Profile a file.

    Args:
        path: Model file.
        threads: Threads for one answer, 1 or more.

    Raises:
        BundleError: It is no model file of mobilens, or was changed.
        MissingExtraError: Its engine is not installed.
        UsageError: Its engine has no profile.
        MobilensError: It did not run.
    """
    bundle = read_bundle(path)
    bundle.check_seal()
    engine = FORMATS[bundle.format].engine
    engine_type(engine)
    note = profiler(engine).NOTE
    height, width = bundle.manifest.input.size
    options = [str(path), engine, str(threads), str(height), str(width)]
    command = [sys.executable, "-P", "-m", "mobilens.runtime.operators", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        reason = said[-1] if said else f"its process ended with {done.returncode}"
        raise MobilensError(f"{path}, {engine}: the profile failed: {reason}")
    each = [Operator(**one) for one in json.loads(done.stdout.splitlines()[-1])]
    return OperatorReport(
        str(path), engine, threads, bundle.manifest.precision, _grouped(each), note
    )


def _grouped(each: Sequence[Operator]) -> tuple[OperatorGroup, ...]:
    groups: dict[tuple[str, str, str], list[Operator]] = {}
    for one in each:
        groups.setdefault((one.kind, one.precision, one.where), []).append(one)
    whole = sum(one.ms for one in each)
    found = []
    for key, members in groups.items():
        ms = sum(one.ms for one in members)
        # Clocks are coarse: a net of nothing takes no time.
        found.append(OperatorGroup(*key, len(members), ms, ms / whole if whole else 0.0))
    return tuple(sorted(found, key=lambda group: (-group.ms, -group.count)))


if __name__ == "__main__":
    file, engine, *numbers = sys.argv[1:]
    threads, height, width = map(int, numbers)
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    try:
        found = profiler(engine).profile(Path(file), threads, pixels, RUNS)
    except MobilensError as error:
        sys.exit(error.given)
    print(json.dumps([asdict(one) for one in found]))
