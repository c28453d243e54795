"""Which of the files that somebody named can be measured on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mobilens.errors import MissingExtraError, UsageError
from mobilens.runtime.engines import engine_type
from mobilens.runtime.formats import FORMATS, format_of, main_file
from mobilens.runtime.measurement import LeftOut

# As much as the marks of any format take.
FIRST_BYTES = 16
# The field that stands first in ONNX files, the version of their layout.
ONNX_MARK = b"\x08"


def measurable(names: Sequence[str], *, here: bool = True) -> tuple[list[str], list[LeftOut]]:
    """Tell apart what is measured and what a shell's ``model.*`` named along with it.

    Model files that are not there or broken are not judged: what measures them says so.

    Args:
        names: Model files, and what lies beside them.
        here: Whether they shall run here, so that their runtime must be installed.

    Returns:
        The files to measure: all, where none of them can be; and the others, with the reason.
    """
    reasons = {name: reason for name in names if (reason := _reason(Path(name), here))}
    if len(reasons) == len(names):
        return list(names), []
    chosen = [name for name in names if name not in reasons]
    return chosen, [LeftOut(name, reason) for name, reason in reasons.items()]


def _reason(path: Path, here: bool) -> str | None:
    """Say why a file is not measured by itself."""
    if (whole := _whole(path)) is not None:
        return f"it is a part of {whole.name}"
    try:
        with main_file(path).open("rb") as file:
            first = file.read(FIRST_BYTES)
        kind = format_of(first, path)
        if kind == "onnx" and path.suffix.lower() != ".onnx" and not first.startswith(ONNX_MARK):
            return "it is no model file"
        engine_type(FORMATS[kind].engine)
    except MissingExtraError as error:
        return f"{error.given}; {error.remedy}" if here else None
    except UsageError as error:
        return error.given
    except OSError:
        pass
    return None


def _whole(path: Path) -> Path | None:
    """Give the model file that a file belongs to, where it is not one itself."""
    for info in FORMATS.values():
        for suffix in info.companions:
            # Another tool's ncnn model has no manifest: there the layers stand for the whole.
            for main in (info.suffix, *info.companions[: info.companions.index(suffix)]):
                whole = path.with_name(path.name.removesuffix(suffix) + main)
                if path.name.endswith(suffix) and whole.is_file():
                    return whole
    return None
