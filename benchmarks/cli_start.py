"""How long ``mobilens --help`` and its like take, beside Python that does nothing.

    python benchmarks/cli_start.py [--rounds 20] [--json]

Every command is a fresh process; in each round all of them take turns. ``import`` lines show what
a bare import costs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import mobilens": ["-c", "import mobilens"],
    "mobilens --help": ["-m", "mobilens", "--help"],
    "mobilens train --help": ["-m", "mobilens", "train", "--help"],
    "mobilens predict --help": ["-m", "mobilens", "predict", "--help"],
    "mobilens info": ["-m", "mobilens", "info"],
    "import numpy": ["-c", "import numpy"],
    "import onnxruntime": ["-c", "import onnxruntime"],
    "import torch": ["-c", "import torch"],
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, metavar="N")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(args.rounds):
        for name, words in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *words], capture_output=True, check=True)
            times[name].append(1000 * (time.perf_counter() - started))
    medians = {name: statistics.median(values) for name, values in times.items()}
    if args.json:
        print(json.dumps({"rounds": args.rounds, "median_ms": medians}, indent=2))
        return
    print(f"medians of {args.rounds} rounds, milliseconds")
    for name, median in medians.items():
        print(f"{name:24} {median:8.0f}   least {min(times[name]):6.0f}")


if __name__ == "__main__":
    main()
