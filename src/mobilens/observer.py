"""Who watches a long run: nobody, a terminal, or anything with the same two methods."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Observer(Protocol):
    """Who watches a run."""

    def say(self, text: str) -> None:
        """Take a line for a person."""
        ...

    def progress(self, items: Iterable[T], total: int, label: str) -> Iterable[T]:
        """Pass items on, showing how far it is."""
        ...


class SilentObserver:
    """Watches without a word."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def progress(self, items: Iterable[T], total: int, label: str) -> Iterable[T]:  # noqa: ARG002
        """Pass items on."""
        return items


class TerminalObserver:
    """Shows a run on stderr, so that stdout stays for results."""

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)

    def progress(self, items: Iterable[T], total: int | None, label: str) -> Iterable[T]:
        """Show a bar with the time left, after two seconds, and only on a terminal."""
        from tqdm import tqdm

        bar: Iterable[T] = tqdm(
            items, total=total, desc=label or None, disable=None, delay=2, leave=False
        )
        return bar
