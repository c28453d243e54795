"""The line that matters: answering needs the plain install alone, and a spec only Python.

``lint-imports`` holds the layers (pyproject.toml); here the upper half is run in a process that
has nothing but the plain install.
"""

import ast
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from PIL import Image

import mobilens

SOURCE = Path(str(mobilens.__file__)).parent

# Packages and modules that need the plain install alone; "mobilens.cli.train" and its like import
# what they need when they run.
UPPER_HALF = (
    "album",
    "api",
    "atomic",
    "cli",
    "cores",
    "data",
    "demo",
    "device_kit",
    "errors",
    "evaluation",
    "extras",
    "model",
    "observer",
    "quiet",
    "runtime",
    "sources",
    "spec",
    "vision",
)

# Each imports the runtime that it is for.
ENGINES_OF_EXTRAS = {
    f"mobilens.runtime.{part}.{name}"
    for part in ("engines", "profilers")
    for name in ("executorch", "litert", "ncnn", "openvino")
}

# Finds nothing of what another install would not have; then does what argv says.
PROLOGUE = """
import json, sys
from importlib.machinery import PathFinder

absent = set(json.loads(sys.argv[1]))

class PlainInstall(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = PlainInstall
before = set(sys.modules)
"""
IMPORT_ALL = """
import importlib
for name in sys.argv[2:]:
    importlib.import_module(name)
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before} & absent))
"""
RUN_VERB = """
from mobilens.cli import main
sys.exit(main(sys.argv[2:]))
"""


def test_specs_and_errors_need_only_python():
    files = [SOURCE / "errors.py", *(SOURCE / "spec").rglob("*.py")]
    assert len(files) > 10
    for file in files:
        for name in _imported(file):
            allowed = name.startswith(("mobilens.errors", "mobilens.spec"))
            assert allowed or name.partition(".")[0] in sys.stdlib_module_names, (file, name)


def test_the_upper_half_imports_with_the_plain_install():
    names = ["mobilens"]
    for top in UPPER_HALF:
        names += _modules(f"mobilens.{top}")
    names = [name for name in names if name not in ENGINES_OF_EXTRAS]
    assert len(names) > 70
    done = _plain_process(IMPORT_ALL, *names)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_every_part_is_on_one_side_of_the_line():
    lower = {
        "compress",
        "deliver",
        "exporting",
        "graph",
        "nn",
        "report",
        "standings",
        "tasks",
        "training",
        "__main__",
    }
    parts = {module.name for module in pkgutil.iter_modules([str(SOURCE)])}
    assert parts == lower | set(UPPER_HALF)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of class folders for the toy model, one photo in each."""
    for colour in ("red", "green", "blue"):
        folder = tmp_path / "photos" / "val" / colour
        folder.mkdir(parents=True)
        Image.new("RGB", (20, 16), colour).save(folder / "one.png")
        Image.new("RGB", (16, 20), colour).save(folder / "two.png")
    return tmp_path / "photos"


def test_predict_answers_with_the_plain_install(toy: Path, photos: Path):
    done = _plain_process(RUN_VERB, "predict", str(toy), str(photos), "--json")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 6
    assert all(Path(one["path"]).parent.name == one["label"] for one in answers)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["verify", "MODEL"], "proved"),
        (["evaluate", "MODEL", "PHOTOS"], "100.0"),
        (["benchmark", "MODEL", "--rounds", "1", "--plot", "MODEL.svg"], "p50 ms"),
        (["check", "PHOTOS/val", "--model", "MODEL"], "red"),
        (["info", "mobilenet_v3_small"], "2,542,856"),
    ],
)
def test_verbs_that_answer_work_with_the_plain_install(
    words: list[str], expected: str, toy: Path, photos: Path
):
    given = [word.replace("MODEL", str(toy)).replace("PHOTOS", str(photos)) for word in words]
    done = _plain_process(RUN_VERB, *given)
    assert expected in done.stdout, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["train", "x"], ["export", "x.safetensors"], ["demo"]])
def test_verbs_that_train_say_what_to_install(words: list[str]):
    done = _plain_process(RUN_VERB, *words)
    assert done.returncode == 2
    assert re.search(r"needs torch, which is not installed\n  try: pip install", done.stderr)


def _plain_process(script: str, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROLOGUE + script, json.dumps(_not_plain()), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def _not_plain() -> list[str]:
    """Top-level modules installed here that ``pip install mobilens`` would not bring."""
    plain = _with_requirements("mobilens", {"mobilens"})
    homes = metadata.packages_distributions()
    absent = [top for top, names in homes.items() if not plain & {_plain_name(n) for n in names}]
    assert {"torch", "onnx", "safetensors", "jinja2", "huggingface_hub", "timm"} <= set(absent)
    assert not {"numpy", "onnxruntime", "PIL", "tqdm", "mobilens"} & set(absent)
    return absent


def _with_requirements(name: str, seen: set[str]) -> set[str]:
    from packaging.requirements import Requirement

    for line in metadata.requires(name) or ():
        requirement = Requirement(line)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and _plain_name(requirement.name) not in seen:
            seen.add(_plain_name(requirement.name))
            _with_requirements(requirement.name, seen)
    return seen


def _plain_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _modules(name: str) -> Iterator[str]:
    yield name
    folder = SOURCE / name.removeprefix("mobilens.").replace(".", "/")
    for module in pkgutil.walk_packages([str(folder)], f"{name}."):
        yield module.name


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield str(node.module)
