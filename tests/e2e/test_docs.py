"""The pages tell the truth: their commands run, their links lead somewhere.

A block marked ``sh`` holds commands, one marked ``python`` a program. The blocks of a page run in
its order, in one folder with a few small photos. Training is cut to one epoch of small pictures;
all else runs as it stands there.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")
))  # fmt: skip
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

SHELL = r"""
set -euo pipefail
mobilens() {
  case " $* " in
    *" --resume "*) command mobilens "$@" ;;
    " train "*) command mobilens "$@" --epochs 1 --resolution 64 ;;
    " demo "*) command mobilens "$@" --epochs 1 ;;
    *) command mobilens "$@" ;;
  esac
}
torchrun() { OMP_NUM_THREADS=1 command torchrun "$@" --epochs 1 --resolution 64; }
"""
PROGRAM = """
import functools, mobilens
mobilens.train = functools.partial(mobilens.train, epochs=1, resolution=64)
"""


def _blocks(page: str) -> Iterator[tuple[str, str]]:
    yield from BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def _commands() -> Iterator[tuple[str, list[str]]]:
    for page in PAGES:
        for language, body in _blocks(page):
            if language == "sh":
                lines = body.replace("\\\n", " ").splitlines()
                yield from ((page, shlex.split(line, comments=True)) for line in lines if line)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder as the pages assume it: labelled photos, a table of them, and new ones."""
    stream = np.random.default_rng(0)
    colours = {"daisy": (230, 230, 220), "rose": (190, 20, 50), "tulip": (240, 180, 30)}
    rows = ["path,label"]
    for name, colour in colours.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(8):
            noise = stream.integers(-20, 20, (72, 80, 3)) + np.array(colour)
            picture = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
            picture.save(tmp_path / "photos" / name / f"{index}.png")
            rows.append(f"photos/{name}/{index}.png,{name}")
    (tmp_path / "photos.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "new_photos").mkdir()
    for name in ("one", "two"):
        Image.new("RGB", (90, 70), colours["rose"]).save(tmp_path / "new_photos" / f"{name}.png")
    return tmp_path


def _runs(language: str, body: str) -> bool:
    return language == "python" or (
        language == "sh" and body.startswith(("mobilens ", "torchrun ", "python "))
    )


PAGES_THAT_RUN = [page for page in PAGES if any(_runs(*block) for block in _blocks(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES_THAT_RUN)
def test_what_the_page_says_runs(page: str, place: Path):
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MOBILENS_OFFLINE": "1",
        "MOBILENS_CACHE": str(place / "cache"),
        "HF_HOME": str(place / "cache"),
        "TORCH_HOME": str(place / "cache"),
    }
    environment.pop("MOBILENS_WEIGHTS_DIR", None)
    for language, body in _blocks(page):
        if not _runs(language, body):
            continue
        if language == "python":
            command = [sys.executable, "-W", "error", "-c", PROGRAM + body]
        else:
            command = ["bash", "-c", SHELL + body]
        # Scripts of the project are named from its root.
        folder = ROOT if body.startswith("python ") else place
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page}:\n{body}\n{done.stdout}\n{done.stderr}"


def test_commands_that_set_up_name_what_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    makefile = (ROOT / "Makefile").read_text()
    heads = set()
    for page, words in _commands():
        heads.add(words[0])
        if words[0] == "make":
            targets = [word for word in words[1:] if "=" not in word]
            assert all(f"\n{target}: " in makefile for target in targets), (page, words)
        elif words[:2] == ["pip", "install"]:
            extras = re.findall(r"\[(\w+)\]", " ".join(words))
            assert set(extras) <= set(project["project"]["optional-dependencies"]), (page, words)
    assert heads == {"mobilens", "torchrun", "make", "pip", "python"}


def test_blocks_do_not_mix_what_runs_with_what_does_not():
    for page in PAGES:
        for language, body in _blocks(page):
            assert language in ("sh", "python", "text"), (page, body)
            if language == "sh":
                heads = {line.split()[0] for line in body.splitlines() if line[:1].isalpha()}
                assert len(heads) == 1, (page, body)


def test_the_picture_of_the_house_is_the_house():
    tree, layers = (body for language, body in _blocks("docs/architecture.md"))
    source = ROOT / "src" / "mobilens"
    files = {path.name for path in source.rglob("*.py")} - {"__init__.py", "__main__.py"}
    assert set(re.findall(r"\w+\.py", tree)) == files
    folders = {path.parent.name for path in source.rglob("__init__.py")} - {"mobilens"}
    assert folders <= set(re.findall(r"(\w+)/", tree))
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert layers.splitlines() == contract["contracts"][0]["layers"]


def test_links_lead_to_files():
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert "://" not in target, (page, target)
            assert ((ROOT / page).parent / target).is_file(), (page, target)


def test_paths_that_are_named_exist():
    known = ("src/", "tests/", "docs/", "benchmarks/", "tools/", ".ci/")
    for page in PAGES:
        if page == "docs/log.md":
            continue  # a log names what was there at its time
        text = (ROOT / page).read_text(encoding="utf-8")
        for path in re.findall(r"`([\w./]+)`", text):
            if path.startswith(known):
                assert (ROOT / path).exists(), (page, path)
