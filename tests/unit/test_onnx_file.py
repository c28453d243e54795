"""Bytes that lie about what they hold end in a BundleError and nothing else."""

import random
import re
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from mobilens.errors import (
    BundleError,
)
from mobilens.runtime import onnx_file
from mobilens.runtime.bundle import read_manifest, write_manifest


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    try:
        file = onnx_file.parse(data)
    except BundleError:
        return
    assert all(note.end <= len(data) for note in file.notes)


def test_a_damaged_file_parses_or_is_refused(toy: Path) -> None:
    data, dice = toy.read_bytes(), random.Random(1)
    outcomes = set()
    for _ in range(3000):
        damaged = bytearray(data)
        for _ in range(dice.randint(1, 8)):
            damaged[dice.randrange(900)] = dice.randrange(256)
        try:
            onnx_file.parse(bytes(damaged))
            outcomes.add("parsed")
        except BundleError:
            outcomes.add("refused")
    assert outcomes == {"parsed", "refused"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80" * 11, "a number of more than ten bytes"),
        (b"\x3a\x05\x00", "a field longer than what holds it"),
        (b"\x3a\x00\x3a\x00", "a second graph"),
        (b"\x38\x01", "field 7 in encoding 0"),
        (b"\x80", "a number cut short"),
        (b"\x02\x00", "a field without a number"),
        (b"\x0b", "a field of unknown encoding 3"),
        (b"", "the bytes hold no graph"),
        (b"\x3a\x05\x2a\x03\x42\x01\xff", "a name that is not UTF-8"),
        (b"\x3a\x04\x2a\x00\x2a\x00", "a second weight named ''"),
    ],
)
def test_what_is_wrong_with_the_bytes_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(BundleError, match=re.escape(reason)):
        onnx_file.parse(data)


def test_packed_dims_are_read_like_others() -> None:
    unpacked = b"\x08\x02\x08\x90\x03\x42\x01w"
    packed = b"\x0a\x03\x02\x90\x03\x42\x01w"
    for tensor in (unpacked, packed):
        initialiser = b"\x2a" + bytes([len(tensor)]) + tensor
        file = onnx_file.parse(b"\x3a" + bytes([len(initialiser)]) + initialiser)
        assert file.tensors[0].dims == (2, 400)


def test_weights_in_another_file_are_refused(toy: Path) -> None:
    model = onnx.load(toy)
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(BundleError, match="a weight lies in another file"):
        write_manifest(model.SerializeToString(), read_manifest(toy))
