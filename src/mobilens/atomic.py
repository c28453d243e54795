"""Files that appear whole or not at all."""

from __future__ import annotations

import glob
import os
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


def remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed while they wrote ``path`` left beside it."""
    for file in path.parent.glob(f".{glob.escape(path.stem)}.*.tmp{path.suffix}"):
        writer = file.name.removesuffix(f".tmp{path.suffix}").rpartition(".")[2]
        process = writer.partition("-")[0]
        if not (process.isdigit() and _is_alive(int(process))):
            file.unlink(missing_ok=True)


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
