"""A classifier of another tool as a predictor, once somebody says how its pixels are prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilens.errors import BundleError, UsageError
from mobilens.runtime.engines import Port
from mobilens.runtime.foreign import Foreign, is_foreign, open_foreign
from mobilens.runtime.preparation import EXAMPLE, Preparation, read_preparation
from mobilens.spec.task import TaskSpec
from mobilens.vision.predictor import Learnt, Pixels, RawOutputs

REMEDY = f"--preprocess {EXAMPLE}"
# Probabilities of 8 bits, of many classes, add up to one no better than that.
ROUNDED = 0.1
MAX_LABELS_BYTES = 16 * 1024 * 1024


class ForeignPredictor:
    """A file of another tool that answers.

    Attributes:
        path: The file.
        task: What it answers, and how its pixels are prepared, as was said.
        learnt: Nothing is known of what it learnt from.
    """

    learnt = Learnt()

    def __init__(
        self,
        path: str | Path,
        preprocess: str | Path,
        labels: str | Path | None = None,
        threads: int | None = None,
    ) -> None:
        """Open a file.

        Args:
            path: An ONNX, OpenVINO, LiteRT or ExecuTorch file of a classifier.
            preprocess: How pixels are prepared, as ``read_preparation`` takes it.
            labels: Text file with a name for each output, one a line; numbers by default.
            threads: Threads for one answer; as many as there are cores by default.

        Raises:
            BundleError: It cannot be loaded, or is no classifier of images.
            UsageError: It carries a manifest, or what was said does not fit it.
            MissingExtraError: The engine is not installed.
        """
        self.path = Path(path)
        self._said = read_preparation(preprocess)
        if not is_foreign(self.path):
            raise UsageError(
                f"{path} says itself how its pixels are prepared",
                remedy="leave --preprocess and --labels out",
            )
        self._file = open_foreign(self.path, threads=threads)
        self._channels_first, size = _image(self._file, self._said)
        self._output = _output(self._file, self._said)
        names = _class_names(labels, self._scores(np.zeros((1, *size, 3), np.uint8)).shape[1])
        self.task = TaskSpec("classify", names, self._said.preprocessing(size))

    def forward(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch of (N, height, width, 3) uint8 pixels: ``"probabilities"``, (N, classes).

        Raises:
            BundleError: The graph does not run on them.
        """
        scores = self._scores(pixels)
        sums = scores.sum(1, keepdims=True)
        if scores.min(initial=0) >= 0 and np.allclose(sums, 1, atol=ROUNDED):
            return {"probabilities": scores / sums}
        # The scores of most exports are what a softmax would turn into probabilities.
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return {"probabilities": powers / powers.sum(1, keepdims=True)}

    def _scores(self, pixels: Pixels) -> NDArray[np.float32]:
        count, step = len(pixels), self._file.batch or 1
        if count % step:  # the graph answers so many at a time
            rest = step - count % step
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], rest, 0)])
        given = self._file.run({self._file.inputs[0].name: self._prepared(pixels)})
        scores = np.asarray(given[self._output])
        scores = scores.reshape(len(scores), -1) if scores.shape[2:] in ((), (1, 1)) else scores
        if scores.ndim != 2 or len(scores) != len(pixels) or scores.dtype.kind != "f":
            raise BundleError(
                f"{self.path} gives {self._output} as {scores.dtype} of shape {scores.shape}",
                expected="a float for each class of each image",
                remedy="name another output with output=NAME" if len(given) > 1 else "",
            )
        return scores[:count].astype(np.float32)

    def _prepared(self, pixels: Pixels) -> NDArray[Any]:
        if self._said.colour == "bgr":
            pixels = pixels[..., ::-1]
        values: NDArray[Any] = pixels
        port = self._file.inputs[0]
        if self._said.mean is not None and self._said.std is not None:
            mean, std = (np.array(each, np.float32) for each in (self._said.mean, self._said.std))
            if self._said.colour == "bgr":
                mean, std = mean[::-1], std[::-1]
            values = _of_type(port, (pixels.astype(np.float32) / 255 - mean) / std)
        return values.transpose(0, 3, 1, 2) if self._channels_first else values


def _of_type(port: Port, values: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Floats as an input takes them, which may be integers that stand for them."""
    if port.scale:
        bounds = np.iinfo(port.dtype)
        steps = np.rint(values / np.float32(port.scale)) + port.zero_point
        values = np.clip(steps, bounds.min, bounds.max)
    return values.astype(port.dtype)


def _image(file: Foreign, said: Preparation) -> tuple[bool, tuple[int, int]]:
    """Whether the channels come first, and the (height, width) that the net reads."""
    port = file.inputs[0]
    shown = f"{port.name} as {port.dtype} of ({', '.join(str(s or '?') for s in port.shape)})"
    first, last = (
        len(port.shape) == 4 and port.shape[axis] in (None, 3) and port.shape[other] != 3
        for axis, other in ((1, 3), (3, 1))
    )
    readable = port.dtype.kind in "fu" or port.scale > 0
    if len(file.inputs) != 1 or not (first or last) or not readable:
        raise BundleError(f"{file.path} reads {shown}", expected="one RGB image, float or uint8")
    _check_numbers(file, said)
    channels_first = first if said.layout is None else said.layout == "nchw"
    if not (first if channels_first else last):
        raise UsageError(f"layout is {said.layout}, and the file reads {shown}")
    own = port.shape[2:] if channels_first else port.shape[1:3]
    size = said.size or own
    height, width = size
    if height is None or width is None:
        raise UsageError(f"{file.path} leaves the size open: {shown}", remedy="size=224")
    if any(side not in (None, given) for side, given in zip(own, size, strict=True)):
        raise UsageError(f"size is {height}/{width}, and the file reads {shown}")
    return channels_first, (height, width)


def _check_numbers(file: Foreign, said: Preparation) -> None:
    """Refuse mean and deviation where they are missing, and where they would have no place."""
    bytes_read = file.inputs[0].dtype == np.uint8
    told = (said.mean is not None, said.std is not None)
    if bytes_read and any(told):
        raise UsageError(f"{file.path} reads bytes", remedy="leave mean and std out")
    if not bytes_read and not all(told):
        raise UsageError(
            f"{file.path} reads floats, and --preprocess does not say which",
            expected="mean and std, after division by 255",
            remedy=REMEDY,
        )


def _output(file: Foreign, said: Preparation) -> str:
    name = said.output
    if name is None and len(file.outputs) == 1:
        return file.outputs[0]
    if name not in file.outputs:
        raise UsageError(
            f"{file.path} gives {', '.join(file.outputs)}",
            expected=f"output=NAME, one of them{'' if name is None else f', not {name}'}",
        )
    return name


def _class_names(labels: str | Path | None, count: int) -> tuple[str, ...]:
    if labels is None:
        return tuple(map(str, range(count)))
    path = Path(labels)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_LABELS_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", expected="names") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text in UTF-8", expected="a name a line") from None
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) != count:
        raise UsageError(
            f"{path} has {len(names):,} names, the model gives {count:,} scores",
            expected="a name for each, in their order, one a line",
        )
    return names
