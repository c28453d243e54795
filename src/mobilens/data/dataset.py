"""Dataset: samples of one split, with class names in the one order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mobilens.cores import usable_cores
from mobilens.data.agreement import (
    require_enough_classes,
    require_known_classes,
    require_same_classes,
)
from mobilens.data.files import common_folder
from mobilens.data.formats import read_source
from mobilens.data.holdout import hold_out
from mobilens.data.labels import label_kind
from mobilens.data.listing import Listing, Part, Source, some
from mobilens.data.names import clean_name, order_classes, relative_name
from mobilens.errors import DataError, UsageError
from mobilens.vision.image import Region
from mobilens.vision.orientation import Box
from mobilens.vision.predictor import VAL_FRACTION


@dataclass(frozen=True)
class Sample:
    """One image with what it should be answered with.

    Attributes:
        path: The image file.
        target: For classification, the index of its class; for others as their kind of labels
            has it (``data.labels``).
        region: Left, top, right, bottom of what the target speaks of, pixels; None for the whole
            image.
    """

    path: Path
    target: Any
    region: Box | None = None

    @property
    def source(self) -> Path | Region:
        """What is read to answer it."""
        return self.path if self.region is None else Region(self.path, self.region)


@dataclass(frozen=True)
class SkippedFile:
    """A file that could not be answered.

    Attributes:
        path: Its name within the data set.
        reason: Why.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Samples of one split.

    Attributes:
        root: Folder that samples are named from.
        split: ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
        class_names: In the order of the targets.
        samples: In the order of class and name.
        labels: Kind of its labels, one of ``data.labels.LABELS``.
        links: Pairs of classes that belong together, such as the ends of a limb.
    """

    root: Path
    split: str
    class_names: tuple[str, ...]
    samples: tuple[Sample, ...]
    labels: str = "class"
    links: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def name_of(self, sample: Sample) -> str:
        """The sample's path from ``root``, with slashes, the same on every platform."""
        return relative_name(sample.path, self.root)

    def class_counts(self) -> dict[str, int]:
        """Things of each class, in the order of the classes; 0 where there is none."""
        kind = label_kind(self.labels)
        counts = Counter(
            number for sample in self.samples for number in kind.classes(sample.target)
        )
        return {name: counts[index] for index, name in enumerate(self.class_names)}

    def label_text(self, sample: Sample) -> str:
        """What a sample is labelled with, in words; other labels have other words."""
        return label_kind(self.labels).text(sample.target, self.class_names)

    def without(self, paths: Collection[Path]) -> Dataset:
        """The same data set less the files at ``paths``, such as those that do not decode."""
        left_out = set(paths)
        kept = tuple(sample for sample in self.samples if sample.path not in left_out)
        return replace(self, samples=kept)

    def fingerprint(self) -> str:
        """SHA-256 over every sample's name, label and content, wherever the folder lies.

        A file that cannot be read counts as one without content.

        Returns:
            64 hexadecimal digits.
        """
        # Several things of one image are samples each.
        paths = dict.fromkeys(sample.path for sample in self.samples)
        with ThreadPoolExecutor(usable_cores()) as pool:
            contents = dict(zip(paths, pool.map(_content_hash, paths), strict=True))
        rows = sorted(
            (self.name_of(sample), self.label_text(sample), contents[sample.path])
            for sample in self.samples
        )
        digest = hashlib.sha256()
        for row in rows:
            digest.update("\0".join(row).encode() + b"\n")
        return digest.hexdigest()


@dataclass(frozen=True)
class DataSplits:
    """Training and validation data with the same classes.

    Attributes:
        train: To learn from.
        val: To measure on.
        notes: What a person should know about the reading, one sentence each.
        test: A third part, where the source has it beside validation.
    """

    train: Dataset
    val: Dataset
    notes: tuple[str, ...] = ()
    test: Dataset | None = None

    def fingerprint(self) -> str:
        """SHA-256 over training and validation data, as ``Dataset.fingerprint``."""
        both = self.train.fingerprint() + self.val.fingerprint()
        return hashlib.sha256(both.encode()).hexdigest()


def load_splits(
    source: Source,
    *,
    labels: str = "class",
    val_fraction: float = VAL_FRACTION,
    seed: int = 0,
) -> DataSplits:
    """Load training and validation data.

    Where the source is not divided, a share of each class is held out, chosen by a hash of each
    file's name: the same files every time, on every platform, and nearly the same after files
    were added. A class with two images or more has at least one on either side.

    Args:
        source: A folder, a CSV file, a pattern, or a list of patterns, folders and files.
        labels: Kind of labels to look for, one of ``data.labels.LABELS``.
        val_fraction: Share held out where the source is not divided, above 0 and below 1.
        seed: Chooses other files to hold out.

    Raises:
        DataError: The source cannot be used, has one class only, or other classes in validation
            than in training.
        UsageError: ``val_fraction`` is out of range.
    """
    if not 0 < val_fraction < 1:
        raise UsageError(f"val_fraction is {val_fraction}", expected="above 0 and below 1")
    listing = read_source(source, labels)
    train, val, notes = _divide(listing, val_fraction, seed)
    test = listing.part("test") if listing.part("val") else None
    is_open = label_kind(labels).OPEN
    class_names = listing.class_names or order_classes(listing.names_in(train))
    require_enough_classes(listing, class_names)
    if not listing.class_names and not is_open:
        require_same_classes(listing, train, val, may_lack=bool(notes))
        if test is not None:
            require_same_classes(listing, train, test, may_lack=True)

    def built(part: Part, split: str) -> Dataset:
        own = order_classes(listing.names_in(part)) if is_open else class_names
        return _build(listing, part, split, own)

    return DataSplits(
        built(train, "train"),
        built(val, "val"),
        listing.notes + notes,
        built(test, "test") if test else None,
    )


def load_split(
    source: Source,
    split: str = "val",
    class_names: Sequence[str] | None = None,
    *,
    labels: str = "class",
) -> Dataset:
    """Load one split, to measure on.

    ``"val"`` is the validation part, or else the test part; a source that is not divided counts
    as a whole, and where there is a training part alone, what ``load_splits`` holds out.
    ``"train"`` and ``"test"`` are those parts, ``"all"`` is everything.

    Args:
        source: As for ``load_splits``.
        split: ``"val"``, ``"train"``, ``"test"`` or ``"all"``.
        class_names: A model's classes in its order, of which the source may lack some; by default,
            and of open labels always, the source's own, in the one order.
        labels: Kind of labels to look for.

    Raises:
        DataError: The source cannot be used, lacks the part, or has classes that ``class_names``
            does not have.
        UsageError: No such split.
    """
    if split not in ("val", "train", "test", "all"):
        raise UsageError(f"split is {split!r}", expected="val, train, test or all")
    listing = read_source(source, labels)
    part = _part_for(listing, split)
    is_open = label_kind(labels).OPEN
    if class_names is None or is_open:
        names = listing.class_names or order_classes(
            name
            for item in ((part,) if is_open else listing.parts)
            for name in listing.names_in(item)
        )
        require_enough_classes(listing, names)
    else:
        names = tuple(class_names)
        require_known_classes(listing, part, names)
    return _build(listing, part, part.split or "all", names)


def _divide(listing: Listing, fraction: float, seed: int) -> tuple[Part, Part, tuple[str, ...]]:
    """Training part, validation part, and a note where the second was held out."""
    train, val = listing.part("train", None), listing.part("val", "test")
    if train is None:
        raise DataError(
            f"{listing.name} has no part for training, only "
            + some([str(part.split) for part in listing.parts]),
            expected="train beside it",
        )
    if val is not None:
        return train, val, ()
    rest, held = hold_out(train, fraction, seed, labels=listing.labels)
    if not held.files and label_kind(listing.labels).OPEN:
        raise DataError(
            f"{listing.name} has {len(set(listing.names_in(train)))} classes and no part to "
            "measure on",
            expected="four classes at least: two to learn, and two others to measure on",
        )
    if not held.files:
        raise DataError(
            f"every class of {listing.name} has one image only"
            if listing.labels == "class"
            else f"{listing.name} has one image only",
            expected="two at least, to learn from one and measure on the other",
        )
    share = f"{fraction:.0%} of each class, chosen by a hash of the file's name"
    if label_kind(listing.labels).OPEN:
        classes = len(set(listing.names_in(held)))
        share = f"all of {classes} classes, chosen by a hash of the name"
    note = f"no validation part: {_images(held)} of {_images(train)} images are held out ({share})"
    return rest, held, (note,)


def _images(part: Part) -> int:
    """Of several things in one image, each is a sample of its own."""
    return len({path for path, _ in part.files})


def _part_for(listing: Listing, split: str) -> Part:
    whole = listing.part(None)
    if split == "all":
        files = tuple(file for part in listing.parts for file in part.files)
        return whole or Part(None, common_folder(part.root for part in listing.parts), files)
    if split == "test":
        part = listing.part("test")
        if part is None:
            raise DataError(f"{listing.name} has no test part", expected="a folder named test")
        return part
    measured = listing.part("val", "test", None)
    if split == "val" and measured is not None:
        return measured
    train, val, _ = _divide(listing, VAL_FRACTION, 0)
    return train if split == "train" else val


def _build(listing: Listing, part: Part, split: str, class_names: tuple[str, ...]) -> Dataset:
    kind = label_kind(listing.labels)
    # A model's names may be stored in another Unicode form than the labels.
    index = {clean_name(name): position for position, name in enumerate(class_names)}
    # By class, where an image has one, and by name.
    order = sorted(
        (sorted({index[name] for name in kind.names(label)})[:1], relative_name(path, part.root), i)
        for i, (path, label) in enumerate(part.files)
    )
    targets = ((part.files[i][0], kind.target(part.files[i][1], index)) for _, _, i in order)
    samples = tuple(Sample(path, target, kind.region(target)) for path, target in targets)
    links = tuple((index[one], index[other]) for one, other in listing.links)
    return Dataset(part.root, split, class_names, samples, listing.labels, links)


def _content_hash(path: Path) -> str:
    try:
        if not path.is_file():  # a pipe would wait for a writer
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
