"""A manifest is checked before anything in it is used."""

import base64
import io
import re
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from mobilens.errors import (
    BundleError,
    SpecError,
)
from mobilens.runtime import manifest
from mobilens.runtime.bundle import read_manifest, write_manifest
from mobilens.runtime.manifest import GoldenSample, Manifest
from mobilens.runtime.verify import verify_bundle


def reseal(path: Path, changed: Manifest) -> Path:
    """Write another manifest into the file, with hashes that fit."""
    path.write_bytes(write_manifest(path.read_bytes(), changed))
    return path


def test_a_newer_format_says_what_to_do(toy: Path) -> None:
    reseal(toy, replace(read_manifest(toy), format=2))
    with pytest.raises(BundleError) as caught:
        verify_bundle(toy)
    assert str(caught.value) == (
        f"{toy}: a newer mobilens wrote it (manifest format 2)\n"
        "  expected: manifest format 1\n"
        "  try: pip install --upgrade mobilens"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 100_000, "not JSON"),
        (b"9" * 10_000, "not JSON"),
        (b'{"format": NaN}', "NaN is not a number"),
        (b"\xff", "not JSON"),
        (b"[]", "manifest format is None"),
        (b'{"format": true}', "manifest format is True"),
        (b'{"format": 0}', "manifest format is 0"),
        (b'{"format": 1}', "manifest has no field 'task'"),
        (b" " * (manifest.MAX_TEXT_BYTES + 1), "the manifest has 33,554,433 bytes"),
    ],
)
def test_a_text_that_is_no_manifest_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Manifest.from_text(text)


def test_a_manifest_with_any_one_field_spoilt_is_refused_or_read(toy: Path) -> None:
    text = read_manifest(toy).to_text()
    spans = [match.span() for match in re.finditer(rb'"[^"]*"|[\d.e-]+|\[\]|null', text)]
    spoils = (b"1e999", b"null", b"[]", b"{}", b"-1", b"true", b'"x"', b"1" + b"0" * 400)
    refused = 0
    for start, end in spans:
        for spoil in spoils:
            try:
                Manifest.from_text(text[:start] + spoil + text[end:])
            except BundleError:
                refused += 1
    assert refused > len(spans)


def test_a_manifest_that_contradicts_itself_is_refused(toy: Path) -> None:
    good = read_manifest(toy)
    with pytest.raises(SpecError, match="the graph reads"):
        replace(good, input=replace(good.input, size=(9, 9)))
    with pytest.raises(SpecError, match="tolerance is nan"):
        replace(good, tolerance=float("nan"))
    with pytest.raises(SpecError, match="gives no output"):
        replace(good, outputs=())
    with pytest.raises(SpecError, match="input size"):
        replace(good.input, size=(100_000, 8))


def test_a_manifest_that_is_too_large_is_not_written(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = read_manifest(toy)
    monkeypatch.setattr(manifest, "MAX_TEXT_BYTES", 100)
    with pytest.raises(BundleError, match="expected: at most 100"):
        write_manifest(toy.read_bytes(), good)


def png(size: tuple[int, int], mode: str = "RGB") -> str:
    file = io.BytesIO()
    Image.new(mode, size[::-1]).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_a_golden_input_is_no_larger_than_it_says() -> None:
    bomb = bytearray(base64.b64decode(png((8, 8))))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    sample = GoldenSample(base64.b64encode(bomb).decode(), {})
    with pytest.raises(BundleError, match="60000x60000 RGB"):
        sample.pixels((8, 8))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("?", "does not decode"),
        (base64.b64encode(b"no png").decode(), "does not decode"),
        (png((8, 9)), "is 8x9 RGB"),
        (png((8, 8), "L"), "is 8x8 L"),
        (base64.b64encode(base64.b64decode(png((8, 8)))[:45]).decode(), "does not decode"),
    ],
)
def test_a_golden_input_that_is_not_its_pixels_is_refused(image: str, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        GoldenSample(image, {}).pixels((8, 8))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("threads", 3000, "threads is 3000"),
        ("outputs", ["\x1b[2Jprobabilities"], r"a name is '\\x1b\[2Jprobabilities'"),
        ("tools", {"numpy": "2\r"}, "a tool's name is"),
        ("golden", [{"image": "", "outputs": {}}] * 5000, "5000 golden inputs have"),
    ],
)
def test_what_would_harm_who_reads_it_is_refused(toy, field, value, words):
    told = read_manifest(toy).to_json() | {field: value}
    told["input"]["size"] = told["task"]["preprocessing"]["size"] = [224, 224]
    with pytest.raises(BundleError, match=words):
        Manifest.from_json(told)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": {"top1": 7.3}}, "top1 is 7.3"),
        ({"file": {"\x1b[2J": 0.5}}, "a figure's name is"),
        ({"dataset": {"name": "x", "fingerprint": "f", "num_images": -5}}, "num_images is -5"),
    ],
)
def test_figures_that_cannot_be_are_refused(toy, change, words):
    held = {"checkpoint": {"top1": 0.5}, "file": {"top1": 0.5}}
    held["dataset"] = {"name": "x", "fingerprint": "f", "num_images": 5}
    Manifest.from_json(read_manifest(toy).to_json() | {"accuracy": held})
    with pytest.raises(BundleError, match=words):
        Manifest.from_json(read_manifest(toy).to_json() | {"accuracy": held | change})
