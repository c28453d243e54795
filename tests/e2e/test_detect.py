"""Boxes on the command line: found, printed, drawn, and measured."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilens.cli import main
from mobilens.cli.picture_folder import PictureFolder
from mobilens.vision.detection import WORDS
from mobilens.vision.drawing import PALETTE
from mobilens.vision.image import decode_image, image_size

NAMES = ("red", "green", "blue")
COLOURS = {"red": (220, 20, 10), "green": (15, 200, 30), "blue": (10, 30, 230)}
# What the toy finds in an image of 60 x 40 pixels.
FOUND = [7.5, 5.0, 37.5, 30.0]


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    """A model file for 8x8 pixels that finds, always in one place, as much as is of a colour."""
    from mobilens.runtime.bundle import write_manifest
    from mobilens.runtime.manifest import GoldenSample, InputSpec, Manifest, ModelCost
    from mobilens.spec.task import Preprocessing, TaskSpec
    from mobilens.spec.zoo import build_spec
    from mobilens.vision.tasks import task_vision

    task = TaskSpec("detect", NAMES, Preprocessing(size=(8, 8), resize="squash"))
    pixels = np.zeros((3, 8, 8, 3), np.uint8)
    pixels[range(3), :, :, range(3)] = 204
    boxes = np.tile(np.array([1, 1, 5, 6], np.float32), (3, 3, 1))
    outputs = {"boxes": boxes, "scores": np.float32(0.8) * np.eye(3)[:, None] * np.eye(3)[None]}
    vision = task_vision("detect")
    answers = vision.decode(outputs, task)
    spec = build_spec("mobilenet_v3_small")
    manifest = Manifest(
        task=task,
        model=spec.to_json(),
        cost=ModelCost(params=spec.cost().params, macs=spec.cost().macs),
        input=InputSpec("pixels", (8, 8)),
        outputs=("boxes", "scores"),
        golden=tuple(
            GoldenSample.record(image, vision.record(answer))
            for image, answer in zip(pixels, answers, strict=True)
        ),
        tolerance=1e-3,
        mobilens="0.1.0",
        tools={"numpy": np.__version__},
    )
    path = tmp_path / "detector.onnx"
    path.write_bytes(write_manifest(detector_onnx(), manifest))
    return path


def detector_onnx() -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "axes": np.array([1, 2]),
        "row": np.array([1]),
        "column": np.array([2]),
        "eye": np.eye(3, dtype=np.float32)[None],
        "255": np.array(255, np.float32),
        "0": np.array(0, np.float32),
        "box": np.array([[[1, 1, 5, 6]]], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["sums"], keepdims=0),
        helper.make_node("Div", ["sums", "255"], ["means"]),
        helper.make_node("Unsqueeze", ["means", "row"], ["rows"]),
        helper.make_node("Mul", ["rows", "eye"], ["scores"]),
        helper.make_node("Unsqueeze", ["means", "column"], ["columns"]),
        helper.make_node("Mul", ["columns", "0"], ["zeros"]),
        helper.make_node("Add", ["zeros", "box"], ["boxes"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, last])
        for name, last in (("boxes", 4), ("scores", 3))
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 8, 8, 3])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def save(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (60, 40), colour).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    save(folder / "1.png", COLOURS["red"])
    save(folder / "2.jpg", COLOURS["green"])
    save(folder / "3 nothing.png", (20, 20, 20))
    (folder / "4 broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is not the rest of it")
    return folder


def test_text_names_things_and_their_places(detector, photos, capsys):
    assert main(["predict", str(detector), str(photos)]) == 0
    out, err = capsys.readouterr()
    red, green, nothing, broken = out.splitlines()
    assert red == f"{photos}/1.png: red 86 % at 8 5 38 30"
    assert green.startswith(f"{photos}/2.jpg: green 78 % at 8 5 38 30")
    assert nothing == f"{photos}/3 nothing.png: nothing"
    assert broken.startswith(f"{photos}/4 broken.jpg: error: ")
    assert "3 images answered, 1 could not be read" in err


def test_json_has_the_things_of_an_image(detector, photos, capsys):
    assert main(["predict", str(detector), str(photos), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == {
        "path": f"{photos}/1.png",
        "objects": [{"label": "red", "score": 0.8627, "box_xyxy": FOUND}],
    }
    assert rows[2] == {"path": f"{photos}/3 nothing.png", "objects": []}
    assert set(rows[3]) == {"path", "error"}


def test_csv_has_a_row_for_each_thing(detector, photos, capsys):
    assert main(["predict", str(detector), str(photos), "--csv", "--min-score", "0.075"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "path,label,score,left,top,right,bottom,error"
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(Path(row["path"]).name, row["label"]) for row in rows] == [
        ("1.png", "red"),
        ("1.png", "green"),
        ("2.jpg", "green"),
        ("2.jpg", "blue"),
        ("3 nothing.png", "red"),
        ("3 nothing.png", "green"),
        ("3 nothing.png", "blue"),
        ("4 broken.jpg", ""),
    ]
    assert [float(rows[0][side]) for side in ("left", "top", "right", "bottom")] == FOUND
    assert rows[0]["score"] == "0.8627"
    assert [bool(row["error"]) for row in rows] == [False] * 7 + [True]


def test_an_image_without_things_is_one_empty_row_of_csv(detector, photos, capsys):
    assert main(["predict", str(detector), str(photos / "3 nothing.png"), "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"{photos}/3 nothing.png,,,,,,,"]


def test_a_least_score_holds_for_text_json_and_pictures(detector, photos, tmp_path, capsys):
    photo, drawn = str(photos / "1.png"), tmp_path / "drawn"
    options = ["--min-score", "0.9", "--draw", str(drawn)]
    assert main(["predict", str(detector), photo, *options]) == 0
    assert capsys.readouterr().out == f"{photo}: nothing\n"
    assert main(["predict", str(detector), photo, "--json", "--min-score", "0.075"]) == 0
    assert len(json.loads(capsys.readouterr().out)["objects"]) == 2
    assert (decode_image(drawn / "1.png") == COLOURS["red"]).all()


def test_what_means_nothing_to_a_task_is_refused(detector, toy, photos, capsys):
    assert main(["predict", str(detector), str(photos), "--top", "3"]) == 2
    assert capsys.readouterr() == (
        "",
        f"mobilens predict: --top means nothing to {detector}, whose task is 'detect'\n"
        "  expected: --min-score\n"
        "  try: leave it out\n",
    )
    assert main(["predict", str(toy), str(photos), "--csv", "--min-score", "0.5"]) == 2
    assert capsys.readouterr() == (
        "",
        f"mobilens predict: --min-score means nothing to {toy}, whose task is 'classify'\n"
        "  expected: --top\n"
        "  try: leave it out\n",
    )


@pytest.mark.parametrize("score", ["1.5", "-0.1", "high", "nan"])
def test_a_score_is_a_share(detector, photos, score, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["predict", str(detector), str(photos), "--min-score", score])
    assert stopped.value.code == 2
    assert f"{score!r} is no number from 0 to 1" in capsys.readouterr().err


# --draw


def test_draw_writes_each_image_with_its_boxes(detector, photos, tmp_path, capsys):
    drawn = tmp_path / "new" / "drawn"
    assert main(["predict", str(detector), str(photos), "--draw", str(drawn)]) == 0
    assert sorted(path.name for path in drawn.iterdir()) == ["1.png", "2.jpg", "3 nothing.png"]
    assert f"3 drawn: {drawn}" in capsys.readouterr().err
    with Image.open(drawn / "1.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (60, 40))
        assert picture.convert("RGB").getpixel((20, 29)) == PALETTE[0]
    with Image.open(drawn / "2.jpg") as picture:
        assert picture.format == "JPEG"


def test_draw_writes_over_nothing(detector, photos):
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    save(photos / "more" / "1.png", COLOURS["blue"])
    for _ in range(2):
        command = ["predict", str(detector), str(photos / "1.png"), str(photos / "more" / "1.png")]
        assert main([*command, "--draw", str(photos)]) == 0
    assert all((photos / name).read_bytes() == content for name, content in before.items())
    new = {path.name for path in photos.iterdir() if path.is_file()} - set(before)
    assert new == {"1-2.png", "1-3.png", "1-4.png", "1-5.png"}


def test_what_was_drawn_is_not_answered(detector, photos, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    outs = []
    for sources in (["."], ["."], ["*.*"]):
        assert main(["predict", str(detector), *sources, "--draw", "drawn", "--json"]) == 0
        outs.append(len(capsys.readouterr().out.splitlines()))
    assert outs == [4, 4, 4]


def test_in_the_folder_of_the_images_only_what_this_run_drew_is_left_out(tmp_path):
    save(tmp_path / "1.png", COLOURS["red"])
    drawn = PictureFolder(tmp_path, [str(tmp_path)], "--draw")
    drawn.save(str(tmp_path / "1.png"), Image.open(tmp_path / "1.png"))
    paths = [f"{tmp_path}/{name}" for name in ("1.png", "1-2.png", "2-2.png")]
    assert list(drawn.others(paths)) == [paths[0], paths[2]]


def test_draw_needs_a_folder(detector, photos, capsys):
    file = photos / "1.png"
    assert main(["predict", str(detector), str(photos), "--draw", str(file)]) == 2
    assert capsys.readouterr() == (
        "",
        f"mobilens predict: --draw {file} cannot be made: it is a file\n"
        "  expected: a folder, new or not\n",
    )


def test_a_class_is_written_under_its_image(toy, photos, tmp_path):
    command = ["predict", str(toy), str(photos / "1.png"), "--draw", str(tmp_path / "drawn")]
    assert main([*command, "--top", "1"]) == 0
    assert main(command) == 0
    one, three = (image_size(tmp_path / "drawn" / name) for name in ("1.png", "1-2.png"))
    assert one[1] == three[1] == 60
    assert 40 < one[0] < three[0]


# evaluate


@pytest.fixture
def drawn_data(tmp_path: Path) -> Path:
    """Five images as in VOC; the toy misses one thing and finds two that are not there."""
    root = tmp_path / "yard"
    things = {
        "a": ("red", [("red", FOUND)]),
        "b": ("green", [("green", FOUND)]),
        "c": ("blue", [("blue", FOUND), ("blue", [40, 2, 58, 38])]),
        "d": ("red", []),
        "e": ("green", [("red", FOUND)]),
    }
    for name, (colour, boxes) in things.items():
        save(root / f"{name}.png", COLOURS[colour])
        objects = "".join(voc_object(label, box) for label, box in boxes)
        size = "<size><width>60</width><height>40</height></size>"
        (root / f"{name}.xml").write_text(f"<annotation>{size}{objects}</annotation>")
    return root


def voc_object(label, box):
    sides = zip(("xmin", "ymin", "xmax", "ymax"), (box[0] + 1, box[1] + 1, *box[2:]), strict=True)
    inside = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<object><name>{label}</name><bndbox>{inside}</bndbox></object>"


def test_evaluate_says_what_is_wrong_in_its_own_words(detector, drawn_data, capsys):
    assert main(["evaluate", str(detector), str(drawn_data)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("mAP (IoU 0.50 to 0.95) ") for line in lines)
    at = lines.index("Worst of 3 mistakes")
    assert lines[at + 1].split() == ["file", "truth", "answered", "share", "wrong"]
    assert [line.split() for line in lines[at + 3 : at + 6]] == [
        ["d.png", "nothing", "1", "red", "1.00"],
        ["e.png", "1", "red", "1", "green", "1.00"],
        ["c.png", "2", "blue", "1", "blue", "0.50"],
    ]


def test_evaluate_draws_what_is_found_and_what_is_missed(detector, drawn_data, tmp_path, capsys):
    grid = tmp_path / "grid.png"
    assert main(["evaluate", str(detector), str(drawn_data), "--grid", str(grid), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["worst_mistakes"][0] == {
        "path": "d.png",
        "expected": "nothing",
        "answered": "1 red",
        "severity": 1.0,
    }
    assert (
        f"the 3 worst of 3 mistakes: {grid}\n"
        "in it, blue: found and right; orange: found and wrong; dashed purple: missed\n"
    ) in err
    pixels = decode_image(grid)
    for stroke in WORDS.strokes:
        assert (pixels == stroke.colour).all(2).sum() > 100, stroke.name
