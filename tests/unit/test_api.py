"""The public namespace, and the verbs from Python."""

import inspect
import json
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mobilens
from mobilens import errors
from mobilens.cli import VERBS
from mobilens.model import Photo

COLOURS = ("red", "green", "blue")


def test_the_public_namespace_is_this():
    assert mobilens.__all__ == [
        "Model",
        "ModelSpec",
        "Observer",
        "Region",
        "TerminalObserver",
        "__version__",
        "benchmark",
        "build_spec",
        "check",
        "errors",
        "evaluate",
        "export",
        "groups",
        "index",
        "list_models",
        "load",
        "quantize",
        "resume",
        "search",
        "train",
        "verify",
    ]
    assert all(getattr(mobilens, name) is not None for name in mobilens.__all__)
    assert dir(mobilens) == mobilens.__all__


def test_no_public_name_is_taken_away_by_a_package():
    # The first import of a package `mobilens.train` would put it in the place of the function.
    parts = {module.name for module in pkgutil.iter_modules(mobilens.__path__)}
    assert parts & set(mobilens.__all__) == {"errors"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mobilens' has no attribute 'tran'"):
        mobilens.tran  # noqa: B018


def test_every_public_function_is_typed_and_documented():
    functions = [getattr(mobilens, name) for name in mobilens.__all__]
    functions = [function for function in functions if inspect.isfunction(function)]
    assert len(functions) == 14
    for function in functions:
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Parameter.empty, function
        assert inspect.getdoc(function), function
        described = str(inspect.getdoc(function))
        assert all(f"{name}:" in described for name in signature.parameters), function


IMPORT_ALONE = """
import json, sys
before = set(sys.modules)
import mobilens
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(new - set(sys.stdlib_module_names))))
"""


def test_the_import_alone_imports_only_python():
    command = [sys.executable, "-c", IMPORT_ALONE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["mobilens"]


def test_the_command_line_has_the_same_verbs():
    shared = {"train", "evaluate", "export", "verify", "benchmark", "check"}
    shared |= {"index", "search", "groups"}
    assert shared <= set(VERBS)
    assert shared <= set(mobilens.__all__)


def _photo(colour: str) -> Image.Image:
    return Image.new("RGB", (12, 10), colour)


def _png(colour: str) -> bytes:
    stream = BytesIO()
    _photo(colour).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos of each of three classes, without a validation part."""
    for colour in COLOURS:
        folder = tmp_path / "photos" / colour
        folder.mkdir(parents=True)
        for index in range(2):
            Image.new("RGB", (16 + 4 * index, 16), colour).save(folder / f"{index}.png")
    return tmp_path / "photos"


def test_a_photo_may_be_a_path_bytes_a_picture_or_an_array(toy: Path, tmp_path: Path):
    model = mobilens.load(toy)
    path = tmp_path / "photo.png"
    path.write_bytes(_png("blue"))
    same = [path, str(path), _png("blue"), _photo("blue"), np.asarray(_photo("blue"))]
    first = model.predict(path)
    assert first.label == "blue"
    assert model.class_names == ("red", "green", "blue")
    for photo in same:
        assert np.array_equal(model.predict(photo).probabilities, first.probabilities)


def test_a_region_is_answered_by_itself(toy: Path, tmp_path: Path):
    path = tmp_path / "photo.png"
    picture = Image.new("RGB", (40, 20), "blue")
    picture.paste("red", (0, 0, 20, 20))
    picture.save(path)
    regions = [mobilens.Region(path, (20, 0, 40, 20)), mobilens.Region(path, (0, 0, 20, 20))]
    model = mobilens.load(toy)
    assert model.predict(regions[0]).label == "blue"
    assert [answer.label for answer in model.predict(regions)] == ["blue", "red"]


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_several_photos_are_answered_in_order(toy: Path, batch_size: int):
    colours = [*COLOURS, "blue", "red"]
    answers = mobilens.load(toy, threads=1).predict(
        [_png(colour) for colour in colours], batch_size=batch_size
    )
    assert [answer.label for answer in answers] == colours


def test_no_photos_have_no_answers(toy: Path):
    assert mobilens.load(toy).predict([]) == []


def test_a_picture_is_turned_upright_as_its_file_is(toy: Path, tmp_path: Path):
    stripes = np.zeros((16, 8, 3), np.uint8)
    stripes[:, :4, 0] = 255
    stripes[:8, :, 2] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(stripes).save(path, exif=exif)
    model = mobilens.load(toy)
    with Image.open(path) as picture:
        of_picture = model.predict(picture)
    assert np.array_equal(of_picture.probabilities, model.predict(path).probabilities)


def test_a_picture_with_alpha_lies_on_white(toy: Path):
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    white = Image.new("RGB", (8, 8), "white")
    model = mobilens.load(toy)
    assert np.array_equal(model.predict(clear).probabilities, model.predict(white).probabilities)


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (b"no image", "not an image of a known format"),
        ("absent.png", "there is no such file"),
        (np.zeros((8, 8), np.uint8), "array of uint8, shape"),
        (np.zeros((8, 8, 3), np.float32), "array of float32, shape"),
        (Image.new("RGB", (0, 4)), "it has no pixels"),
    ],
)
def test_what_is_no_photo_is_refused(toy: Path, photo: Photo, words: str):
    model = mobilens.load(toy)
    with pytest.raises(errors.ImageError, match=words):
        model.predict(photo)
    with pytest.raises(errors.ImageError, match=words):
        model.predict([_png("red"), photo])


def test_batches_hold_something(toy: Path):
    with pytest.raises(errors.UsageError, match="batch_size is 0"):
        mobilens.load(toy).predict([_png("red")], batch_size=0)


def test_what_is_neither_a_photo_nor_a_list_is_refused(toy: Path):
    with pytest.raises(errors.UsageError, match="photos is a NoneType"):
        mobilens.load(toy).predict(None)  # type: ignore[call-overload]
    with pytest.raises(errors.UsageError, match="photos is a generator"):
        mobilens.load(toy).predict(photo for photo in [])  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda _: mobilens.benchmark([]), "no model file was given"),
        (lambda toy: mobilens.benchmark(toy, threads=()), "threads is empty"),
        (lambda toy: mobilens.benchmark(toy, batches=(1, 0)), "batches is 1, 0"),
        (lambda toy: mobilens.benchmark(toy, rounds=0), "rounds is 0"),
        (lambda _: mobilens.train([]), "no data was given"),
        (lambda toy: mobilens.load(toy).predict([1]), "a photo is of type int"),
        (lambda toy: mobilens.load(toy).predict(bytearray(b"x")), "a photo is of type int"),
    ],
)
def test_wrong_calls_are_refused_in_words(toy: Path, call: Callable[[Path], object], words: str):
    with pytest.raises(errors.UsageError, match=words):
        call(toy)


@pytest.mark.parametrize("k", [0, -1])
def test_the_top_of_none_is_refused(toy: Path, k: int):
    with pytest.raises(errors.UsageError, match=f"k is {k}"):
        mobilens.load(toy).predict(_png("red")).top(k)


def test_one_file_is_a_stream_of_one(toy: Path, tmp_path: Path):
    (tmp_path / "good.png").write_bytes(_png("green"))
    (result,) = mobilens.load(toy).predict_files(str(tmp_path / "good.png"))
    assert result.path == str(tmp_path / "good.png")
    assert result.prediction is not None


def test_files_as_a_stream_go_on_past_those_that_fail(toy: Path, tmp_path: Path):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(_png("green"))
    bad.write_bytes(b"")
    results = list(mobilens.load(toy).predict_files([bad, good]))
    assert [result.path for result in results] == [str(bad), str(good)]
    assert results[0].error == "the file is empty"
    assert results[1].error is None


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.labels: list[tuple[str, int]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, items, total, label, note=None):  # noqa: ARG002
        self.labels.append((label, total))
        return items


def test_evaluate_measures_and_tells_its_observer(toy: Path, photos: Path):
    observer = Listener()
    evaluation = mobilens.evaluate(toy, photos, observer=observer)
    assert evaluation.to_json()["top1"] == 1
    assert observer.labels == [("evaluate", 6)]
    assert observer.said == [
        "no validation part: all 6 images are measured; "
        "any that the model was trained on flatter the result"
    ]
    asked = Listener()
    assert mobilens.evaluate(toy, photos, split="all", observer=asked).num_images == 6
    assert asked.said == []


def test_verify_gives_the_proof_or_names_what_broke(toy: Path):
    assert mobilens.verify(toy).ok
    data = bytearray(toy.read_bytes())
    weight = 10 * np.eye(3, dtype=np.float32)
    data[data.index(weight.tobytes())] ^= 1
    toy.write_bytes(data)
    with pytest.raises(errors.VerificationError, match=r"head\.weight"):
        mobilens.verify(toy)


def test_benchmark_measures_each_file_once(toy: Path, watcher):
    report = mobilens.benchmark([toy, str(toy)], rounds=1, observer=watcher)
    (found,) = report.measurements
    assert (found.path, found.threads, found.batch) == (str(toy), 1, 1)
    # The file, and the machine's own peak.
    assert watcher.bars == [("benchmark", 2)]
    (alone,) = mobilens.benchmark(toy, rounds=1, batches=(2,)).measurements
    assert alone.batch == 2


def test_check_lists_what_would_spoil_a_result(toy: Path, photos: Path):
    for index in range(9):
        _photo("red").resize((20 + index, 20)).save(photos / "red" / f"more{index}.png")
    _photo("red").resize((64, 48)).save(photos / "green" / "wrong.png")
    observer = Listener()
    report = mobilens.check(photos, model=toy, observer=observer)
    assert ("predict", 16) in observer.labels
    suspects = {one.kind: one.items for one in report.findings}["mislabelled"]
    assert [item.paths for item in suspects] == [("green/wrong.png",)]


def test_models_by_name():
    assert "mobilenet_v3_small" in mobilens.list_models()
    spec = mobilens.build_spec("mobilenet_v3_small", num_classes=10)
    assert isinstance(spec, mobilens.ModelSpec)
    with pytest.raises(errors.UnknownNameError, match="mobilenet_v3_smal'"):
        mobilens.build_spec("mobilenet_v3_smal")


def test_one_process_trains_from_python(photos: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(errors.UsageError, match="several processes train together") as caught:
        mobilens.train(photos, out=photos.parent / "run")
    assert "torchrun" in caught.value.remedy
    assert not (photos.parent / "run").exists()


@pytest.mark.slow
def test_train_resume_export_load(photos: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(photos.parent)
    observer = Listener()
    run = mobilens.train(
        "photos",
        model="mobilenet_v1",
        width=0.25,
        resolution=32,
        weights="none",
        recipe="scratch",
        epochs=2,
        seed=3,
        observer=observer,
    )
    assert run.folder == Path("runs/photos-mobilenet_v1")
    assert {path.name for path in run.folder.iterdir()} >= {
        "best.safetensors",
        "last.safetensors",
        "log.csv",
        "model.onnx",
        "recipe.json",
        "report.html",
    }
    assert "weights: none, training from scratch" in observer.said
    command = json.loads((run.folder / "recipe.json").read_text())["command"]
    assert command == (
        "mobilens train photos --epochs 2 --model mobilenet_v1 --width 0.25 --resolution 32 "
        "--weights none --seed 3 --recipe scratch --out runs/photos-mobilenet_v1"
    )

    checkpoint, file = mobilens.load(run.checkpoint), mobilens.load(run.file)
    of_both = [model.predict(_photo("red")).probabilities for model in (checkpoint, file)]
    assert np.abs(of_both[0] - of_both[1]).max() < 1e-5

    exported = mobilens.export(run.checkpoint, "again.onnx", measure=False)
    assert exported.file is None
    assert mobilens.verify("again.onnx").ok
    proven = mobilens.export(run.checkpoint, "again.onnx")
    assert proven.agreeing == run.evaluation.num_images == 3

    # Of the folder that it was trained with, what was held out is measured; file or checkpoint.
    for model in (run.file, run.checkpoint):
        watcher = Listener()
        assert mobilens.evaluate(model, "photos", observer=watcher).num_images == 3
        assert watcher.said == [
            "the model was trained with these images: the 3 of 6 that it did not learn from are "
            "measured (all: --split all)"
        ]
        assert mobilens.evaluate(model, "photos", split="all").num_images == 6

    before = run.file.read_bytes()
    again = mobilens.resume(run.folder)
    assert again.file.read_bytes() == before

    # "photos" lies beside the run's first folder, not in the one where one is now.
    checkpoint_file = run.checkpoint.resolve()
    (elsewhere := photos.parent / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    again = mobilens.resume(checkpoint_file.parent)
    assert again.file.read_bytes() == before
    assert mobilens.export(checkpoint_file, "there.onnx").agreeing == 3
    assert str(photos.parent) not in again.report.read_text(encoding="utf-8")
    monkeypatch.chdir(photos.parent)
    (elsewhere / "recipe.json").write_text('{"flour": 500}')
    copied = shutil.copy(checkpoint_file, elsewhere)
    assert mobilens.export(copied, "copied.onnx").agreeing == 3

    with pytest.raises(errors.UsageError, match="holds another run"):
        mobilens.train("photos", out=run.folder)
