"""``mobilens benchmark`` as a person and a program run it."""

import json
from pathlib import Path

import pytest

from mobilens.cli import main


def test_json_has_a_row_for_every_configuration(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--threads", "1,2", "--batch", "3", "--rounds", "1", "--json"]
    assert main(["benchmark", str(toy), *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {row["engine"] for row in report["measurements"]} == {"onnxruntime"}
    assert report["device"]["cores"] >= 1
    rows = report["measurements"]
    assert [(row["threads"], row["batch"]) for row in rows] == [(1, 3), (2, 3)]
    for row in rows:
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["images_per_second"] > 0
        assert row["size_bytes"] == toy.stat().st_size


def test_the_table_names_the_machine(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", str(toy), "--rounds", "1"]) == 0
    out = capsys.readouterr().out
    assert "onnxruntime" in out.splitlines()[0]
    assert "cores" in out.splitlines()[0]
    assert "p50 ms  p95 ms  images/s  peak MB  model MB  file MB" in out
    assert str(toy) in out


def test_wrong_use_ends_with_code_2(toy: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["benchmark", str(toy), "--threads", "1,two"])
    assert caught.value.code == 2


def test_another_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"")
    assert main(["benchmark", str(other)]) == 1
    assert "other.onnx has 0 bytes" in capsys.readouterr().err
