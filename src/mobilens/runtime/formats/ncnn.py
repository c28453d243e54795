"""ncnn: layers and numbers are two files, and the manifest is a third, beside them.

ncnn's own files hold nothing but what it runs. The manifest is JSON, which any reader takes; it is
the file that is named, and it seals the other two. Where another tool made them there is none, and
the layers are named.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from mobilens.errors import BundleError
from mobilens.runtime.formats import FORMATS, Contents, read_part

LAYERS_SUFFIX, NUMBERS_SUFFIX = FORMATS["ncnn"].companions
MAGIC = b"7767517"
START = b'{"ncnn":1'
# As long as nothing is known of a file.
BARE = START + b"}\n"
# A whole number of a layer.
SIZE = re.compile(r" (\d+)=(\d+)(?= |$)")
SEALED = re.compile(rb'\{"ncnn":1,"sha256":"([0-9a-f]{64})","manifest":(.*)}\n', re.DOTALL)


def take_apart(data: bytes, path: Path) -> Contents:
    """Find the manifest and hash the layers and the numbers.

    Raises:
        BundleError: The bytes are no such manifest, or what it is of is not beside it.
    """
    if data.startswith(MAGIC):
        return _foreign(data, path)
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


def _foreign(layers: bytes, path: Path) -> Contents:
    """Take apart what has no manifest: the layers are the file that is named."""
    manifest = path.with_suffix("")
    if path.name.endswith(LAYERS_SUFFIX) and manifest.exists():
        raise BundleError(
            f"it holds the layers alone, {manifest.name} the manifest", remedy=str(manifest)
        )
    numbers = _beside(path.with_suffix(".bin"), "two")
    return Contents(
        size_bytes=len(layers) + len(numbers),
        manifest=None,
        intact=False,
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


class Layer(NamedTuple):
    """A line of the layers.

    Attributes:
        kind: What it does.
        inputs: Names of the values that it reads.
        outputs: Names of those that it makes.
        sizes: Its whole numbers that are not below 0, by their own number.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sizes: dict[int, int]


def read_layers(text: bytes) -> list[Layer]:
    """Read the layers of a model that ncnn has loaded.

    Args:
        text: Every byte of the file that lists them.
    """
    found = []
    for line in filter(str.strip, text.decode("utf-8", "replace").splitlines()[2:]):
        kind, _, *rest = line.split()
        first, last = int(rest[0]), int(rest[0]) + int(rest[1])
        names = tuple(rest[2 : 2 + last])
        sizes = {int(key): int(size) for key, size in SIZE.findall(line)}
        found.append(Layer(kind, names[:first], names[first:], sizes))
    return found


def input_shapes(text: bytes) -> dict[str, tuple[int | None, int | None, int | None]]:
    """Tell what a model reads: (channels, height, width) by name, None where it does not say.

    Where the input itself says nothing, the filters that read it tell the channels.

    Args:
        text: As for ``read_layers``.
    """
    layers = read_layers(text)
    given = {each.outputs[0]: each.sizes for each in layers if each.kind == "Input"}
    channels = {name: sizes.get(2) for name, sizes in given.items()}
    for each in layers:
        if each.kind == "Convolution":
            channels[each.inputs[0]] = channels.get(each.inputs[0]) or _channels_read(each.sizes)
    return {name: (channels[name], sizes.get(1), sizes.get(0)) for name, sizes in given.items()}


def _channels_read(filters: dict[int, int]) -> int | None:
    out, width, weights = filters.get(0, 0), filters.get(1, 0), filters.get(6, 0)
    area = width * filters.get(11, width)
    return weights // (out * area) or None if out * area else None


def _manifest(data: bytes) -> tuple[bytes, bool]:
    found = SEALED.fullmatch(data)
    if found is None:
        return b"", False
    digest, text = found.groups()
    return text, hashlib.sha256(text).hexdigest().encode("ascii") == digest


def _beside(path: Path, count: str = "three") -> bytes:
    try:
        return read_part(path)
    except OSError:
        raise BundleError(
            f"{path.name} is not beside it", expected=f"{count} files in one folder"
        ) from None
