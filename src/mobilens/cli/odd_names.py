"""Names of files that are not text."""

from __future__ import annotations

import io
import sys


def keep_odd_names() -> None:
    """Let names of files that are not text pass through unchanged, from stdin and to stdout."""
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
