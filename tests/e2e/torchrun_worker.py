"""``mobilens`` under torchrun, noting what each process shows to the net and writes to disk."""

import json
import os
import sys
from pathlib import Path

from mobilens.cli import main
from mobilens.training import loop

if __name__ == "__main__":
    notes, folder, rank = sys.argv[1], sys.argv[sys.argv.index("--out") + 1], os.environ["RANK"]
    shown, written = [], []
    load = loop._load

    def noted_load(run, chosen, draws, *, mosaic=True):
        shown.append(chosen.tolist())
        return load(run, chosen, draws, mosaic=mosaic)

    def noted_open(event, args):
        if event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR):
            path = Path(str(args[0]))
            if path.is_relative_to(folder):
                written.append(path.name)

    loop._load = noted_load
    sys.addaudithook(noted_open)
    code = main(sys.argv[2:])
    found = json.dumps({"shown": shown, "written": written})
    (Path(notes) / f"{rank}.json").write_text(found)
    sys.exit(code)
