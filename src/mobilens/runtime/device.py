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
# Instructions that multiply integers of 8 bits and add the products up, as Linux calls them.
INT8 = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "i8mm": "I8MM",
    "asimddp": "dot product",
}
NO_INT8 = "no instructions for 8 bits"


@dataclass(frozen=True)
class Device:
    """What a measurement was made on.

    Attributes:
        cpu: Name of the processor or the board.
        cores: Cores that this process may use.
        system: Operating system and instruction set.
        int8: Its instructions for products of 8-bit integers, the widest first; None where the
            system does not tell. Without any, 8 bits are hardly faster than floats.
    """

    cpu: str
    cores: int
    system: str
    int8: tuple[str, ...] | None = None

    @property
    def processor(self) -> str:
        """The processor, with what it has for integers of 8 bits where that is known."""
        if self.int8 is None:
            return self.cpu
        return f"{self.cpu} ({', '.join(self.int8) or NO_INT8})"


def this_device() -> Device:
    """Describe this machine."""
    system = f"{platform.system()} {platform.machine()}"
    return Device(_cpu_name(), usable_cores(), system, _int8())


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


def _int8() -> tuple[str, ...] | None:
    told = (_cpu_info("flags") or _cpu_info("Features") or "").split()
    return tuple(title for flag, title in INT8.items() if flag in told) if told else None


def _cpu_info(name: str) -> str | None:
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return None


def _cpu_name() -> str:
    if BOARD_NAME.exists():
        return BOARD_NAME.read_text().rstrip("\0\n")
    if name := _cpu_info("model name"):
        return name
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return platform.processor() or platform.machine()
