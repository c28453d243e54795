"""The exception tree.

MobilensError                 anything mobilens refuses; exit code 1
├── UsageError                the request itself cannot be met; exit code 2
│   ├── UnknownNameError      a model, recipe, weights tag or task that does not exist
│   ├── SpecError             a model description that cannot be built
│   └── MissingExtraError     a part that needs a pip extra which is not installed
├── DataError                 a data set that cannot be used as asked
│   └── ImageError            one image that cannot be decoded
├── WeightsError              weights that cannot be had or do not fit
│   └── OfflineError          weights that would need the network
├── ExportError               a model that may not be written: its proof failed
├── BundleError               a model file that cannot be read or trusted
│   └── VerificationError     a model file that no longer gives the answers it promises
└── InterruptedRunError       a run stopped on request; it can be resumed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MobilensError(Exception):
    """An error for people: what was given, what was expected, what to do.

    Args:
        given: What was received, as one clause without a final full stop.
        expected: What would have been accepted, likewise.
        remedy: What to do next, likewise.
    """

    exit_code = 1

    def __init__(self, given: str, *, expected: str = "", remedy: str = "") -> None:
        self.given, self.expected, self.remedy = given, expected, remedy
        super().__init__(given)

    def __str__(self) -> str:
        lines = [self.given]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.remedy:
            lines.append(f"  try: {self.remedy}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling that worker pools use.
        return _rebuild, (type(self), self.given, self.expected, self.remedy)


def _rebuild(kind: type[MobilensError], given: str, expected: str, remedy: str) -> MobilensError:
    return kind(given, expected=expected, remedy=remedy)


class UsageError(MobilensError):
    """The request itself cannot be met, whatever the data."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that no registry holds."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
        """Build the error with the nearest known names as the remedy.

        Args:
            kind: What the name should have named, such as ``"model"``.
            name: The name that was given.
            known: Every name that exists.
        """
        names = list(known)
        close = difflib.get_close_matches(name, names, n=1)
        return cls(
            f"no {kind} is named {name!r}",
            expected="one of " + ", ".join(names),
            remedy=f"{close[0]}" if close else "",
        )


class SpecError(UsageError):
    """A model description that cannot be built."""


class MissingExtraError(UsageError):
    """A part of mobilens whose optional dependencies are not installed."""

    @classmethod
    def needed_for(cls, what: str, extra: str, missing: str) -> MissingExtraError:
        """Build the error that names the pip line.

        Args:
            what: What was asked for, such as ``"training"``.
            extra: The extra that brings it, such as ``"train"``.
            missing: The module that could not be imported.
        """
        return cls(
            f"{what} needs {missing}, which is not installed",
            remedy=f"pip install 'mobilens[{extra}]'",
        )


class PrecisionError(UsageError):
    """A precision that a kind of model file does not have."""


class DataError(MobilensError):
    """A data set that cannot be used as asked."""


class ImageError(DataError):
    """One image that cannot be decoded."""


class WeightsError(MobilensError):
    """Weights that cannot be had, or do not fit the model asked for."""


class OfflineError(WeightsError):
    """Weights that would need the network while it is off or out of reach."""


class ExportError(MobilensError):
    """A model that may not be written, because its proof failed."""


class BundleError(MobilensError):
    """A model file that cannot be read or trusted."""


class VerificationError(BundleError):
    """A model file that no longer gives the answers it promises."""


class InterruptedRunError(MobilensError):
    """A run that was stopped on request and can be resumed."""

    exit_code = 130
