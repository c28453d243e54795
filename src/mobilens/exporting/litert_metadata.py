"""What phone libraries read of a LiteRT file: its picture input, and which packed file has labels.

Field numbers are those of metadata_schema.fbs
(https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/tasks/metadata/metadata_schema.fbs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import flatbuffers

NAME = "TFLITE_METADATA"
LABELS = "labels.txt"
IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"

# Fields of the schema's tables.
MODEL_NAME, MODEL_DESCRIPTION, MODEL_SUBGRAPHS, MODEL_LICENCE, MODEL_PARSER = 0, 1, 3, 5, 7
GRAPH_INPUTS, GRAPH_OUTPUTS = 2, 3
TENSOR_NAME, TENSOR_CONTENT_OF, TENSOR_FILES = 0, 3, 6
CONTENT_KIND, CONTENT = 0, 1
FILE_NAME, FILE_KIND = 0, 2
FEATURE, IMAGE = 1, 2  # kinds of content
IMAGE_COLOURS, RGB = 0, 1
TENSOR_AXIS_LABELS = 2

# A field is a place in the file, or a small number with its type.
Fields: TypeAlias = Mapping[int, int | tuple[str, int]]


def build_metadata(name: str, licence: str, input_name: str, output_name: str) -> bytes:
    """Describe a classifier: raw RGB pixels in, one score for each line of the labels out.

    Pixels need no normalisation, since the graph does it: none is named.

    Args:
        name: Of the model, for people.
        licence: Terms of use, in words.
        input_name: Of the pixels' tensor.
        output_name: Of the scores' tensor.
    """
    builder = flatbuffers.Builder(1024)
    image = _table(builder, {IMAGE_COLOURS: ("int8", RGB)})
    pixels = _table(
        builder,
        {
            TENSOR_NAME: builder.CreateString(input_name),
            TENSOR_CONTENT_OF: _content(builder, IMAGE, image),
        },
    )
    labels = _table(
        builder,
        {FILE_NAME: builder.CreateString(LABELS), FILE_KIND: ("int8", TENSOR_AXIS_LABELS)},
    )
    scores = _table(
        builder,
        {
            TENSOR_NAME: builder.CreateString(output_name),
            TENSOR_CONTENT_OF: _content(builder, FEATURE, _table(builder, {})),
            TENSOR_FILES: _vector(builder, labels),
        },
    )
    graph = _table(
        builder, {GRAPH_INPUTS: _vector(builder, pixels), GRAPH_OUTPUTS: _vector(builder, scores)}
    )
    model = _table(
        builder,
        {
            MODEL_NAME: builder.CreateString(name),
            MODEL_DESCRIPTION: builder.CreateString("An image classifier; mobilens.json has more."),
            MODEL_SUBGRAPHS: _vector(builder, graph),
            MODEL_LICENCE: builder.CreateString(licence),
            MODEL_PARSER: builder.CreateString(PARSER_VERSION),
        },
    )
    builder.Finish(model, IDENTIFIER)
    return bytes(builder.Output())


def _content(builder: flatbuffers.Builder, kind: int, properties: int) -> int:
    return _table(builder, {CONTENT_KIND: ("uint8", kind), CONTENT: properties})


def _vector(builder: flatbuffers.Builder, *tables: int) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    place: int = builder.EndVector()
    return place


def _table(builder: flatbuffers.Builder, fields: Fields) -> int:
    builder.StartObject(max(fields, default=-1) + 1)
    for number, value in fields.items():
        if not isinstance(value, tuple):
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
        elif value[0] == "int8":
            builder.PrependInt8Slot(number, value[1], 0)
        else:
            builder.PrependUint8Slot(number, value[1], 0)
    place: int = builder.EndObject()
    return place
