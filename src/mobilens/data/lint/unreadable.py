"""Files that do not decode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mobilens.data.lint.finding import Finding, Item, Severity, counted
from mobilens.data.lint.photo import Photo

# Of any split: above it, figures stand for other data than the folder seems to hold.
PROBLEM_SHARE = 0.01


def find_unreadable(photos: Sequence[Photo]) -> list[Finding]:
    """Name the files that training and evaluation will leave out, and why."""
    broken = [photo for photo in photos if not photo.is_readable]
    if not broken:
        return []
    totals = Counter(photo.split for photo in photos)
    lost = Counter(photo.split for photo in broken)
    share = max(lost[split] / totals[split] for split in lost)
    severity: Severity = "problem" if share > PROBLEM_SHARE else "warning"
    return [
        Finding(
            "unreadable",
            severity,
            f"{counted(len(broken), 'file')} of {len(photos):,} cannot be read and "
            f"{'is' if len(broken) == 1 else 'are'} left out",
            "repair, convert or delete them",
            tuple(Item(f"{photo.name}: {photo.error}", (photo.name,)) for photo in broken),
        )
    ]
