"""The table of a race, kept beside the file that won it: numbers and a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mobilens.atomic import written
from mobilens.exporting.fastest import Candidate, Race
from mobilens.report.tradeoff import Panel, Point, tradeoff
from mobilens.runtime.device import this_device
from mobilens.spec import codec

TABLE_FILE, PICTURE_FILE = "fastest.json", "fastest.svg"


def standings(race: Race) -> dict[str, Any]:
    """Give the table as JSON values: the machine, the winner, all candidates, what was left out."""
    return {
        "device": codec.to_json(this_device()),
        "limits": codec.to_json(race.limits),
        "winner": codec.to_json(race.winner),
        "candidates": codec.to_json(race.candidates),
        "left_out": codec.to_json(race.left_out),
    }


def keep_standings(race: Race, folder: Path) -> None:
    """Write the table and a picture of accuracy by latency.

    Args:
        race: What was found.
        folder: Where they go.
    """
    with written(folder / TABLE_FILE) as temporary:
        temporary.write_text(json.dumps(standings(race), indent=2) + "\n", encoding="utf-8")
    device = this_device()
    points = [
        Point(_name(one), one.target, one.ms, one.score, (one.low, one.high))
        for one in race.candidates
    ]
    panel = Panel(f"{device.cpu}, {device.cores} cores", points)
    with written(folder / PICTURE_FILE) as temporary:
        temporary.write_text(tradeoff([panel], accuracy=True), encoding="utf-8")


def _name(one: Candidate) -> str:
    return f"{one.target}, {one.precision}, {one.threads} thread{'s' * (one.threads > 1)}"
