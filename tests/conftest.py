"""Fixtures that every kind of test may use."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A busy machine is no failure, and a gate must say the same of the same code: elsewhere than in CI
# the examples stay random, so that new ones are found.
settings.register_profile("patient", deadline=None)
settings.register_profile("gate", deadline=None, derandomize=True)
settings.load_profile("gate" if os.environ.get("CI") else "patient")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photos and weights beside the project, where the machine has them."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MOBILENS_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the shared real data is not on this machine (MOBILENS_SHARED_DATA)")
    return folder


class Watcher:
    """An observer that keeps what it is told.

    Attributes:
        said: Lines for a person.
        bars: (label, total) of each progress.
        seen: Items that went by, of all of them.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.bars: list[tuple[str, int]] = []
        self.seen: list[Any] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(
        self, items: Iterable[Any], total: int, label: str, note: Callable[[], str] | None = None
    ) -> Iterator[Any]:
        self.bars.append((label, total))
        for item in items:
            self.seen.append(item)
            yield item
            if note is not None:
                note()


@pytest.fixture
def watcher() -> Watcher:
    """An observer that keeps what it is told."""
    return Watcher()


@pytest.fixture(scope="session")
def write_photos() -> Callable[..., Path]:
    """Write a small data set that can be learnt: noise with a tint, a folder for each class."""
    return _write_photos


def _write_photos(
    root: Path,
    *,
    classes: tuple[str, ...] = ("blue", "green", "red"),
    count: int = 12,
    side: tuple[int, int] = (40, 60),
    seed: int = 0,
) -> Path:
    import numpy as np
    from PIL import Image

    stream = np.random.default_rng(seed)
    for index, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = stream.normal(80, 40, (*stream.integers(*side, 2), 3))
            pixels[..., 2 - index % 3] += 90
            photo = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            photo.save(root / name / f"{number:02}.{'jpg' if number % 2 else 'png'}")
    return root


@pytest.fixture(scope="session")
def write_scenes() -> Callable[..., Path]:
    """Write a small data set with the labels of a task: things of two kinds on noise."""
    return _write_scenes


def _write_scenes(root: Path, task: str, *, count: int = 12, side: int = 72) -> Path:
    """Bright and reddish rectangles: as YOLO's boxes, as masks with a background, or as corners.

    For embeddings, photos of six tints.
    """
    import numpy as np
    from PIL import Image

    if task == "embed":
        return _write_photos(root, classes=tuple("abcdef"), count=max(2, count // 3))
    stream = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    labels = root / {"segment": "masks"}.get(task, "labels")
    labels.mkdir()
    names = ["bright", "red"] if task == "detect" else ["background", "bright", "red"]
    corners = ["image,left_top_x,left_top_y,right_bottom_x,right_bottom_y"]
    for number in range(count):
        pixels, mask = stream.normal(70, 20, (side, side, 3)), np.zeros((side, side), np.uint8)
        rows = []
        for kind in stream.permutation(2)[: 1 + number % 2]:
            width, height = stream.integers(18, 40, 2)
            x, y = stream.integers(0, side - width), stream.integers(0, side - height)
            pixels[y : y + height, x : x + width] += (120, 120, 120) if kind == 0 else (150, 0, 0)
            mask[y : y + height, x : x + width] = kind + 1
            middle = np.array([x + width / 2, y + height / 2, width, height]) / side
            rows.append(f"{kind} " + " ".join(f"{value:.5f}" for value in middle))
        corners.append(f"{number:02}.png,{x},{y},{x + width},{y + height}")
        photo = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        photo.save(root / "images" / f"{number:02}.png")
        if task == "segment":
            Image.fromarray(mask).save(labels / f"{number:02}.png")
        else:
            (labels / f"{number:02}.txt").write_text("\n".join(rows) + "\n")
    if task == "keypoints":
        (root / "points.csv").write_text("\n".join(corners) + "\n")
    else:
        (root / "classes.txt").write_text("".join(f"{name}\n" for name in names))
    return root


@pytest.fixture
def write_toy_bundle() -> Callable[..., Path]:
    """Write a verified model file that tells red, green and blue photos apart, made by hand."""
    return _write_toy_bundle


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A model file as ``write_toy_bundle`` makes it, for 8x8 pixels."""
    return _write_toy_bundle(tmp_path / "toy.onnx")


def _write_toy_bundle(
    path: Path, *, size: tuple[int, int] = (8, 8), seed: int = 0, tolerance: float = 1e-3
) -> Path:
    import numpy as np

    from mobilens.runtime.bundle import write_manifest
    from mobilens.runtime.engines import engine_type
    from mobilens.runtime.manifest import GoldenSample, InputSpec, Manifest, ModelCost
    from mobilens.spec.task import Preprocessing, TaskSpec
    from mobilens.spec.zoo import build_spec

    path.write_bytes(_toy_onnx(size, seed))
    pixels = np.zeros((3, *size, 3), np.uint8)
    pixels[range(3), :, :, range(3)] = 200
    outputs = engine_type("onnxruntime")(path, threads=1).run(pixels)
    spec = build_spec("mobilenet_v3_small", num_classes=3)
    names = ("red", "green", "blue")
    manifest = Manifest(
        task=TaskSpec("classify", names, Preprocessing(size=size, resize="squash")),
        model=spec.to_json(),
        cost=ModelCost(params=spec.cost().params, macs=spec.cost().macs),
        input=InputSpec("pixels", size),
        outputs=("probabilities",),
        golden=tuple(
            GoldenSample.record(pixels[i], {k: v[i] for k, v in outputs.items()}, label=i)
            for i in range(3)
        ),
        tolerance=tolerance,
        mobilens="0.1.0",
        tools={"numpy": np.__version__},
    )
    path.write_bytes(write_manifest(path.read_bytes(), manifest))
    return path


@pytest.fixture
def write_toy_embedder() -> Callable[..., Path]:
    """Write a model file of the task embed, made by hand: colours of a photo's four quarters."""
    return _write_toy_embedder


def _write_toy_embedder(path: Path, *, bias: float = -127.5, threshold: float | None = 0.9) -> Path:
    import numpy as np

    from mobilens.runtime.bundle import write_manifest
    from mobilens.runtime.engines import engine_type
    from mobilens.runtime.manifest import (
        Accuracy,
        GoldenSample,
        InputSpec,
        Manifest,
        MeasuredOn,
        ModelCost,
    )
    from mobilens.spec.task import Preprocessing, TaskSpec
    from mobilens.spec.zoo import build_spec

    path.write_bytes(_toy_embedder_onnx(bias))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    vector = engine_type("onnxruntime")(path, threads=1).run(pixels)["embeddings"][0]
    figures = {"auc": 0.9} | ({} if threshold is None else {"threshold": threshold})
    manifest = Manifest(
        task=TaskSpec("embed", ("one", "two"), Preprocessing(size=(8, 8), resize="squash")),
        model=build_spec("mobilenet_v3_small", num_classes=2).to_json(),
        cost=ModelCost(params=12, macs=768),
        input=InputSpec("pixels", (8, 8)),
        outputs=("embeddings",),
        golden=(
            GoldenSample.record(pixels[0], {"embedding": vector / np.linalg.norm(vector)}, label=0),
        ),
        tolerance=1e-3,
        accuracy=Accuracy(figures, figures, MeasuredOn("colours", "0" * 64, 4)),
        mobilens="0.1.0",
    )
    path.write_bytes(write_manifest(path.read_bytes(), manifest))
    return path


def _toy_embedder_onnx(bias: float) -> bytes:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["nchw"], ["quarters"], kernel_shape=[4, 4], strides=[4, 4]
        ),
        helper.make_node("Flatten", ["quarters"], ["flat"]),
        helper.make_node("Add", ["flat", "head.bias"], ["embeddings"]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", 12])],
        [numpy_helper.from_array(np.full(12, bias, np.float32), "head.bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


def _toy_onnx(size: tuple[int, int], seed: int) -> bytes:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    noise = np.random.default_rng(seed).normal(0, 0.01, (3, 3, 3, 3)).astype(np.float32)
    noise[range(3), range(3), 1, 1] += 1
    bias = helper.make_tensor("head.bias", TensorProto.FLOAT, [3], [0.01, 0.02, 0.03])
    weights = [
        numpy_helper.from_array(noise / 255, "stem.weight"),
        numpy_helper.from_array(10 * np.eye(3, dtype=np.float32), "head.weight"),
        numpy_helper.from_array(np.array([2, 3]), "axes"),
        bias,  # in float_data, the others in raw_data
    ]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "stem.weight"], ["features"], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["features", "axes"], ["pooled"], keepdims=0),
        helper.make_node("Gemm", ["pooled", "head.weight", "head.bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", *size, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()
