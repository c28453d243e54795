"""Classes of pixels on the command line: printed, drawn, written as masks, and cut out."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilens.cli import main
from mobilens.data.dataset import load_split
from mobilens.vision.segmentation import colour_of

MANY = ("black", "red", "blue")
TWO = ("background", "red")
RED, BLUE, DIM = (255, 0, 0), (0, 0, 255), (153, 0, 0)


@pytest.fixture
def write_segmenter(tmp_path: Path) -> Callable[[tuple[str, ...]], Path]:
    """Write a model file for 8x8 pixels that knows red and blue pixels, or how red they are."""

    def write(names: tuple[str, ...]) -> Path:
        from mobilens.runtime.bundle import write_manifest
        from mobilens.runtime.manifest import GoldenSample, InputSpec, Manifest, ModelCost
        from mobilens.spec.task import Preprocessing, TaskSpec
        from mobilens.spec.zoo import build_spec
        from mobilens.vision.tasks import task_vision

        task = TaskSpec("segment", names, Preprocessing(size=(8, 8), resize="letterbox"))
        pixels = np.zeros((2, 8, 8, 3), np.uint8)
        pixels[:, :, 4:] = RED
        redness = pixels[..., 0].astype(np.float32) / 255
        if len(names) == 2:
            outputs = {"probabilities": np.stack([1 - redness, redness], 3)}
        else:
            outputs = {"classes": pixels[..., 0] // 255}
        vision = task_vision("segment")
        spec = build_spec("mobilenet_v3_small")
        manifest = Manifest(
            task=task,
            model=spec.to_json(),
            cost=ModelCost(params=spec.cost().params, macs=spec.cost().macs),
            input=InputSpec("pixels", (8, 8)),
            outputs=tuple(outputs),
            golden=tuple(
                GoldenSample.record(image, vision.record(answer))
                for image, answer in zip(pixels, vision.decode(outputs, task), strict=True)
            ),
            tolerance=1e-3,
            mobilens="0.1.0",
            tools={"numpy": np.__version__},
        )
        path = tmp_path / f"segmenter-{len(names)}.onnx"
        path.write_bytes(write_manifest(segmenter_onnx(len(names)), manifest))
        return path

    return write


def segmenter_onnx(classes: int) -> bytes:
    """Of two classes, how red each pixel is; of three, whether black, red or blue is largest."""
    from onnx import TensorProto, helper, numpy_helper

    # Of red, green, blue and one, to scores of black, red and blue.
    weights = {
        2: np.array([[-1, 1], [0, 0], [0, 0], [1, 0]], np.float32),
        3: np.array([[0, 1, 0], [0, 0, 0], [0, 0, 1], [0.5, 0, 0]], np.float32),
    }[classes]
    constants = {"255": np.array(255, np.float32), "weights": weights[:3], "bias": weights[3]}
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "255"], ["shares"]),
        helper.make_node("MatMul", ["shares", "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["probabilities"]),
    ]
    shape: list[str | int] = ["n", 8, 8]
    if classes == 2:
        output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [*shape, 2])
    else:
        nodes.append(helper.make_node("ArgMax", ["probabilities"], ["classes"], axis=3, keepdims=0))
        output = helper.make_tensor_value_info("classes", TensorProto.INT64, shape)
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [*shape, 3])],
        [output],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


@pytest.fixture
def many(write_segmenter) -> Path:
    return write_segmenter(MANY)


@pytest.fixture
def two(write_segmenter) -> Path:
    return write_segmenter(TWO)


def half(left: tuple[int, int, int], right: tuple[int, int, int]) -> Image.Image:
    """An image of 64 x 32 pixels, four rows of eight to the model."""
    picture = Image.new("RGB", (64, 32), left)
    picture.paste(right, (32, 0, 64, 32))
    return picture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    half(RED, BLUE).save(folder / "1.png")
    half((0, 0, 0), RED).save(folder / "2.jpg", quality=95, subsampling=0)
    (folder / "4 broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is not the rest of it")
    return folder


def opened(path: Path) -> tuple[str, np.ndarray]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return picture.mode, np.array(picture)


def test_shares_are_printed_as_the_help_says(many, photos, capsys):
    photo = str(photos / "1.png")
    assert main(["predict", str(many), photo]) == 0
    assert capsys.readouterr().out == f"{photo}: red 50.0 %, blue 50.0 %\n"
    assert main(["predict", str(many), photo, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": photo,
        "height": 32,
        "width": 64,
        "shares": {"red": 0.5, "blue": 0.5},
    }
    assert main(["predict", str(many), str(photos), "--csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["path", "label", "share", "error"]
    assert rows[1:3] == [[photo, "red", "0.500000", ""], [photo, "blue", "0.500000", ""]]
    assert [row[1:3] for row in rows[5:]] == [["", ""]]


# --masks


def test_masks_hold_the_class_of_every_pixel(many, photos, tmp_path, capsys):
    masks = tmp_path / "new" / "masks"
    assert main(["predict", str(many), str(photos), "--masks", str(masks)]) == 0
    assert f"2 written as masks: {masks}\n" in capsys.readouterr().err
    assert sorted(path.name for path in masks.iterdir()) == [
        "1.png",
        "2.png",
        "classes.txt",
    ]
    for name, left, right in (("1.png", 1, 2), ("2.png", 0, 1)):
        mode, values = opened(masks / name)
        assert (mode, values.shape) == ("P", (32, 64))
        assert (values[:, :32] == left).all()
        assert (values[:, 32:] == right).all()
    with Image.open(masks / "1.png") as picture:
        assert picture.convert("RGB").getpixel((0, 0)) == colour_of(1)


def test_masks_are_read_as_truth_again(many, photos, tmp_path, capsys):
    root = tmp_path / "data"
    root.mkdir()
    (photos / "4 broken.jpg").unlink()
    photos.rename(root / "images")
    command = ["predict", str(many), str(root / "images"), "--masks", str(root / "masks")]
    assert main(command) == 0
    assert (root / "masks" / "classes.txt").read_text() == "0 black\n1 red\n2 blue\n"
    data = load_split(str(root), "all", MANY, labels="masks")
    found = {sample.path.name: sample.target.classes for sample in data.samples}
    assert found == {"1.png": (1, 2), "2.jpg": (0, 1)}
    capsys.readouterr()
    assert main(["evaluate", str(many), str(root), "--split", "all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["miou"] == 1


def test_masks_of_two_classes_are_the_same_or_how_probable_the_second_is(two, photos, tmp_path):
    half(DIM, RED).save(photos / "1.png")
    command = ["predict", str(two), str(photos / "1.png"), "--masks"]
    assert main([*command, str(tmp_path / "plain")]) == 0
    mode, values = opened(tmp_path / "plain" / "1.png")
    assert mode == "P"
    assert (values == 1).all()
    assert main([*command, str(tmp_path / "alpha"), "--mask-style", "alpha"]) == 0
    mode, values = opened(tmp_path / "alpha" / "1.png")
    assert (mode, values.shape) == ("L", (32, 64))
    assert (values[:, 0] == 153).all()
    assert (values[:, -1] == 255).all()
    assert main([*command, str(tmp_path / "third"), "--mask-style", "palette"]) == 0
    assert opened(tmp_path / "third" / "1.png")[0] == "P"


def test_alpha_masks_of_many_classes_are_refused(many, photos, tmp_path, capsys):
    masks = tmp_path / "masks"
    command = ["predict", str(many), str(photos), "--masks", str(masks), "--mask-style", "alpha"]
    assert main(command) == 2
    assert capsys.readouterr() == (
        "",
        "mobilens predict: the model has 3 classes: which one alpha masks show is not known\n"
        "  expected: a model of two classes\n"
        "  try: --mask-style palette\n",
    )
    assert not masks.exists()


def test_a_style_without_masks_is_refused(two, photos, capsys):
    assert main(["predict", str(two), str(photos), "--mask-style", "alpha"]) == 2
    assert capsys.readouterr() == (
        "",
        "mobilens predict: --mask-style alpha without --masks: no masks are written\n"
        "  expected: --masks DIR beside it\n",
    )


@pytest.mark.parametrize("option", ["--masks", "--cutout"])
def test_what_another_task_cannot_write_is_refused(toy, photos, tmp_path, option, capsys):
    folders = ["--draw", str(tmp_path / "drawn"), option, str(tmp_path / "out")]
    assert main(["predict", str(toy), str(photos), *folders]) == 2
    assert capsys.readouterr() == (
        "",
        f"mobilens predict: {option} means nothing to {toy}, whose task is 'classify'\n"
        "  expected: --draw\n"
        "  try: leave it out\n",
    )
    assert not (tmp_path / "drawn").exists()


@pytest.mark.parametrize("option", ["--masks", "--cutout"])
def test_pictures_need_a_folder(many, photos, option, capsys):
    file = photos / "1.png"
    assert main(["predict", str(many), str(photos), option, str(file)]) == 2
    assert capsys.readouterr() == (
        "",
        f"mobilens predict: {option} {file} cannot be made: it is a file\n"
        "  expected: a folder, new or not\n",
    )


# --cutout


def test_of_two_classes_edges_are_soft(two, photos, tmp_path, capsys):
    half(DIM, BLUE).save(photos / "1.png")
    out = tmp_path / "cut"
    assert main(["predict", str(two), str(photos / "1.png"), "--cutout", str(out)]) == 0
    assert f"1 cut out: {out}\n" in capsys.readouterr().err
    mode, pixels = opened(out / "1.png")
    assert mode == "RGBA"
    assert np.array_equal(pixels[..., :3], np.asarray(half(DIM, BLUE)))
    assert (pixels[:, 0, 3] == 153).all()
    assert (pixels[:, -1, 3] == 0).all()
    assert len(np.unique(pixels[..., 3])) > 2


def test_of_many_classes_all_but_the_first_is_kept(many, photos, tmp_path):
    out = tmp_path / "cut"
    assert main(["predict", str(many), str(photos), "--cutout", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["1.png", "2.png"]
    assert (opened(out / "1.png")[1][..., 3] == 255).all()
    alpha = opened(out / "2.png")[1][..., 3]
    assert (alpha[:, :32] == 0).all()
    assert (alpha[:, 32:] == 255).all()


# All of them


def test_several_kinds_at_once_and_nothing_is_written_over(many, photos, capsys):
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    command = ["predict", str(many), str(photos / "1.png"), str(photos / "2.jpg")]
    command += ["--draw", str(photos), "--masks", str(photos), "--cutout", str(photos.parent)]
    for _ in range(2):
        assert main(command) == 0
    assert "2 drawn: " in capsys.readouterr().err
    assert all((photos / name).read_bytes() == content for name, content in before.items())
    new = {path.name for path in photos.iterdir()} - set(before)
    assert new == {
        "1-2.png",
        "1-3.png",
        "1-4.png",
        "1-5.png",
        "2-2.jpg",
        "2-3.jpg",
        "2.png",
        "2-2.png",
        "classes.txt",
    }
    assert {path.name for path in photos.parent.glob("*.png")} == {
        *("1.png", "1-2.png", "2.png", "2-2.png")
    }
    assert not list(photos.parent.rglob("*.tmp*"))


def test_what_was_written_is_not_answered(many, photos, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    for _ in range(2):
        command = ["predict", str(many), ".", "--masks", "masks", "--cutout", "cut", "--json"]
        assert main(command) == 0
        assert len(capsys.readouterr().out.splitlines()) == 3
