"""Files of other tools that answer, once somebody says how their pixels are prepared."""

import json
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import mobilens
from mobilens.cli import main
from mobilens.errors import BundleError, UsageError
from mobilens.runtime.foreign_predictor import ForeignPredictor
from mobilens.runtime.preparation import Preparation, read_preparation

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SAID = "mean=0.485/0.456/0.406,std=0.229/0.224/0.225"


def mean_colour(
    path: Path,
    *,
    shape: tuple[int | str, ...] = ("b", 3, 8, 6),
    kind: int = TensorProto.FLOAT,
    last: bool = False,
    softmax: bool = False,
    outputs: tuple[str, ...] = ("scores",),
) -> Path:
    """An ONNX file whose scores are the means of the three channels that it reads."""
    nodes = [
        helper.make_node("Cast", ["x"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Softmax", ["mean"], ["soft"], axis=1),
        *(
            helper.make_node("Identity", ["soft" if softmax else "mean"], [name])
            for name in outputs
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.array([1, 2] if last else [2, 3]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def pixels(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 6, 3), np.uint8)


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores)
    return powers / powers.sum(1, keepdims=True)


def test_text_and_file_say_the_same(tmp_path):
    text = f"size=8/6,{SAID},crop_pct=0.9,interpolation=bicubic,layout=nchw,output=y"
    said = read_preparation(text)
    assert said == Preparation(
        size=(8, 6),
        mean=MEAN,
        std=STD,
        crop_pct=0.9,
        interpolation="bicubic",
        layout="nchw",
        output="y",
    )
    values = {"size": [8, 6], "mean": MEAN, "std": STD, "crop_pct": 0.9}
    values |= {"interpolation": "bicubic", "layout": "nchw", "output": "y"}
    (tmp_path / "how.json").write_text(json.dumps(values))
    for given in (tmp_path / "how.json", str(tmp_path / "how.json")):
        assert read_preparation(given) == said
    assert read_preparation("size=224").size == (224, 224)


def test_means_of_pixels_that_were_not_divided_are_refused():
    with pytest.raises(UsageError, match=r"mean=123/117/104 is of pixels from 0 to 255") as caught:
        read_preparation("size=224,mean=123/117/104,std=58/57/57")
    assert caught.value.expected == "of pixels divided by 255: mean=0.482/0.459/0.408"
    with pytest.raises(UsageError, match="std=58/57/57 is of pixels"):
        read_preparation("mean=0.5/0.5/0.5,std=58/57/57")
    read_preparation("mean=0/0/0,std=1/1/1")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("size=", "preprocess, size is ''"),
        ("colour=cmyk", "preprocess, colour is 'cmyk'"),
        ("mean=1/2", r"preprocess, mean is \[1, 2\]"),
        ("size=224,size=224", "'size=224' in what --preprocess says"),
        ("size=224,bicubic", "'bicubic' in what --preprocess says"),
        ("means=1/2/3", "preprocess has a field 'means'"),
        ("nowhere.json", "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_meant_is_named(given, said):
    with pytest.raises(UsageError, match=said) as caught:
        read_preparation(given)
    assert caught.value.remedy.startswith("size=224,mean=")


@pytest.mark.parametrize(
    ("text", "said"), [("[1]", "is no JSON object"), ("{", "is not JSON"), ("9" * 70_000, "bytes")]
)
def test_a_file_that_is_no_preparation_is_named(tmp_path, text, said):
    (tmp_path / "how.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        read_preparation(tmp_path / "how.json")


@pytest.mark.parametrize("batch", ["b", 1, 2])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_floats_are_normalised_and_laid_out(tmp_path, batch, last, colour):
    shape = (batch, 8, 6, 3) if last else (batch, 3, 8, 6)
    path = mean_colour(tmp_path / "m.onnx", shape=shape, last=last)
    predictor = ForeignPredictor(path, f"{SAID},colour={colour}")
    assert predictor.task.class_names == ("0", "1", "2")
    assert predictor.task.preprocessing.size == (8, 6)
    expected = ((pixels() / 255 - MEAN) / STD).mean((1, 2))
    expected = softmax(expected[:, ::-1] if colour == "bgr" else expected)
    got = predictor.forward(pixels())["probabilities"]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_bytes_are_given_as_they_are_and_probabilities_stay(tmp_path):
    path = mean_colour(
        tmp_path / "m.onnx",
        shape=("b", "h", "w", 3),
        kind=TensorProto.UINT8,
        last=True,
        softmax=True,
        outputs=("a", "b"),
    )
    predictor = ForeignPredictor(path, "size=8/6,output=b")
    got = predictor.forward(pixels())["probabilities"]
    np.testing.assert_allclose(got, softmax(pixels().mean((1, 2))), atol=1e-4)


def in_integers(path: Path, scale: float, zero_point: int) -> Path:
    """A LiteRT file of int8 alone, which gives back the twelve values of the picture it reads."""
    parameters = schema.QuantizationParametersT()
    parameters.scale, parameters.zeroPoint = [scale], [zero_point]
    tensors = []
    for name, shape in (("x", [1, 2, 2, 3]), ("shape", [2]), ("y", [1, 12])):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, shape, int(name == "shape")
        tensor.type = schema.TensorType.INT32 if name == "shape" else schema.TensorType.INT8
        tensor.quantization = None if name == "shape" else parameters
        tensors.append(tensor)
    operator, graph, code, model = (
        *(schema.OperatorT(), schema.SubGraphT()),
        *(schema.OperatorCodeT(), schema.ModelT()),
    )
    operator.inputs, operator.outputs = [0, 1], [2]
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], [0], [2]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    shape = schema.BufferT()
    shape.data = np.frombuffer(np.array([1, 12], np.int32).tobytes(), np.uint8)
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    model.buffers = [schema.BufferT(), shape]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def test_integers_that_stand_for_floats_are_taken_as_those(tmp_path):
    path = in_integers(tmp_path / "m.tflite", 0.02, -3)
    predictor = ForeignPredictor(path, SAID)
    photos = np.random.default_rng(0).integers(0, 256, (3, 2, 2, 3), np.uint8)
    exact = (photos / 255 - MEAN) / STD
    exact = exact.clip(-125 * 0.02, 130 * 0.02).reshape(3, 12)
    np.testing.assert_allclose(predictor._scores(photos), exact, atol=0.0101)
    with pytest.raises(UsageError, match="does not say which"):
        ForeignPredictor(path, "size=2")


@pytest.mark.parametrize(
    ("options", "given", "said"),
    [
        ({}, "size=8/6", "reads floats, and --preprocess does not say which"),
        ({}, f"{SAID},size=224", "size is 224/224, and the file reads x as float32"),
        ({}, f"{SAID},layout=nhwc", "layout is nhwc, and the file reads x as float32"),
        ({"shape": ("b", 3, "h", "w")}, SAID, "leaves the size open"),
        ({"kind": TensorProto.UINT8}, SAID, "reads bytes"),
        ({"outputs": ("a", "b")}, SAID, "gives a, b"),
        ({"outputs": ("a", "b")}, f"{SAID},output=c", "gives a, b"),
    ],
)
def test_what_does_not_fit_the_file_is_named(tmp_path, options, given, said):
    path = mean_colour(tmp_path / "m.onnx", **options)
    with pytest.raises(UsageError, match=said):
        ForeignPredictor(path, given)


@pytest.mark.parametrize("shape", [("b", 4, 8, 6), ("b", 3, 2, 8, 6), (1, 1, 8, 6)])
def test_a_file_that_reads_no_photo_is_named(tmp_path, shape):
    path = mean_colour(tmp_path / "m.onnx", shape=shape)
    with pytest.raises(BundleError, match=r"reads x as float32 of \(") as caught:
        ForeignPredictor(path, SAID)
    assert caught.value.expected == "one RGB image, float or uint8"


def test_our_own_files_say_it_themselves(toy):
    with pytest.raises(UsageError, match="says itself how its pixels are prepared"):
        ForeignPredictor(toy, SAID)


def test_predict_and_evaluate_take_it(tmp_path, capsys):
    path = mean_colour(tmp_path / "m.onnx")
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\nblue\n")
    for index, name in enumerate(("red", "green", "blue")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        photo = np.zeros((20, 20, 3), np.uint8)
        photo[..., index] = 250
        Image.fromarray(photo).save(tmp_path / "photos" / name / "a.png")
    words = ["--preprocess", SAID, "--labels", str(labels)]
    photo = str(tmp_path / "photos" / "green" / "a.png")
    assert main(["predict", str(path), photo, *words, "--top", "1"]) == 0
    assert ": green 9" in capsys.readouterr().out
    assert main(["evaluate", str(path), str(tmp_path / "photos"), *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top1"] == 1
    model = mobilens.load(path, preprocess=SAID, labels=labels)
    assert model.predict(photo).label == "green"


def test_without_it_the_words_say_what_is_missing(tmp_path, capsys):
    path = mean_colour(tmp_path / "m.onnx")
    assert main(["predict", str(path), "photo.jpg"]) == 1
    said = capsys.readouterr().err
    assert f"{path} has no mobilens manifest: it does not say how its pixels are prepared" in said
    assert "--preprocess size=224,mean=0.485/0.456/0.406" in said
    assert main(["predict", str(path), "photo.jpg", "--labels", "labels.txt"]) == 2
    assert "labels without --preprocess" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a\nb\n", "has 2 names, the model gives 3 scores"),
        (b"\xff\xfe", "is no text in UTF-8"),
        (b"a\na\nb\n", "the class name 'a' stands twice"),
        (None, "cannot be read: No such file"),
    ],
)
def test_labels_that_do_not_fit_are_named(tmp_path, content, said):
    path = mean_colour(tmp_path / "m.onnx")
    if content is not None:
        (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        ForeignPredictor(path, SAID, tmp_path / "labels.txt")
