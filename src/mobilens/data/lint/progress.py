"""How long work shows how far it is: the caller wraps what it goes through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Gives the items back one by one, and may show a bar meanwhile."""

    def __call__(self, items: Iterable[T], *, total: int, label: str) -> Iterable[T]:
        """Wrap the items.

        Args:
            items: What is gone through.
            total: How many they are.
            label: What is done, such as ``"read"``.
        """
        ...


def silent(items: Iterable[T], *, total: int, label: str) -> Iterable[T]:  # noqa: ARG001 (the protocol)
    """Show nothing."""
    return items
