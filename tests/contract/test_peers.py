"""Other libraries' nets: the same architecture, or none; exported in the plain way and measured."""

import importlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mobilens.cli import main
from mobilens.errors import ExportError, MissingExtraError, UnknownNameError
from mobilens.exporting import peers
from mobilens.exporting.peers import export_plain, peer_of, require_library
from mobilens.runtime.foreign import open_foreign
from mobilens.spec.zoo import ZOO, build_spec

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [name for name in ZOO if name != "mobilefacenet"])
def test_timm_has_every_family_but_one(name):
    peer = peer_of(build_spec(name, num_classes=7), "timm")
    assert peer.net.training is False
    assert peer.size == build_spec(name).resolution


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"])
def test_torchvision_has_three_of_any_width(name):
    spec = build_spec(name, width_mult=0.6, width_rule="torchvision", num_classes=7)
    assert peer_of(spec, "torchvision").name == name


@pytest.mark.parametrize(
    ("library", "spec", "message"),
    [
        ("torchvision", build_spec("mobilenet_v1"), "torchvision has no mobilenet_v1"),
        ("timm", build_spec("mobilenet_v2", width_mult=0.6), "of width 0.6 .mobilenetv2_060"),
        ("timm", build_spec("mobilefacenet"), "timm has no mobilefacenet of width 1"),
        (
            "torchvision",
            build_spec("mobilenet_v3_small", width_mult=0.35),
            "of torchvision is another net: [0-9,]+ parameters, not",
        ),
        (
            "timm",
            replace(build_spec("mobilenet_v2"), rows=build_spec("mobilenet_v2").rows[:-1]),
            "is a net of its own",
        ),
        ("timm", replace(build_spec("mobilenet_v2"), name="mine"), "is a net of its own"),
    ],
)
def test_another_net_is_no_peer(library, spec, message):
    with pytest.raises(ExportError, match=message):
        peer_of(spec, library)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "ncnn"])
def test_a_plain_export_runs(engine, tmp_path, capfd):
    spec = build_spec("mobilenet_v3_small", width_mult=0.5, resolution=(64, 50), num_classes=5)
    peer = peer_of(spec, "timm")
    path = export_plain(peer, engine, tmp_path)
    assert capfd.readouterr() == ("", "")
    foreign = open_foreign(path, engine, 1)
    given = foreign.example(1)
    assert [value.shape for value in given.values()] == [(1, 3, 64, 50)]
    (answer,) = foreign.run(given).values()
    with torch.no_grad():
        expected = peer.net(torch.from_numpy(*given.values())).numpy()
    np.testing.assert_allclose(answer, expected, rtol=0.02, atol=0.02 * abs(expected).max())


def test_an_engine_without_a_plain_way_is_said(tmp_path, monkeypatch):
    peer = peer_of(build_spec("mobilenet_v3_small"), "torchvision")
    with pytest.raises(ExportError, match="no plain export to coral is known"):
        export_plain(peer, "coral", tmp_path)
    real = importlib.import_module

    def absent(name, *rest):
        if name == "litert_torch":
            raise ModuleNotFoundError(name=name)
        return real(name, *rest)

    monkeypatch.setattr(peers.importlib, "import_module", absent)
    with pytest.raises(ExportError, match=r"needs litert_torch: pip install litert-torch, in an"):
        export_plain(peer, "litert", tmp_path)


def test_an_export_that_fails_says_why(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("no such\n operator")

    monkeypatch.setattr(peers, "EXPORTS", {"openvino": peers._Way(".xml", fails, "")})
    peer = peer_of(build_spec("mobilenet_v3_small"), "torchvision")
    with pytest.raises(ExportError, match="to openvino failed: no such operator"):
        export_plain(peer, "openvino", tmp_path)


def test_libraries_that_are_not_there_are_said(monkeypatch):
    with pytest.raises(UnknownNameError, match="no library to compare with is named 'tim'"):
        require_library("tim")
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="a comparison with timm needs timm") as caught:
        require_library("timm")
    assert caught.value.remedy == "pip install 'mobilens[peers]'"


def test_the_command_compares_within_its_rounds(toy, capsys):
    words = ["--against", "torchvision,timm", "--rounds", "1", "--threads", "1,2"]
    assert main(["benchmark", str(toy), *words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    ours = [row for row in report["measurements"] if not row["library"]]
    theirs = [row for row in report["measurements"] if row["library"]]
    assert {row["path"] for row in theirs} == {
        "torchvision mobilenet_v3_small.onnx",
        "timm mobilenetv3_small_100.onnx",
    }
    assert len(theirs) == 4
    for row in ours:
        assert set(row["ratios"]) == {"torchvision", "timm"}
        # Three pixels in a row against a net of 56 million multiply-adds.
        assert 0 < max(ratio["high"] for ratio in row["ratios"].values()) < 0.5
    assert report["left_out"] == []
