"""The command line's own words for what ends a verb."""

import pytest

from mobilens.cli import main, verify


def test_ctrl_c_while_a_library_is_imported_is_a_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ImportError("numpy.core failed to import") from None

    monkeypatch.setattr(verify, "run", run)
    assert main(["verify", "model.onnx"]) == 130
    assert capsys.readouterr().err == "mobilens verify: stopped\n"


def test_another_import_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: object) -> int:
        raise ImportError("no such name")

    monkeypatch.setattr(verify, "run", run)
    with pytest.raises(ImportError, match="no such name"):
        main(["verify", "model.onnx"])
