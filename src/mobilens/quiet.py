"""Runtimes that talk to their own developers, held back."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator

STDERR = 2  # of code of other languages, and of its children, whatever sys.stderr is


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back warnings, and what code of other languages prints to stderr, for a moment.

    What goes wrong is still raised.
    """
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stack.enter_context(_without_stderr(STDERR))
        yield


@contextlib.contextmanager
def _without_stderr(number: int) -> Iterator[None]:
    """Turn a file descriptor away, beneath Python's own streams."""
    sys.stderr.flush()
    kept = os.dup(number)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, number)
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)
        os.close(nowhere)
