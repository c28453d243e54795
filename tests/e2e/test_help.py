"""Help answers at once, because nothing heavy is imported for it."""

import json
import re
import subprocess
import sys

import pytest

from mobilens.cli import VERBS
from mobilens.training.recipe import RECIPES

# Runs the command line, then lists what was imported that does not come with Python.
SCRIPT = """
import json, sys
before = set(sys.modules)
from mobilens.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as stopped:
    code = stopped.code or 0
new = {name.partition(".")[0] for name in set(sys.modules) - before}
foreign = sorted(new - set(sys.stdlib_module_names) - {"mobilens"})
print(json.dumps({"code": code, "foreign": foreign}), file=sys.stderr)
"""


def _run(*words: str) -> tuple[str, dict[str, object]]:
    command = [sys.executable, "-c", SCRIPT, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout, json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_imports_nothing_that_does_not_come_with_python(verb: str | None):
    out, result = _run(*([verb] if verb else []), "--help")
    assert result == {"code": 0, "foreign": []}
    assert out.startswith(f"usage: mobilens {verb}" if verb else "usage: mobilens [-h]")


def test_the_help_of_train_names_every_recipe():
    out, _ = _run("train", "--help")
    listed = re.findall(r"^ {2}(\w+)", out.partition("\nrecipes:\n")[2], flags=re.MULTILINE)
    assert listed == list(RECIPES)


def test_without_a_verb_the_verbs_are_listed():
    out, result = _run()
    assert result == {"code": 2, "foreign": []}
    listed = re.findall(r"^ {4}(\w+)", out, flags=re.MULTILINE)
    assert listed == list(VERBS)


def test_the_version_is_that_of_the_package():
    out, result = _run("--version")
    assert out == "mobilens 0.1.0\n"
    assert result == {"code": 0, "foreign": []}


def test_a_verb_that_does_not_exist_is_wrong_use():
    done = subprocess.run(
        [sys.executable, "-m", "mobilens", "trian", "photos"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "invalid choice: 'trian'" in done.stderr
    assert "Traceback" not in done.stderr
