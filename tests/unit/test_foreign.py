"""Model files of other tools: loaded and run by what they say of themselves."""

from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobilens.errors import BundleError, UnknownNameError, UsageError
from mobilens.exporting.targets import TARGETS, build_of
from mobilens.graph import ops
from mobilens.runtime.bundle import read_manifest, read_parts
from mobilens.runtime.foreign import is_foreign, open_foreign
from mobilens.runtime.formats import FORMATS


def double(path: Path, shape: list[int | str], kind: int = TensorProto.FLOAT) -> Path:
    """An ONNX file that gives twice what it reads, as float."""
    nodes = [
        helper.make_node("Cast", ["x"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "two"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "double",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.full((1, 1), 2, np.float32), "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def pixel_mean() -> ops.Graph:
    """A graph of ours that gives the mean colour less 127.5."""
    shapes = {"pixels": (4, 6, 3), "image": (3, 4, 6), "mean": (3, 1, 1), "colour": (3,)}
    image = ops.Normalise(
        inputs=("pixels",), output="image", mean=(0.5, 0.5, 0.5), std=(1 / 255,) * 3
    )
    mean = ops.Mean(inputs=("image",), output="mean")
    flat = ops.Reshape(inputs=("mean",), output="colour", shape=(3,))
    return ops.Graph("pixels", (image, mean, flat), {"colour": "colour"}, shapes)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("shape", "kind", "dtype", "expected"),
    [
        (["b", 3, 5, 5], TensorProto.FLOAT, np.float32, (4, 3, 5, 5)),
        (["b", 3, "h", "w"], TensorProto.FLOAT, np.float32, (4, 3, 224, 224)),
        ([1, 8, 6, 3], TensorProto.UINT8, np.uint8, (4, 8, 6, 3)),
        ([2, 7], TensorProto.FLOAT16, np.float16, (4, 7)),
        ([4, 7], TensorProto.INT64, np.int64, (4, 7)),
    ],
)
def test_what_a_file_reads_is_made_and_answered(tmp_path, engine, shape, kind, dtype, expected):
    model = open_foreign(double(tmp_path / "m.onnx", shape, kind), engine, 1)
    given = model.example(4)
    assert list(given) == ["x"]
    assert given["x"].dtype == dtype
    assert given["x"].shape == expected
    np.testing.assert_allclose(model.run(given)["y"], 2 * given["x"].astype(np.float32))
    np.testing.assert_array_equal(given["x"], model.example(4)["x"])
    assert model.version


def test_a_batch_that_does_not_fit_is_named(tmp_path):
    model = open_foreign(double(tmp_path / "m.onnx", [2, 3, 5, 5]))
    with pytest.raises(UsageError, match="answers 2 images at a time, asked is a batch of 3"):
        model.example(3)


def test_shapes_that_are_left_open_are_named(tmp_path):
    model = open_foreign(double(tmp_path / "m.onnx", ["b", "length"]))
    with pytest.raises(BundleError, match=r"leaves the shape of x open: \(\?, \?\)"):
        model.example(1)


@pytest.mark.parametrize("target", ["litert", "executorch"])
def test_litert_and_executorch(tmp_path, toy, target):
    path = tmp_path / f"model{FORMATS[target].suffix}"
    build_of(TARGETS[target])(pixel_mean(), read_manifest(toy), path)
    # What another tool writes names no manifest of ours.
    path.write_bytes(path.read_bytes().replace(b"mobilens.json", b"anything.json"))
    model = open_foreign(path, threads=1)
    assert is_foreign(path)
    given = model.example(3)
    ((_, pixels),) = given.items()
    assert pixels.shape == (3, 4, 6, 3)
    assert pixels.dtype == np.uint8
    (answer,) = model.run(given).values()
    expected = pixels.mean((1, 2)) - 127.5
    np.testing.assert_allclose(answer.reshape(3, 3), expected, atol=1e-3)


def test_openvino(tmp_path):
    source = double(tmp_path / "m.onnx", ["b", 3, 5, 5])
    openvino.save_model(openvino.Core().read_model(source), tmp_path / "m.xml")
    model = open_foreign(tmp_path / "m.xml", threads=1)
    assert model.engine == "openvino"
    for batch in (2, 1):
        given = model.example(batch)
        np.testing.assert_allclose(model.run(given)["y"], 2 * given["x"])


def ncnn_pair(folder: Path, size: str) -> Path:
    """What tools for ncnn leave, manifest or not: two filters of ones over three channels."""
    path = folder / "other.param"
    lines = (
        "7767517",
        "2 2",
        f"Input image 0 1 image{size}",
        "Convolution sums 1 1 image sums 0=2 1=1 6=6",
    )
    path.write_text("\n".join(lines) + "\n")
    # No mark in front: the numbers are float32.
    path.with_suffix(".bin").write_bytes(bytes(4) + np.ones(6, np.float32).tobytes())
    return path


@pytest.mark.parametrize(("size", "sides"), [("", (224, 224)), (" 0=5 1=7 2=3", (7, 5))])
def test_ncnn(tmp_path, size, sides):
    path = ncnn_pair(tmp_path, size)
    assert is_foreign(path)
    assert read_parts(path)[1].size_bytes == sum(f.stat().st_size for f in tmp_path.iterdir())
    model = open_foreign(path, threads=1)
    assert model.engine == "ncnn"
    given = model.example(2)
    assert given["image"].shape == (2, 3, *sides)
    sums = given["image"].sum(1, keepdims=True).repeat(2, 1)
    np.testing.assert_allclose(model.run(given)["sums"], sums, atol=1e-5)


def test_ncnn_without_its_numbers_is_named(tmp_path):
    path = ncnn_pair(tmp_path, "")
    numbers = path.with_suffix(".bin")
    numbers.write_bytes(numbers.read_bytes()[:11])
    with pytest.raises(BundleError, match="ncnn cannot load"):
        open_foreign(path)
    numbers.unlink()
    with pytest.raises(BundleError, match=r"other.bin is not beside it"):
        is_foreign(path)


def test_weights_beside_an_onnx_file_count_as_part_of_it(tmp_path):
    path = double(tmp_path / "m.onnx", ["b", 3])
    onnx.save(
        onnx.load(path),
        path,
        save_as_external_data=True,
        location="m.onnx.data",
        size_threshold=0,
    )
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert read_parts(path)[1].size_bytes == sum(sizes)
    assert is_foreign(path)
    assert open_foreign(path).run({"x": np.ones((1, 3), np.float32)})["y"].tolist() == [[2, 2, 2]]


@pytest.mark.parametrize("place", ["gone.data", "../secret.data"])
def test_weights_elsewhere_are_not_reached_for(tmp_path, place):
    (tmp_path / "secret.data").write_bytes(np.full((1, 1), 2, np.float32).tobytes())
    (tmp_path / "in").mkdir()
    path = double(tmp_path / "in" / "m.onnx", ["b", 3])
    model = onnx.load(path)
    (weight,) = model.graph.initializer
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=place)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match="ONNX Runtime cannot load"):
        open_foreign(path)
    assert read_parts(path)[1].size_bytes == path.stat().st_size


def test_what_is_no_model_is_named(tmp_path, toy):
    notes = tmp_path / "notes.onnx"
    notes.write_text("milk, bread")
    for look in (is_foreign, open_foreign):
        with pytest.raises(BundleError, match="is damaged, or no ONNX file"):
            look(notes)
    with pytest.raises(UnknownNameError, match="no engine is named 'abacus'"):
        open_foreign(toy, "abacus")
    assert not is_foreign(toy)
