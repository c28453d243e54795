"""The manifest: what a model file says about itself, and the answers that it must give."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from mobilens.errors import BundleError, SpecError
from mobilens.spec import codec
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import MAX_SIDE, TaskSpec
from mobilens.vision.predictor import Pixels

FORMAT = 1
MAX_TEXT_BYTES = 32 * 1024 * 1024
MAX_THREADS = 1024
# 200 MB of pixels: more than any proof needs, and less than a small machine has.
MAX_GOLDEN_PIXELS = 2**26


# What a file stores its filters in, and computes in as far as its runtime can.
Precision: TypeAlias = Literal["float32", "float16", "bfloat16", "int8"]


def _require_plain(what: str, *texts: str) -> None:
    """Refuse what would change a terminal that shows it."""
    for text in texts:
        if not codec.is_plain(text):
            raise SpecError(f"{what} is {text!a}, which holds control characters")


@dataclass(frozen=True)
class ModelCost:
    """What one answer takes.

    Attributes:
        params: Learnt numbers.
        macs: Multiply-accumulate operations for one image.
    """

    params: int
    macs: int


@dataclass(frozen=True)
class InputSpec:
    """What the graph reads; normalisation happens inside it.

    Attributes:
        name: Name of the graph's input.
        size: (height, width), pixels.
        dtype: Type of its values.
        layout: Order of its axes.
        colour: Order of its channels.
    """

    name: str
    size: tuple[int, int]
    dtype: Literal["uint8"] = "uint8"
    layout: Literal["NHWC"] = "NHWC"
    colour: Literal["RGB"] = "RGB"

    def __post_init__(self) -> None:
        if not 1 <= min(self.size) <= max(self.size) <= MAX_SIDE:
            raise SpecError(f"input size is {self.size}", expected=f"1 to {MAX_SIDE} on both sides")


@dataclass(frozen=True)
class MeasuredOn:
    """The data set that an accuracy was measured on.

    Attributes:
        name: Its name, for people.
        fingerprint: Hash over its photos and labels, as ``Dataset.fingerprint`` gives it.
        num_images: Photos in it.
    """

    name: str
    fingerprint: str
    num_images: int

    def __post_init__(self) -> None:
        _require_plain("the data set's name", self.name, self.fingerprint)
        if self.num_images < 1:
            raise SpecError(f"num_images is {self.num_images}", expected="1 or more")


@dataclass(frozen=True)
class Accuracy:
    """How well the model answers, before and after it became this file.

    Attributes:
        checkpoint: Figures of the float checkpoint by name, such as ``"top1"``, 0 to 1.
        file: The same figures of this very file; none where it was never run.
        dataset: What they were measured on.
    """

    checkpoint: dict[str, float]
    file: dict[str, float]
    dataset: MeasuredOn

    def __post_init__(self) -> None:
        for figures in (self.checkpoint, self.file):
            _require_plain("a figure's name", *figures)
            for name, value in figures.items():
                if not 0 <= value <= 1:
                    raise SpecError(f"{name} is {value}", expected="0 to 1")


@dataclass(frozen=True)
class Speed:
    """How fast a file of reduced precision is beside its twin in float32.

    Attributes:
        ms: Median time of one answer of this file, milliseconds.
        float_ms: The same of its twin, in turns with it.
        slower: Whether it takes longer, by more than 3 %: less is noise.
        threads: Threads for one answer.
        cpu: The processor, with its instructions for integers of 8 bits where they are known.
    """

    ms: float
    float_ms: float
    slower: bool
    threads: int
    cpu: str

    def __post_init__(self) -> None:
        _require_plain("the processor's name", self.cpu)
        if not (0 < self.ms < math.inf and 0 < self.float_ms < math.inf and self.threads > 0):
            raise SpecError(
                f"{self.ms} ms, {self.float_ms} ms in float, {self.threads} threads",
                expected="above 0 all three",
            )
        if self.slower != self.takes_longer(self.ms, self.float_ms):
            raise SpecError(
                f"slower is {self.slower} for {self.ms} ms and {self.float_ms} ms in float",
                expected="true where it takes longer",
            )

    @staticmethod
    def takes_longer(ms: float, float_ms: float) -> bool:
        """Whether one time is longer than that of the float twin, by more than noise."""
        return ms > 1.03 * float_ms


@dataclass(frozen=True)
class Integers:
    """How 8 bits were chosen.

    Attributes:
        recipe: What was done, as JSON values.
        calibration_images: How many images ranges were measured on.
        calibration_sha256: Hash of these images as the net gets them.
        layers: Layers that compute in 8 bits.
        float_layers: Names of those that were left in float.
    """

    recipe: dict[str, Any]
    calibration_images: int
    calibration_sha256: str
    layers: int
    float_layers: tuple[str, ...]

    def __post_init__(self) -> None:
        _require_plain("a layer's name", *self.float_layers)


@dataclass(frozen=True)
class Reduction:
    """What fewer bits cost, and how they were chosen.

    Attributes:
        drop: Main score of the float checkpoint less that of this file, 0 to 1.
        drop_interval: Its 95 % interval, from the images that both answered.
        allowed: Largest drop that was allowed.
        rung: What was done to stay within it, in words.
        speed: Beside the float twin, on the machine that wrote this file.
        integers: How 8 bits were chosen; None where there are 16.
    """

    drop: float
    drop_interval: tuple[float, float]
    allowed: float
    rung: str
    speed: Speed
    integers: Integers | None = None

    def __post_init__(self) -> None:
        _require_plain("the rung", self.rung)
        if not -1 <= self.drop <= self.allowed <= 1:
            raise SpecError(
                f"drop is {self.drop}, allowed {self.allowed}",
                expected="-1 to 1, and no more than is allowed",
            )


@dataclass(frozen=True)
class Licence:
    """Under what terms the model may be used.

    Attributes:
        data: Licence of the photos it learnt from, in words.
        weights: Licence of the weights it started from, in words.
    """

    data: str = "not stated"
    weights: str = "not stated"

    def __post_init__(self) -> None:
        _require_plain("a licence", self.data, self.weights)


@dataclass(frozen=True)
class GoldenSample:
    """One input with the answer that it must give.

    Attributes:
        image: The prepared pixels as PNG in base64.
        outputs: What the task remembers of the answer, each array flattened in C order.
        label: Index of the true class, where it is known.
    """

    image: str
    outputs: dict[str, tuple[float, ...]]
    label: int | None = None

    @classmethod
    def record(
        cls, pixels: Pixels, outputs: Mapping[str, NDArray[np.float32]], label: int | None = None
    ) -> GoldenSample:
        """Write down an input and its answer.

        Args:
            pixels: (height, width, 3), RGB, uint8, as the net reads them.
            outputs: What the task remembers of the answer, as ``VisionTask.record`` gives it.
            label: Index of the true class.
        """
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=True)
        # The text of a float32 is the shortest that gives it back.
        answers = {
            name: tuple(float(str(value)) for value in np.asarray(values, np.float32).ravel())
            for name, values in outputs.items()
        }
        return cls(base64.b64encode(file.getvalue()).decode("ascii"), answers, label)

    def pixels(self, size: tuple[int, int]) -> Pixels:
        """Decode the input.

        Args:
            size: (height, width) that it must have, pixels; nothing larger is ever decoded.

        Returns:
            (height, width, 3), RGB, uint8.

        Raises:
            BundleError: It is no PNG, or of another size.
        """
        try:
            file = io.BytesIO(base64.b64decode(self.image, validate=True))
            # Not Image.open: its own limit would warn before the size can be compared.
            with PngImageFile(file) as image:
                if image.size != (size[1], size[0]) or image.mode != "RGB":
                    raise BundleError(
                        f"a golden input is {image.size[1]}x{image.size[0]} {image.mode}",
                        expected=f"{size[0]}x{size[1]} RGB, as the model reads",
                    )
                return np.asarray(image, dtype=np.uint8)
        except (binascii.Error, OSError, SyntaxError, ValueError) as error:
            raise BundleError(f"a golden input does not decode: {error}") from None


@dataclass(frozen=True)
class Manifest:
    """What a model file says about itself.

    Attributes:
        task: What it answers, and how pixels are prepared for it.
        model: JSON of its ``ModelSpec``; answering does not need it, so it is read on request.
        cost: What one answer takes.
        input: What the graph reads.
        outputs: Names of what it gives, in the graph's order.
        golden: Inputs with the answers that they must give.
        tolerance: Largest absolute difference from them that is allowed.
        accuracy: How well it answers; None when it was never measured.
        licence: Terms of use.
        provenance: Where it comes from: weights, recipe, command, seed.
        precision: What it computes in, as far as its runtime can.
        reduction: What fewer bits cost; None in float32.
        unproven: Why its answers were never compared with the checkpoint's; None where they were.
        threads: Threads for one answer that it was made for; None leaves it to who opens it.
        tools: Version of each tool that made it, by name.
        mobilens: Version of mobilens that made it.
        tensors: SHA-256 of each weight, by name; filled in by ``bundle.write_manifest``.
        graph: SHA-256 of everything else in the file; filled in likewise.
        format: Version of this layout.
    """

    task: TaskSpec
    model: dict[str, Any]
    cost: ModelCost
    input: InputSpec
    outputs: tuple[str, ...]
    golden: tuple[GoldenSample, ...]
    tolerance: float
    accuracy: Accuracy | None = None
    licence: Licence = Licence()
    provenance: dict[str, Any] = field(default_factory=dict)
    precision: Precision = "float32"
    reduction: Reduction | None = None
    unproven: str | None = None
    threads: int | None = None
    tools: dict[str, str] = field(default_factory=dict)
    mobilens: str = ""
    tensors: dict[str, str] = field(default_factory=dict)
    graph: str = ""
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.input.size != self.task.preprocessing.size:
            raise SpecError(
                f"the graph reads {self.input.size}, pixels are prepared as "
                f"{self.task.preprocessing.size}",
                expected="one size",
            )
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise SpecError(f"threads is {self.threads}", expected=f"1 to {MAX_THREADS}")
        if len(self.golden) * math.prod(self.input.size) > MAX_GOLDEN_PIXELS:
            raise SpecError(
                f"{len(self.golden)} golden inputs have {math.prod(self.input.size):,} pixels each",
                expected=f"at most {MAX_GOLDEN_PIXELS:,} in all",
            )
        if not self.outputs:
            raise SpecError("the graph gives no output", expected="one or more")
        if not (math.isfinite(self.tolerance) and self.tolerance > 0):
            raise SpecError(f"tolerance is {self.tolerance}", expected="above 0")
        _require_plain("unproven", self.unproven or "")
        _require_plain("a name", self.input.name, *self.outputs, self.mobilens)
        _require_plain("a tool's name", *self.tools, *self.tools.values())

    def model_spec(self) -> ModelSpec:
        """Give the architecture.

        Raises:
            SpecError: This version of mobilens cannot build it.
        """
        return ModelSpec.from_json(self.model)

    def to_json(self) -> dict[str, Any]:
        """Give JSON values that ``from_json`` reads back unchanged."""
        return dict(codec.to_json(self))

    @classmethod
    def from_json(cls, value: Any) -> Manifest:
        """Build from JSON values.

        Raises:
            BundleError: A newer format, or a field is missing, unknown or wrong.
        """
        given = value.get("format") if isinstance(value, dict) else None
        if isinstance(given, int) and given > FORMAT:
            raise BundleError(
                f"a newer mobilens wrote it (manifest format {given})",
                expected=f"manifest format {FORMAT}",
                remedy="pip install --upgrade mobilens",
            )
        if given != FORMAT or isinstance(given, bool):
            raise BundleError(f"manifest format is {given!r}", expected=f"{FORMAT}")
        try:
            return codec.from_json(cls, value, "manifest")
        except SpecError as error:
            raise BundleError(error.given, expected=error.expected) from None

    def to_text(self) -> bytes:
        """Give the JSON text that stands in a file.

        Raises:
            BundleError: It is larger than a manifest may be.
        """
        # ASCII, because class names from folders may hold bytes that are no UTF-8.
        text = json.dumps(self.to_json(), separators=(",", ":"), allow_nan=False).encode("ascii")
        if len(text) > MAX_TEXT_BYTES:
            raise _too_long(len(text))
        return text

    @classmethod
    def from_text(cls, text: bytes) -> Manifest:
        """Build from the text in a file.

        Raises:
            BundleError: It is too long, no JSON, or no manifest.
        """
        if len(text) > MAX_TEXT_BYTES:
            raise _too_long(len(text))
        try:
            value = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"the manifest is not JSON: {error}") from None
        return cls.from_json(value)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _too_long(length: int) -> BundleError:
    return BundleError(f"the manifest has {length:,} bytes", expected=f"at most {MAX_TEXT_BYTES:,}")
