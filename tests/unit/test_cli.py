"""The command line's own words for what ends a verb."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mobilens.cli import main, verify
from mobilens.errors import InterruptedRunError


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


@pytest.mark.parametrize("begun", [False, True])
def test_ctrl_c_offers_to_go_on_where_there_is_something_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    from mobilens.cli.train import run_and_deliver
    from mobilens.training.settings import TrainSettings

    settings = TrainSettings(("photos",))

    def stop(*_: object) -> None:
        if begun:
            settings.save(tmp_path / "recipe.json")
        raise KeyboardInterrupt

    monkeypatch.setattr("mobilens.deliver.run_training", stop)
    with pytest.raises(InterruptedRunError if begun else KeyboardInterrupt) as caught:
        run_and_deliver(settings, tmp_path)
    if begun:
        assert str(caught.value) == (
            f"stopped; {tmp_path} holds what is done\n  try: mobilens train --resume {tmp_path}"
        )


@pytest.mark.parametrize("encoding", ["ascii", "cp932", "cp1252"])
def test_what_a_terminal_cannot_show_is_escaped(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "\u732b").mkdir()
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    for words in (["info", "mobilenet_v1"], ["check", "--json", str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-m", "mobilens", *words],
            env=environment,
            capture_output=True,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        if words[0] == "check":
            assert "\u732b" in json.loads(done.stdout.decode(encoding))["error"]
