"""Measure the model files beside this script; what is found goes into result.json.

    python3 run.py            sets up .venv here and installs what is needed
    python3 run.py --here     with the packages that this Python has already

This file stands alone: it uses Python's own library and what lies beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LEAST_PYTHON = (3, 11)


def main(words: list[str]) -> int:
    """Install what is missing, then measure.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong use, 130 stopped.
    """
    if sys.version_info < LEAST_PYTHON:
        return _fail(f"this is Python {sys.version.split()[0]}; 3.11 or newer is needed")
    if words not in ([], ["--here"]):
        return _fail("expected nothing, or --here", 2)
    try:
        python = sys.executable if words else _environment()
        environment = {**os.environ, "PYTHONPATH": str(FOLDER)}
        command = [python, "-P", "-m", "mobilens.device_kit.measure", str(FOLDER)]
        return subprocess.run(command, env=environment, check=False).returncode
    except subprocess.CalledProcessError as error:
        return _fail(f"{' '.join(map(str, error.cmd))} ended with {error.returncode}")
    except KeyboardInterrupt:
        return _fail("stopped", 130)


def _environment() -> str:
    """Set up .venv with the packages; an engine that does not install is left out."""
    folder = FOLDER / ".venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        print("setting up .venv", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    kit = json.loads((FOLDER / "kit.json").read_text(encoding="utf-8"))
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    print("installing " + ", ".join(kit["packages"]), flush=True)
    subprocess.run([*install, *kit["packages"]], check=True)
    for name, packages in kit["engines"].items():
        print("installing " + ", ".join(packages), flush=True)
        if subprocess.run([*install, *packages], check=False).returncode != 0:
            print(f"{name} does not install here: its files are left out", flush=True)
    return str(python)


def _fail(why: str, code: int = 1) -> int:
    print(f"run.py: {why}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
