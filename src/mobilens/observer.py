"""Who watches a long run: nobody, a terminal, or anything with the same two methods."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")
Note = Callable[[], str]


class Observer(Protocol):
    """Who watches a run."""

    def say(self, text: str) -> None:
        """Take a line for a person."""
        ...

    def progress(
        self, items: Iterable[T], total: int, label: str, note: Note | None = None
    ) -> Iterable[T]:
        """Pass items on, showing how far it is; ``note`` gives a few words on the last one."""
        ...


class SilentObserver:
    """Watches without a word."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def progress(
        self,
        items: Iterable[T],
        total: int,  # noqa: ARG002
        label: str,  # noqa: ARG002
        note: Note | None = None,  # noqa: ARG002
    ) -> Iterable[T]:
        """Pass items on."""
        return items


SILENT = SilentObserver()


class SayOnce:
    """Passes on to another observer, a line that was said before only the first time."""

    def __init__(self, observer: Observer) -> None:
        self.progress = observer.progress
        self._say = observer.say
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        """Pass a new line on."""
        if text not in self._said:
            self._said.add(text)
            self._say(text)


class TerminalObserver:
    """Shows a run on stderr, so that stdout stays for results."""

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)

    def progress(
        self, items: Iterable[T], total: int | None, label: str, note: Note | None = None
    ) -> Iterable[T]:
        """Show a bar with the time left, after two seconds, and only on a terminal."""
        from tqdm import tqdm

        bar = tqdm(items, total=total, desc=label or None, disable=None, delay=2, leave=False)
        return _noted(bar, note) if note else bar


def _noted(bar: tqdm[T], note: Note) -> Iterator[T]:
    for item in bar:
        yield item
        bar.set_postfix_str(note(), refresh=False)
