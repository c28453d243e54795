"""Freed memory stays with the process, so that the next step need not ask the system for it."""

from __future__ import annotations

import ctypes
import sys

# Of <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Tell glibc to reuse large blocks instead of returning them at once.

    Every step frees and takes the same few gigabytes. By default the C library maps each large
    tensor anew, and the system fills it with zeros page by page: up to two fifths of a step on
    CPUs (docs/log.md). Elsewhere than on Linux with glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
