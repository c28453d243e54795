"""ncnn: layers and numbers are two files, and the manifest is a third, beside them.

ncnn's own files hold nothing but what it runs. The manifest is JSON, which any reader takes; it is
the file that is named, and it seals the other two.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from mobilens.errors import BundleError
from mobilens.runtime.formats import Contents

LAYERS_SUFFIX, NUMBERS_SUFFIX = ".ncnn.param", ".ncnn.bin"
MAGIC = b"7767517"
START = b'{"ncnn":1'
# As long as nothing is known of a file.
BARE = START + b"}\n"
SEALED = re.compile(rb'\{"ncnn":1,"sha256":"([0-9a-f]{64})","manifest":(.*)}\n', re.DOTALL)


def take_apart(data: bytes, path: Path) -> Contents:
    """Find the manifest and hash the layers and the numbers.

    Raises:
        BundleError: The bytes are no such manifest, or what it is of is not beside it.
    """
    if data.startswith(MAGIC):
        manifest = path.with_suffix("")
        raise BundleError(
            f"it holds the layers alone, {manifest.name} the manifest", remedy=str(manifest)
        )
    if not data.startswith(START):
        raise BundleError("its first bytes are not a manifest's", expected="an ncnn manifest")
    layers, numbers = (_beside(path.with_suffix(end)) for end in (LAYERS_SUFFIX, NUMBERS_SUFFIX))
    text, intact = None, False
    if data != BARE:
        text, intact = _manifest(data)
    return Contents(
        size_bytes=len(data) + len(layers) + len(numbers),
        manifest=text,
        intact=intact,
        tensors={"weights": hashlib.sha256(numbers).hexdigest()},
        graph=hashlib.sha256(layers).hexdigest(),
    )


def place(data: bytes, text: bytes) -> bytes:  # noqa: ARG001 - nothing else is in the file
    """Give the file of a manifest."""
    digest = hashlib.sha256(text).hexdigest().encode("ascii")
    return START + b',"sha256":"%b","manifest":%b}\n' % (digest, text)


def manifest_text(data: bytes) -> bytes:
    """Give the text of a manifest, empty where there is none.

    Args:
        data: Every byte of the file.
    """
    return _manifest(data)[0]


def _manifest(data: bytes) -> tuple[bytes, bool]:
    found = SEALED.fullmatch(data)
    if found is None:
        return b"", False
    digest, text = found.groups()
    return text, hashlib.sha256(text).hexdigest().encode("ascii") == digest


def _beside(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise BundleError(
            f"{path.name} is not beside it", expected="three files in one folder"
        ) from None
