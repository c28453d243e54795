"""OpenVINO: the manifest stands in the model's ``rt_info``; the weights lie in a second file."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path

from mobilens.errors import BundleError
from mobilens.runtime.formats import Contents, read_part

WEIGHTS_SUFFIX = ".bin"
# As OpenVINO writes rt_info: ``model.get_rt_info(["mobilens", "manifest"])`` reads it. Base64 needs
# no escapes, so that the text is the same in memory and in the file.
ENTRY = re.compile(
    rb'<mobilens><manifest value="([A-Za-z0-9+/=]*)" ?/><sha256 value="([0-9a-f]*)" ?/></mobilens>'
)


def take_apart(data: bytes, path: Path) -> Contents:
    """Find the manifest and hash the rest, the weights for themselves.

    Raises:
        BundleError: The bytes are no OpenVINO model, or its weights are not beside it.
    """
    if b"<net" not in data[:4096] or not data.rstrip().endswith(b"</net>"):
        raise BundleError("its text is not a net's", expected="an OpenVINO file")
    weights = path.with_suffix(WEIGHTS_SUFFIX)
    try:
        held = read_part(weights)
    except OSError:
        raise BundleError(
            f"its weights, {weights.name}, are not beside it", expected="both files in one folder"
        ) from None
    found = ENTRY.findall(data)
    text, intact = None, False
    if found or b"<mobilens" in data:
        text, intact = _decoded(found)
    return Contents(
        size_bytes=len(data) + len(held),
        manifest=text,
        intact=intact,
        tensors={"weights": hashlib.sha256(held).hexdigest()},
        graph=hashlib.sha256(ENTRY.sub(b"", data)).hexdigest(),
    )


def place(data: bytes, text: bytes) -> bytes:
    """Put the text of a manifest in, in place of one that is there."""
    bare = ENTRY.sub(b"", data)
    end = bare.rfind(b"</rt_info>", 0, bare.rfind(b"</net>"))
    if end < 0 or b"</layers>" in bare[end:]:
        raise BundleError("its net has no rt_info", expected="an OpenVINO file")
    encoded = base64.b64encode(text)
    digest = hashlib.sha256(text).hexdigest().encode("ascii")
    entry = b'<mobilens><manifest value="%b" /><sha256 value="%b" /></mobilens>' % (encoded, digest)
    return bare[:end] + entry + bare[end:]


def _decoded(found: list[tuple[bytes, bytes]]) -> tuple[bytes, bool]:
    if len(found) != 1:
        return b"", False
    encoded, digest = found[0]
    try:
        text = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b"", False
    exact = base64.b64encode(text) == encoded
    return text, exact and hashlib.sha256(text).hexdigest().encode("ascii") == digest
