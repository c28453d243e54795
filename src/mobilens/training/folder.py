"""Where a run's results go."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mobilens.atomic import remove_leftovers
from mobilens.errors import DataError, SpecError, UsageError
from mobilens.training.log import LOG_FILE
from mobilens.training.settings import SETTINGS_FILE, TrainSettings
from mobilens.training.state import STATE_FILE

# All that a run writes, from its settings to its report.
FILES = (SETTINGS_FILE, LOG_FILE, STATE_FILE, "best.safetensors", "model.onnx", "report.html")
DELIVERED = FILES[-2:]


def clear_leftovers(folder: Path) -> None:
    """Remove what a run that was killed while it wrote left beside its files, and nothing else."""
    for name in FILES:
        remove_leftovers(folder / name)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder and keep a second run out of it; the system lets go when this process ends.

    A folder that was made here and is empty in the end, since the run was refused, is removed. Of
    the processes that ``torchrun`` starts, the leading one alone holds it.

    Raises:
        UsageError: Another process trains there.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    handle = _take(folder)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty, as it should be
                folder.rmdir()


def _take(folder: Path) -> int | None:
    """Lock a folder, and give what holds the lock while it is open; None where there are none."""
    try:
        import fcntl
    except ImportError:  # Windows has no such locks
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UsageError(
            f"another process trains in {folder}",
            expected="one at a time",
            remedy="wait for it, stop it, or name another folder with --out",
        ) from None
    except OSError:  # some network drives know no locks
        pass
    return handle


def forget_unbegun(folder: Path) -> None:
    """Remove the settings that a refused run wrote before its first epoch."""
    if not (folder / STATE_FILE).exists():
        (folder / SETTINGS_FILE).unlink(missing_ok=True)


def free_folder(folder: Path) -> Path:
    """Give the folder itself, or with a number behind it when it is taken."""
    free, number = folder, 2
    while free.exists():
        free, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return free


def run_folder(out: str | Path | None, source: str, model: str) -> Path:
    """Give the folder of a new run; nothing is written yet.

    Args:
        out: Folder asked for; None for a new one such as ``runs/photos-mobilenet_v3_small``.
        source: What it learns from; names the new folder.
        model: Architecture; likewise.

    Raises:
        UsageError: The folder asked for holds another run, or cannot be one.
    """
    if out is None:
        stem = Path(source).resolve().stem
        plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem).strip("-")
        return free_folder(Path("runs") / f"{plain or 'photos'}-{model}")
    in_the_way = next((p for p in (Path(out), *Path(out).parents) if p.is_file()), None)
    if in_the_way:
        raise UsageError(
            f"{in_the_way} is a file",
            expected="a folder for the results, which is made if need be",
            remedy="name another with --out",
        )
    _refuse_taken(Path(out))
    return Path(out)


def _refuse_taken(folder: Path) -> None:
    """Nothing that a run writes may be there, but what one killed before its first epoch left."""
    if (folder / STATE_FILE).exists():
        raise UsageError(
            f"{folder} holds another run",
            remedy=f"mobilens train --resume {folder} to go on with it, or another folder",
        )
    unbegun = (SETTINGS_FILE, LOG_FILE) if _holds_settings(folder / SETTINGS_FILE) else ()
    for name in FILES:
        if (folder / name).exists() and name not in unbegun:
            raise UsageError(
                f"{folder / name} is there already, and a run would replace it",
                expected="a folder without such a file, since a run writes its own",
                remedy="name another with --out",
            )


def _holds_settings(file: Path) -> bool:
    try:
        TrainSettings.load(file)
    except (DataError, SpecError):
        return False
    return True


def settings_of_run(folder: Path) -> TrainSettings:
    """Read what the run in a folder was asked for.

    Raises:
        DataError: The folder holds no run, or its settings cannot be read.
    """
    if not (folder / SETTINGS_FILE).is_file():
        raise DataError(
            f"{folder} holds no run",
            expected=f"a folder that `mobilens train` wrote, with {SETTINGS_FILE} in it",
            remedy="mobilens train DATA --out FOLDER to begin one",
        )
    return TrainSettings.load(folder / SETTINGS_FILE)


def settings_to_resume(folder: Path) -> TrainSettings:
    """Read what the run in a folder was asked for, in order to go on with it.

    Raises:
        DataError: The folder holds no run, or its settings cannot be read.
        UsageError: The run is finished, and what it would go on from was deleted.
    """
    settings = settings_of_run(folder)
    finished = any((folder / name).exists() for name in DELIVERED)
    if finished and not (folder / STATE_FILE).exists():
        raise UsageError(
            f"the run in {folder} is finished, and its {STATE_FILE} is gone",
            expected=f"{STATE_FILE}, to go on from",
            remedy=f"mobilens train --recipe {folder / SETTINGS_FILE} to repeat it in a new folder",
        )
    return settings
