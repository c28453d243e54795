"""What a check has to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["problem", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("problem", "warning", "note")


@dataclass(frozen=True)
class Item:
    """One case of a finding.

    Attributes:
        text: What it is about, for a person: a file with a reason, a pair, a class.
        paths: The files concerned, as the report names them.
    """

    text: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found, with every case of it.

    Attributes:
        kind: Short name for programs, such as ``"leak"``.
        severity: ``"problem"`` spoils a result, ``"warning"`` may, ``"note"`` is good to know.
        message: What was found, as one sentence without a final full stop.
        remedy: What to do about it, if anything.
        items: Every case, the worst first.
    """

    kind: str
    severity: Severity
    message: str
    remedy: str = ""
    items: tuple[Item, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file concerned, each once."""
        return tuple(dict.fromkeys(path for item in self.items for path in item.paths))

    def to_json(self) -> dict[str, Any]:
        """Give the finding as JSON values."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "message": self.message,
            "remedy": self.remedy,
            "items": [{"text": item.text, "paths": list(item.paths)} for item in self.items],
        }


def counted(number: int, noun: str, plural: str = "") -> str:
    """Give a number with its noun: ``"1 image"``, ``"1,200 images"``, ``"2 classes"``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
