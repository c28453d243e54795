"""The machine that answers: its name, its cores, and the memory that was used."""

from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mobilens.cores import usable_cores

CPU_INFO = Path("/proc/cpuinfo")
# Boards with an ARM processor name themselves here and not in cpuinfo.
BOARD_NAME = Path("/proc/device-tree/model")
PROCESS_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Device:
    """What a measurement was made on.

    Attributes:
        cpu: Name of the processor or the board.
        cores: Cores that this process may use.
        system: Operating system and instruction set.
    """

    cpu: str
    cores: int
    system: str


def this_device() -> Device:
    """Describe this machine."""
    return Device(_cpu_name(), usable_cores(), f"{platform.system()} {platform.machine()}")


def peak_memory_bytes() -> int | None:
    """Give the most memory that this process ever held, where the system tells."""
    if PROCESS_STATUS.exists():
        # Linux counts what the parent held into ru_maxrss; this figure is the process's own.
        for line in PROCESS_STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _cpu_name() -> str:
    if BOARD_NAME.exists():
        return BOARD_NAME.read_text().rstrip("\0\n")
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return platform.processor() or platform.machine()
