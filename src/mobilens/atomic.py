"""Files that appear whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Give a name to write to, in the same folder; at the end of the block it becomes ``path``.

    An exception in the block leaves nothing behind, and what was at ``path`` as it was.
    """
    writer = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.stem}.{writer}.tmp{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        # The name that was asked for says more than ours.
        if error.filename == str(temporary):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def written_together(path: Path, companions: tuple[str, ...]) -> Iterator[Path]:
    """As ``written``, for a file with others of the same name beside it.

    They are written in a folder of their own under their last names, and then move out of it, the
    file itself at the end: while it is there, it is whole. What is written may be a folder too; one
    that it replaces is gone for the moment between two renames, since no system call swaps folders
    everywhere.

    Args:
        path: The file, or the folder.
        companions: Suffixes of those beside it.
    """
    writer = f"{os.getpid()}-{threading.get_ident()}"
    folder = path.with_name(f".{path.stem}.{writer}.tmp{path.suffix}")
    folder.mkdir()
    temporary = folder / path.name
    try:
        yield temporary
        for suffix in companions:
            temporary.with_suffix(suffix).replace(path.with_suffix(suffix))
        if temporary.is_dir():
            _replace_folder(temporary, path, folder / "before")
        else:
            temporary.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace_folder(new: Path, path: Path, aside: Path) -> None:
    """Rename a folder to the name of another, which is put aside, or back if that fails."""
    if not path.is_dir():
        new.replace(path)
        return
    try:
        path.replace(aside)
        new.replace(path)
    except BaseException:
        if aside.is_dir() and not path.exists():
            aside.replace(path)
        raise


def remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed while they wrote ``path`` left beside it."""
    for file in path.parent.glob(f".{glob.escape(path.stem)}.*.tmp{path.suffix}"):
        writer = file.name.removesuffix(f".tmp{path.suffix}").rpartition(".")[2]
        process = writer.partition("-")[0]
        if not (process.isdigit() and _is_alive(int(process))):
            _remove(file)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    """Whether a process may still be writing; unknown on Windows, where asking would end it."""
    if os.name != "posix" or process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
