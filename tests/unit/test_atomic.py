"""Files that appear whole or not at all."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mobilens.atomic import remove_leftovers, written, written_together


def test_a_file_appears_at_the_end_of_the_block(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == ".txt"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with contextlib.suppress(ZeroDivisionError), written(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_refusal_names_the_file_that_was_asked_for(tmp_path: Path):
    path = tmp_path / "nowhere" / "a.txt"
    with pytest.raises(FileNotFoundError) as caught, written(path) as temporary:
        temporary.write_text("new")
    assert caught.value.filename == str(path)


def folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "a.txt").write_text(content)
    return path


def test_a_folder_replaces_a_folder_whole(tmp_path: Path):
    path = tmp_path / "a.package"
    for content in ("old", "new"):
        with written_together(path, ()) as temporary:
            assert temporary.name == path.name
            folder(temporary, content)
        assert (path / "a.txt").read_text() == content
        assert list(tmp_path.iterdir()) == [path]


def test_a_folder_stays_where_its_successor_cannot_be_moved(tmp_path: Path, monkeypatch):
    path = folder(tmp_path / "a.package", "old")
    move = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.parent.name.endswith(".tmp.package") and target == path and self.name == path.name:
            raise KeyboardInterrupt
        return move(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(KeyboardInterrupt), written_together(path, ()) as temporary:
        folder(temporary, "new")
    assert (path / "a.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nobody can ask whether a process lives")
def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path: Path):
    path = tmp_path / "a[1].txt"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        for writer in (f"a[1].{living.pid}", "a[1].4194999", "a[1].4194999-7", "b.4194999"):
            (tmp_path / f".{writer}.tmp.txt").write_text("half")
        remove_leftovers(path)
        assert {file.name for file in tmp_path.iterdir()} == {
            f".a[1].{living.pid}.tmp.txt",
            ".b.4194999.tmp.txt",
        }
        living.kill()
    remove_leftovers(path)
    assert {file.name for file in tmp_path.iterdir()} == {".b.4194999.tmp.txt"}
