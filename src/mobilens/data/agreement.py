"""Checks that class names agree: enough of them, the same in every part, all known to a model."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from mobilens.data.labels import label_kind
from mobilens.data.listing import Listing, Part, some
from mobilens.data.names import clean_name, order_classes
from mobilens.errors import DataError


def require_enough_classes(listing: Listing, class_names: Sequence[str]) -> None:
    """Refuse data from which nothing can be told apart, or found.

    Raises:
        DataError: There is one class only where it takes two, or none.
    """
    if len(class_names) >= label_kind(listing.labels).LEAST_CLASSES:
        return
    if not class_names:
        raise DataError(f"{listing.name} labels nothing", expected="one label or more")
    empty = order_classes(name for part in listing.parts for name in part.empty)
    raise DataError(
        f"{listing.name} has one class only: {class_names[0]}",
        expected="two classes or more, each with a folder (or a label) of its own",
        remedy=f"put images into {some(empty)}, which is empty"
        if empty
        else f"sort the images of {class_names[0]!r} into a folder per class, or add another class",
    )


def require_same_classes(
    listing: Listing, train: Part, other: Part, *, may_lack: bool = False
) -> None:
    """Refuse to measure other classes than those that are learnt.

    Args:
        listing: Both are parts of it.
        train: The part to learn from.
        other: The part to measure on.
        may_lack: Whether ``other`` may lack some of the classes.

    Raises:
        DataError: The classes differ; the message names the difference, in both directions.
    """
    ours, theirs = set(listing.names_in(train)), set(listing.names_in(other))
    may_lack = may_lack or listing.labels != "class"
    only_train = () if may_lack else order_classes(ours - theirs)
    only_other = order_classes(theirs - ours)
    if not only_train and not only_other:
        return
    train_name, other_name = train.root.name, other.root.name
    if train.root == other.root:
        train_name, other_name = str(train.split), str(other.split)
    differences = [
        f"only in {name}: {some(only, 10)}"
        for name, only in ((train_name, only_train), (other_name, only_other))
        if only
    ]
    raise DataError(
        f"{train_name} and {other_name} have different classes; " + "; ".join(differences),
        expected="the same classes in both; a class folder without an image counts as absent",
        remedy=_renaming(only_other, only_train or tuple(ours), other_name),
    )


def require_known_classes(listing: Listing, part: Part, class_names: Sequence[str]) -> None:
    """Refuse labels that a model cannot give.

    Args:
        listing: For the message.
        part: The labelled files.
        class_names: All classes of the model.

    Raises:
        DataError: A label is none of ``class_names``; the message names the difference.
    """
    known = {clean_name(name) for name in class_names}
    labels = set(listing.names_in(part))
    unknown = order_classes(labels - known)
    if not unknown:
        return
    unused = order_classes(known - labels)
    raise DataError(
        f"{listing.name} has classes that the model does not know: {some(unknown, 10)}",
        expected=f"the model's classes ({len(known)}); not in the data: {some(unused, 10)}"
        if unused
        else f"the model's classes: {some(order_classes(known), 10)}",
        remedy=_renaming(unknown, unused, "the data"),
    )


def _renaming(wrong: Iterable[str], right: Sequence[str], where: str) -> str:
    """Advice where a name looks like a slip of another."""
    folded = {name.casefold(): name for name in right}
    for name in wrong:
        close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
        if close:
            return f"rename {name!r} in {where} to {folded[close[0]]!r}"
    return ""
