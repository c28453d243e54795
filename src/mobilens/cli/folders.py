"""Where a run's results go."""

from __future__ import annotations

from pathlib import Path


def free_folder(folder: Path) -> Path:
    """Give the folder itself, or with a number behind it when it is taken."""
    free, number = folder, 2
    while free.exists():
        free, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return free
