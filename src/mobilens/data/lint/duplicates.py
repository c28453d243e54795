"""The same picture more than once: by content, and by appearance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from mobilens.data.lint.finding import Finding, Item, counted
from mobilens.data.lint.near import NearPair, find_near_pairs
from mobilens.data.lint.photo import MAX_COMPARED, Photo
from mobilens.data.listing import split_named
from mobilens.observer import SILENT, Observer

# Smaller pictures, such as digits of 8 x 8 pixels, look alike without being the same.
MIN_NEAR_SIDE = 32
# Of the images of val: above it, near twins in train lift the measured accuracy.
NEAR_LEAK_PROBLEM_SHARE = 0.01
SHOWN_COPIES = 4

Twins = tuple[Photo, Photo, NearPair]


def find_exact_duplicates(photos: Sequence[Photo], labels: str = "class") -> list[Finding]:
    """Find files with the same content: under two labels, in two splits, or merely twice.

    Args:
        photos: All splits together.
        labels: Kind of their labels.
    """
    one_class = labels == "class"
    groups: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        if photo.is_readable:
            groups[photo.digest].append(photo)
    conflicts, leaks, copies = [], [], []
    for group in groups.values():
        if len(group) < 2:
            continue
        if len({photo.label for photo in group}) > 1:
            conflicts.append(_group_item(group, names_labels=one_class))
        elif len({photo.split for photo in group}) > 1:
            leaks.append(_group_item(group))
        else:
            copies.append(_group_item(group))
    found = [
        Finding(
            "conflict",
            "problem",
            f"{counted(len(conflicts), 'image')} under two labels or more"
            if one_class
            else f"{counted(len(conflicts), 'image')} whose copies have different {labels}",
            "keep the right one",
            tuple(conflicts),
        ),
        Finding(
            "leak",
            "problem",
            f"{counted(len(leaks), 'image')} in more than one split: the score partly measures "
            "memory",
            "keep each in one split",
            tuple(leaks),
        ),
        Finding(
            "duplicate",
            "warning",
            f"{counted(len(copies), 'image')} more than once in a split: each copy counts again",
            "delete the copies",
            tuple(copies),
        ),
    ]
    return [finding for finding in found if finding.items]


def find_near_duplicates(photos: Sequence[Photo], observer: Observer = SILENT) -> list[Finding]:
    """Find pictures that were saved again, resized, toned, slightly cropped or turned.

    Files of the same content count once, and images under 32 pixels are not compared.

    Args:
        photos: All splits together.
        observer: Is told of progress.
    """
    if len(photos) > MAX_COMPARED:
        return [
            Finding(
                "near_skipped",
                "note",
                f"near duplicates were not looked for: {len(photos):,} images are more than "
                f"{MAX_COMPARED:,}",
                "check a few classes at a time",
            )
        ]
    unique = {
        photo.digest: (photo, photo.thumbnail)
        for photo in photos
        if photo.thumbnail is not None and min(photo.size) >= MIN_NEAR_SIDE
    }
    if not unique:
        return []
    shown, thumbnails = zip(*unique.values(), strict=True)
    pairs = find_near_pairs(np.stack(thumbnails), observer)
    return _near_findings(photos, [(shown[pair.first], shown[pair.second], pair) for pair in pairs])


def _near_findings(photos: Sequence[Photo], pairs: Sequence[Twins]) -> list[Finding]:
    crossing = [pair for pair in pairs if pair[0].split != pair[1].split]
    conflicts = [pair for pair in pairs if pair[0].label != pair[1].label]
    leaks = [pair for pair in crossing if pair[0].label == pair[1].label]
    copies = [
        pair for pair in pairs if pair[0].split == pair[1].split and pair[0].label == pair[1].label
    ]
    measured = sum(photo.split != "train" and photo.is_readable for photo in photos)
    leaked = {photo.name for pair in crossing for photo in pair[:2] if photo.split != "train"}
    is_grave = len(leaked) > NEAR_LEAK_PROBLEM_SHARE * measured
    found = [
        Finding(
            "near_leak",
            "problem" if is_grave else "warning",
            f"{len(leaked):,} of {counted(measured, 'image')} to measure on "
            f"{'looks' if len(leaked) == 1 else 'look'} nearly the same as one in another split: "
            "the score partly measures memory",
            "keep pictures of one moment in one split",
            tuple(map(_pair_item, leaks)),
        ),
        Finding(
            "near_conflict",
            "warning",
            f"{counted(len(conflicts), 'pair')} of nearly the same picture under two labels",
            "look at them and keep the right label",
            tuple(map(_pair_item, conflicts)),
        ),
        Finding(
            "near_duplicate",
            "note",
            f"{counted(len(copies), 'pair')} of nearly the same picture within a split",
            "",
            tuple(map(_pair_item, copies)),
        ),
    ]
    return [finding for finding in found if finding.items]


def _group_item(group: Sequence[Photo], *, names_labels: bool = True) -> Item:
    # One of each label and split first: they are what the finding is about, and few are shown.
    first = {(photo.label, photo.split): photo for photo in reversed(group)}
    ordered = sorted(group, key=lambda photo: first[photo.label, photo.split] is not photo)
    shown = _shown(ordered, names_labels=names_labels)
    more = f" and {len(shown) - SHOWN_COPIES} more" if len(shown) > SHOWN_COPIES else ""
    return Item(" = ".join(shown[:SHOWN_COPIES]) + more, tuple(photo.name for photo in group))


def _pair_item(twins: Twins) -> Item:
    first, second, pair = twins
    turned = f", {pair.turned}" if pair.turned else ""
    text = f"{' ~ '.join(_shown((first, second)))} (alike {pair.similarity:.2f}{turned})"
    return Item(text, (first.name, second.name))


def _shown(photos: Sequence[Photo], *, names_labels: bool = True) -> list[str]:
    """Names, with the split where it matters and the name does not begin with it."""
    crosses = len({photo.split for photo in photos}) > 1
    # Where a table gives the labels, names do not tell them. Labels other than classes are long.
    contradicts = names_labels and len({photo.label for photo in photos}) > 1
    return [
        photo.name
        + (f" in {photo.split}" if crosses and not _tells_split(photo) else "")
        + (f" as {photo.label}" if contradicts and photo.label not in photo.name else "")
        for photo in photos
    ]


def _tells_split(photo: Photo) -> bool:
    return split_named(photo.name.partition("/")[0]) is not None
