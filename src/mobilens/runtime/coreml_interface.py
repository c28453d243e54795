"""What apps see of a Core ML model: the picture that it takes, and the labels that it gives.

It is read without Core ML, and compared with the manifest. Field numbers are those of Model.proto,
FeatureTypes.proto and MIL.proto (https://github.com/apple/coremltools/tree/main/mlmodel/format).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mobilens.runtime.formats.coreml import (
    MODEL_DESCRIPTION,
    VALUE,
    map_entry,
    only_field,
    whole,
)
from mobilens.runtime.manifest import Manifest
from mobilens.runtime.protobuf import Field, bytes_field, fields_between

MODEL_PROGRAM = 502
DESCRIPTION_INPUT, DESCRIPTION_OUTPUT = 1, 10
DESCRIPTION_LABEL, DESCRIPTION_SCORES = 11, 12
FEATURE_NAME, FEATURE_TYPE = 1, 3
IMAGE_WIDTH, IMAGE_HEIGHT, IMAGE_COLOURS = 1, 2, 3
TYPES = {3: "a text", 4: "a picture", 5: "an array", 6: "a dictionary"}
COLOURS = {10: "grey", 20: "RGB", 30: "BGR"}
# From the program: a function, its block for an opset, an operation.
TO_OPERATIONS = (2, VALUE, 3, VALUE, 3)
OPERATION_TYPE, OPERATION_INPUTS = 1, 2
# From an input of an operation: its argument's value, a list, and of each value in it the text.
TO_TEXTS = (1, 2, 3, 3, 1, 3, 1, 4, 1)


@dataclass(frozen=True)
class Feature:
    """Something that apps give or get.

    Attributes:
        name: Its name.
        kind: What it is, in words.
        size: (height, width) of a picture, pixels.
        colours: Of a picture.
    """

    name: str
    kind: str
    size: tuple[int, int] = (0, 0)
    colours: str = ""

    def __str__(self) -> str:
        if self.kind != "a picture":
            return f"{self.name}, {self.kind}"
        height, width = self.size
        return f"{self.name}, {self.kind} {height}x{width} {self.colours}"


@dataclass(frozen=True)
class Interface:
    """What apps see of a model.

    Attributes:
        inputs: What it takes.
        outputs: What it gives.
        label: Name of the output that is the best label; empty where it gives none.
        scores: Name of the output that has a score for each label, likewise.
        labels: The labels.
    """

    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    label: str
    scores: str
    labels: tuple[str, ...]


def check_interface(data: bytes, manifest: Manifest) -> tuple[str, str]:
    """Compare what apps see with what the manifest says.

    Args:
        data: Every byte of the main file.
        manifest: What it says of itself.

    Returns:
        What does not fit, in words, empty when all does; and what there is.

    Raises:
        BundleError: The bytes are no Core ML model.
    """
    found = read_interface(data)
    wanted = Feature(manifest.input.name, "a picture", manifest.input.size, manifest.input.colour)
    shown = ", ".join(map(str, found.inputs)) or "nothing"
    if found.inputs != (wanted,):
        return f"it takes {shown}; the manifest says {wanted}", ""
    names = tuple(output.name for output in found.outputs if output.name != found.label)
    if names != manifest.outputs:
        return f"it gives {', '.join(names)}; the manifest says {', '.join(manifest.outputs)}", ""
    if not found.label:
        return "", f"takes {shown}"
    kinds = {output.name: output.kind for output in found.outputs}
    if (kinds.get(found.label), kinds.get(found.scores)) != ("a text", "a dictionary"):
        return "it is no classifier that gives a label and a score for each", ""
    if found.labels != manifest.task.class_names:
        return "its labels are not the class names of the manifest", ""
    return "", f"takes {shown}; gives one of {len(found.labels)} labels, the class names"


def read_interface(data: bytes) -> Interface:
    """Read what apps see of a model.

    Args:
        data: Every byte of the main file.

    Raises:
        BundleError: The bytes are no Core ML model.
    """
    parts: dict[int, list[Field]] = {}
    description = only_field(data, whole(data), MODEL_DESCRIPTION, "description")
    for field in fields_between(data, description.payload, description.end):
        parts.setdefault(field.number, []).append(field)
    inputs, outputs = (
        tuple(_feature(data, bytes_field(field)) for field in parts.get(number, ()))
        for number in (DESCRIPTION_INPUT, DESCRIPTION_OUTPUT)
    )
    label, scores = (
        "".join(_text(data, field) for field in parts.get(number, ()))
        for number in (DESCRIPTION_LABEL, DESCRIPTION_SCORES)
    )
    return Interface(inputs, outputs, label, scores, tuple(_labels(data)))


def _labels(data: bytes) -> Iterator[str]:
    """Texts that the operation ``classify`` chooses from."""
    for operation in _inside(data, whole(data), (MODEL_PROGRAM, *TO_OPERATIONS)):
        kind = [_text(data, field) for field in _inside(data, operation, (OPERATION_TYPE,))]
        if kind != ["classify"]:
            continue
        for entry in _inside(data, operation, (OPERATION_INPUTS,)):
            if map_entry(data, entry)[0] == b"classes":
                for text in _inside(data, entry, (VALUE, *TO_TEXTS)):
                    yield _text(data, text)


def _inside(data: bytes, field: Field, numbers: tuple[int, ...]) -> Iterator[Field]:
    """Walk from a message to all that lie in it, in it, ... under these numbers."""
    if not numbers:
        yield field
        return
    for part in fields_between(data, field.payload, field.end):
        if part.number == numbers[0]:
            yield from _inside(data, bytes_field(part), numbers[1:])


def _feature(data: bytes, field: Field) -> Feature:
    name, kind, sizes = "", "another thing", {IMAGE_COLOURS: 0}
    for part in fields_between(data, field.payload, field.end):
        if part.number == FEATURE_NAME:
            name = _text(data, part)
        elif part.number == FEATURE_TYPE:
            for one in fields_between(data, bytes_field(part).payload, part.end):
                kind = TYPES.get(one.number, kind)
                if kind == "a picture":
                    inner = fields_between(data, bytes_field(one).payload, one.end)
                    # A range of sizes, under other numbers, makes it a picture of none.
                    sizes = {size.number: size.value for size in inner}
    if sizes.keys() != {IMAGE_WIDTH, IMAGE_HEIGHT, IMAGE_COLOURS}:
        return Feature(name, kind)
    colours = COLOURS.get(sizes[IMAGE_COLOURS], "of other colours")
    return Feature(name, kind, (sizes[IMAGE_HEIGHT], sizes[IMAGE_WIDTH]), colours)


def _text(data: bytes, field: Field) -> str:
    return data[bytes_field(field).payload : field.end].decode(errors="replace")
