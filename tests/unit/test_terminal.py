import json

import pytest

from mobilens.cli import main
from mobilens.cli.terminal import print_json, progress, table
from mobilens.errors import MobilensError, UnknownNameError
from mobilens.observer import TerminalObserver


def test_numbers_to_the_right_words_to_the_left():
    assert table(("name", "count"), [("a", "1,200"), ("bcd", "7")]) == (
        "name  count\n----  -----\na     1,200\nbcd       7"
    )


def test_empty_table_has_its_head():
    assert table(("name", "count"), []) == "name  count\n----  -----"


def test_progress_is_silent_without_a_terminal(capsys):
    assert list(progress(range(3), total=3, label="x")) == [0, 1, 2]
    assert list(TerminalObserver().progress([1], 1, "x")) == [1]
    assert capsys.readouterr().err == ""


def test_json_keeps_letters(capsys):
    print_json({"class": "Äpfel"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"class": "Äpfel"}
    assert "Äpfel" in out


def test_errors_say_given_expected_remedy():
    error = MobilensError("it is 3", expected="4", remedy="add one")
    assert str(error) == "it is 3\n  expected: 4\n  try: add one"
    unknown = UnknownNameError.among("fruit", "aple", ["apple", "pear"])
    assert str(unknown) == (
        "no fruit is named 'aple'\n  expected: one of apple, pear\n  try: apple"
    )


def test_no_verb_prints_help(capsys):
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("mobilens ")


def test_a_bar_carries_a_note_on_the_last_item(monkeypatch):
    shown: list[str] = []
    monkeypatch.setattr("tqdm.tqdm.set_postfix_str", lambda _, text, refresh: shown.append(text))  # noqa: ARG005
    seen: list[int] = []
    for item in TerminalObserver().progress([3, 4], 2, "x", lambda: f"sum {sum(seen)}"):
        seen.append(item)
    assert shown == ["sum 3", "sum 7"]


def test_wide_characters_take_two_columns_and_accents_none():
    rows = [("\u4e0a\u7740", 3), ("e\u0301", 12), ("abc", 5)]
    lines = table(("class", "count"), rows).splitlines()
    assert lines[2:] == ["\u4e0a\u7740       3", "e\u0301         12", "abc        5"]
