"""Files that a shell's ``model.*`` names: those that are measured here, and the others with why."""

import json

import pytest

from mobilens.cli import main
from mobilens.errors import MissingExtraError
from mobilens.runtime import selection
from mobilens.runtime.formats import FORMATS
from mobilens.runtime.selection import measurable


def named(folder, *names):
    """Files of a few bytes; a Core ML package is a folder."""
    for name in names:
        path = folder / name
        if path.suffix == ".mlpackage":
            path = path / FORMATS["coreml"].main
            path.parent.mkdir(parents=True)
        path.write_bytes({".xml": b"<net>", ".ncnn": b'{"ncnn"'}.get(path.suffix, b"\x08\x08"))
    return [str(folder / name) for name in names]


def test_parts_and_what_does_not_run_here_are_left_out(tmp_path):
    names = named(
        tmp_path, "a.onnx", "a.mlpackage", "a.xml", "a.bin", "a.ncnn", "a.ncnn.param", "a.ncnn.bin"
    )
    chosen, left_out = measurable(names)
    assert chosen == [names[0], names[2], names[4]]
    assert {one.what: one.reason for one in left_out} == {
        names[1]: "a file for coreml is not run here: Core ML is a part of Apple's systems",
        names[3]: "it is a part of a.xml",
        names[5]: "it is a part of a.ncnn",
        names[6]: "it is a part of a.ncnn",
    }


def test_another_tools_ncnn_model_is_its_layers(tmp_path):
    names = named(tmp_path, "net.ncnn.param", "net.ncnn.bin")
    (tmp_path / "net.ncnn.param").write_bytes(b"7767517\n")
    chosen, (left_out,) = measurable(names)
    assert chosen == names[:1]
    assert left_out.reason == "it is a part of net.ncnn.param"


def test_a_stray_file_is_no_model(tmp_path):
    names = named(tmp_path, "a.onnx", "README.txt", "model")
    (tmp_path / "README.txt").write_text("Read me.")
    chosen, (left_out,) = measurable(names)
    assert chosen == [names[0], names[2]]  # a model's name may end in anything
    assert left_out.reason == "it is no model file"


def test_a_runtime_that_is_not_installed_is_named(tmp_path, monkeypatch):
    def engine_type(name):
        if name == "openvino":
            raise MissingExtraError.needed_for("OpenVINO", "openvino", "openvino")

    monkeypatch.setattr(selection, "engine_type", engine_type)
    names = named(tmp_path, "a.onnx", "b.xml")
    chosen, (left_out,) = measurable(names)
    assert chosen == names[:1]
    assert "mobilens[openvino]" in left_out.reason
    assert measurable(names, here=False) == (names, [])


@pytest.mark.parametrize("name", ["a.mlpackage", "not_there.onnx"])
def test_alone_a_file_is_left_to_what_measures_it(tmp_path, name):
    names = [str(tmp_path / name)] if "not" in name else named(tmp_path, name)
    assert measurable(names) == (names, [])


def test_the_command_measures_the_others(toy, tmp_path, capsys):
    (package,) = named(tmp_path, "a.mlpackage")
    assert main(["benchmark", str(toy), package, "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    assert f"not measured: {package}: a file for coreml is not run here" in said
    assert main(["benchmark", package, str(toy), "--rounds", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [one["path"] for one in report["measurements"]] == [str(toy)]
