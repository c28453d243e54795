"""How many cores this process may use, and how it waits on them."""

from __future__ import annotations

import math
import os
from pathlib import Path

# Linux states here what share of the machine's time a container gets: quota and period.
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
# Turns that a thread of GNU OpenMP waits in without giving its core away; 300,000 where nothing is
# said, in which another process gets nothing done on that core (docs/log.md).
SPIN_VARIABLE, SPIN = "GOMP_SPINCOUNT", "1000"


def give_way() -> None:
    """Let torch's threads give their cores to other work while they wait for each other.

    Counts only before torch is loaded; what the environment says of waiting stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault(SPIN_VARIABLE, SPIN)


def usable_cores() -> int:
    """Count the cores that this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _quota() or cores))


def _quota() -> int | None:
    """Whole cores that a container's share comes to; None without a limit."""
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # "max", or another system
        return None
