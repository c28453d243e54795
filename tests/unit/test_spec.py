import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilens.data.names import clean_name
from mobilens.errors import SpecError, UnknownNameError
from mobilens.spec.blocks import ConvNormAct, DepthwiseSeparable, InvertedResidual
from mobilens.spec.codec import is_plain
from mobilens.spec.heads import ClassifierHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec, list_models
from mobilens.spec.zoo.widths import make_divisible

specs = st.builds(
    build_spec,
    st.sampled_from(list_models()),
    width_mult=st.floats(0.1, 4),
    resolution=st.integers(1, 300),
    num_classes=st.integers(1, 50),
    in_channels=st.integers(1, 5),
    output_stride=st.sampled_from([8, 16, 32]),
    padding=st.sampled_from(["symmetric", "same"]),
    width_rule=st.sampled_from(["paper", "torchvision"]),
)


@pytest.mark.parametrize(
    ("value", "channels"),
    [
        (8.4, 8),
        (11.2, 16),
        (18, 24),
        (22.4, 24),
        (31.2, 32),
        (33.6, 32),
        (41.6, 40),
        (83.2, 80),
        (89.6, 88),
        (134.4, 136),
    ],
)
def test_make_divisible(value, channels):
    assert make_divisible(value) == channels


@given(st.floats(0.01, 1e5))
def test_make_divisible_loses_a_tenth_at_most(value):
    channels = make_divisible(value)
    assert channels % 8 == 0
    assert channels >= max(8, 0.9 * value)


@pytest.mark.parametrize(
    ("width", "channels"),
    [
        (0.35, [16, 8, 8, 16, 24, 32, 56, 112, 1280]),
        (0.75, [24, 16, 24, 24, 48, 72, 120, 240, 1280]),
        (1.3, [40, 24, 32, 40, 80, 128, 208, 416, 1664]),
        (1.4, [48, 24, 32, 48, 88, 136, 224, 448, 1792]),
    ],
)
def test_v2_channels(width, channels):
    spec = build_spec("mobilenet_v2", width_mult=width)
    stages = [spec.rows[first].out_channels for first in (0, 1, 3, 6, 10, 13, 16)]
    assert [spec.stem.out_channels, *stages, spec.head.conv_channels] == channels


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("paper", [16, 64, 72, 72, 96, 96, 192, 160, 144, 144, 384, 528, 528, 720, 720]),
        ("torchvision", [16, 48, 56, 56, 88, 88, 184, 152, 136, 136, 360, 504, 504, 720, 720]),
    ],
)
def test_v3_width_rules(rule, expected):
    spec = build_spec("mobilenet_v3_large", width_mult=0.75, width_rule=rule)
    assert [row.expanded_channels for row in spec.rows[:-1]] == expected


@given(specs)
def test_json_round_trip(spec):
    assert ModelSpec.from_json(json.dumps(spec.to_json())) == spec


@given(specs)
def test_cost_adds_up(spec):
    cost = spec.cost()
    assert cost.params == sum(row.params for row in cost.rows)
    assert cost.rows[0].input.channels == spec.in_channels
    for above, below in zip(cost.rows, cost.rows[1:], strict=False):
        assert above.output == below.input
    for row in cost.rows:
        assert row.peak_activation_elements >= max(row.input.elements, row.output.elements)
        assert row.standard_macs >= row.separable_macs or row.output.channels == 1


@given(st.sampled_from(list_models()), st.integers(32, 256), st.sampled_from([8, 16]))
def test_dilation_keeps_params_and_costs_more(name, resolution, output_stride):
    plain = build_spec(name, resolution=resolution)
    dilated = plain.with_output_stride(output_stride)
    assert dilated.cost().params == plain.cost().params
    assert dilated.cost().macs >= plain.cost().macs
    assert math.prod(row.stride for _, row in dilated.named_rows() if hasattr(row, "stride")) <= (
        output_stride
    )


def test_separable_ratio_is_the_papers():
    spec = ModelSpec(
        "one_row",
        ConvNormAct(3, 64, stride=2),
        (DepthwiseSeparable(3, 512),),
        ClassifierHead(10),
    )
    assert spec.cost().rows[1].separable_ratio == pytest.approx(1 / 512 + 1 / 9)


def test_squeeze_excite_is_not_taken_for_a_separable_pair():
    # On a 1x1 plane the squeezed tensor has the shape of the depthwise one.
    spec = build_spec("mobilenet_v3_small", resolution=1)
    row = spec.rows[0]
    ratio = spec.cost().rows[1].separable_ratio
    assert ratio == pytest.approx(1 / row.out_channels + 1 / row.kernel_size**2)


def test_peak_of_a_residual_block_by_hand():
    spec = ModelSpec(
        "by_hand",
        ConvNormAct(3, 8, stride=2),
        (InvertedResidual(3, 32, 8, residual=True, squeeze_channels=8),),
        ClassifierHead(10),
        resolution=(16, 16),
    )
    # While the depthwise convolution runs: the input for the addition, its own input and output.
    assert spec.cost().rows[1].peak_activation_elements == 8 * 8 * (8 + 32 + 32)


def test_impossible_specs_name_the_row_and_the_reason():
    value = build_spec("mobilenet_v2").to_json()
    value["rows"][3]["residual"] = True
    with pytest.raises(SpecError) as error:
        ModelSpec.from_json(value)
    assert error.value.given == ("row 3 (inverted_residual): residual with stride 2")
    assert error.value.expected == "stride 1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kernel_size": 4}, "row 3 (inverted_residual): kernel_size is 4"),
        ({"out_channels": 0}, "row 3 (inverted_residual): out_channels is 0"),
        ({"expanded_channels": "many"}, "spec, row 3, expanded_channels is 'many'"),
        ({"expand": False}, "row 3 (inverted_residual): expanded_channels is 144 without an"),
        ({"colour": 1}, "spec, row 3 has a field 'colour'"),
        ({"kind": "lstm"}, "spec, row 3, kind is 'lstm'"),
        ({"kind": []}, "spec, row 3, kind is []"),
        ({"stride": True}, "spec, row 3, stride is True"),
        ({"out_channels": 10**30}, f"row 3 (inverted_residual): out_channels is {10**30}"),
        ({"act": "swish"}, "spec, row 3, act is 'swish'"),
    ],
)
def test_wrong_rows_are_refused(change, words):
    value = build_spec("mobilenet_v2").to_json()
    value["rows"][3] |= change
    with pytest.raises(SpecError) as error:
        ModelSpec.from_json(value)
    assert error.value.given.startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "the spec is not JSON"),
        ("[]", "spec format is []"),
        ("[" * 100_000, "the spec is not JSON"),
        ('{"format": 1' + "0" * 5000 + "}", "the spec is not JSON"),
        ('{"format": 2}', "spec format is 2"),
        ('{"format": 1}', "spec has no field 'name'"),
    ],
)
def test_text_that_is_no_spec_is_refused(text, words):
    with pytest.raises(SpecError) as error:
        ModelSpec.from_json(text)
    assert error.value.given.startswith(words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"output_stride": 8}, "spec has a field 'output_stride'"),
        ({"stem": {"kind": "lstm"}}, "spec, stem, kind is 'lstm'"),
        ({"head": {"kind": None}}, "spec, head, kind is None"),
        ({"width_rule": "keras"}, "spec, width_rule is 'keras'"),
        ({"resolution": [[[[[[[[[0]]]]]]]], 1]}, "spec, resolution 0 is [[[[[[[...]]]]]]]"),
        ({"bn_eps": math.inf}, "bn_eps is inf"),
        ({"width_mult": -3.0}, "width_mult is -3.0"),
        ({"width_mult": math.nan}, "width_mult is nan"),
        ({"width_mult": 1e7}, "width_mult is 10000000.0"),
        ({"name": ""}, "the model's name is ''"),
        ({"name": "a\nb\x1b[31m"}, "the model's name is 'a\\nb\\x1b[31m'"),
        ({"format": True}, "spec format is True"),
        ({"format": 1.0}, "spec format is 1.0"),
        ({"resolution": [2**31, 224]}, "resolution is (2147483648, 224)"),
        ({"in_channels": 10**20}, "in_channels is 100000000000000000000"),
    ],
)
def test_wrong_fields_of_the_model_are_refused(change, words):
    with pytest.raises(SpecError) as error:
        ModelSpec.from_json(build_spec("mobilenet_v2").to_json() | change)
    assert error.value.given == words


def test_a_list_for_the_resolution_is_a_size_like_any_other():
    spec = build_spec("mobilenet_v2", resolution=[96, 128])
    assert spec.resolution == (96, 128)
    assert hash(ModelSpec.from_json(spec.to_json())) == hash(spec)


def test_later_rows_see_a_pruned_row():
    spec = build_spec("mobilenet_v2")
    rows = list(spec.rows)
    rows[0] = replace(rows[0], out_channels=12)
    # The next row has no residual, so a narrower input is fine and the count follows.
    narrower = replace(spec, rows=tuple(rows))
    assert narrower.cost().params < spec.cost().params


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"width_mult": "a"}, "width multiplier is 'a'"),
        ({"width_mult": None}, "width multiplier is None"),
        ({"width_mult": True}, "width multiplier is True"),
        ({"width_mult": 10**400}, "width multiplier is "),
        ({"width_rule": "keras"}, "width rule is 'keras'"),
        ({"resolution": "224"}, "spec, resolution 0 is '224'"),
        ({"resolution": 224.0}, "spec, resolution 0 is 224.0"),
        ({"resolution": (224,)}, "spec, resolution is (224,)"),
        ({"resolution": (224, 224, 3)}, "spec, resolution is (224, 224, 3)"),
        ({"resolution": True}, "spec, resolution 0 is True"),
        ({"num_classes": 2.5}, "spec, head, num_classes is 2.5"),
        ({"dropout": "x"}, "spec, head, dropout is 'x'"),
        ({"padding": "SAME"}, "spec, padding is 'SAME'"),
        ({"bn_eps": "x"}, "spec, bn_eps is 'x'"),
    ],
)
def test_wrong_values_from_python_are_refused(value, words):
    with pytest.raises(SpecError) as error:
        build_spec("mobilenet_v3_small", **value)
    assert error.value.given.startswith(words)


def test_numbers_of_numpy_and_whole_ones_become_plain():
    spec = build_spec("mobilenet_v1", resolution=np.int64(96), num_classes=np.int32(7), dropout=0)
    assert spec == ModelSpec.from_json(spec.to_json())
    assert json.dumps(spec.to_json()) == json.dumps(ModelSpec.from_json(spec.to_json()).to_json())
    assert spec.resolution == (96, 96)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "\ud800", "a\u2028b"])
def test_a_class_name_can_be_shown(name):
    with pytest.raises(SpecError, match="holds control characters"):
        TaskSpec("classify", ("cat", name))
    assert is_plain(clean_name(name))


def test_a_row_from_python_is_checked_like_one_from_json():
    spec = build_spec("mobilenet_v2")
    with pytest.raises(SpecError, match="spec, row 3, act is 'swish'"):
        replace(spec, rows=(*spec.rows[:3], replace(spec.rows[3], act="swish"), *spec.rows[4:]))
    with pytest.raises(SpecError, match="spec, stem is ClassifierHead"):
        replace(spec, stem=spec.head)


@pytest.mark.parametrize("width", [0, -1, math.nan, math.inf, 1e308])
def test_width_must_be_positive(width):
    with pytest.raises(SpecError, match="width multiplier is"):
        build_spec("mobilenet_v2", width_mult=width)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError) as error:
        build_spec("mobilenet_v3_smal")
    assert error.value.given == "no model is named 'mobilenet_v3_smal'"
    assert error.value.remedy == "mobilenet_v3_small"


@pytest.mark.parametrize("stride", [4, 64, 0])
def test_output_strides(stride):
    with pytest.raises(SpecError) as error:
        build_spec("mobilenet_v2", output_stride=stride)
    assert error.value.expected == "8, 16 or 32"


def test_mobilefacenet_goes_no_further_than_sixteen():
    spec = build_spec("mobilefacenet")
    assert spec.output_stride == 16
    assert build_spec("mobilefacenet", output_stride=32) == spec
    with pytest.raises(SpecError, match="output_stride 32 from a model of 16"):
        spec.with_output_stride(32)
    # The last of its two larger steps keeps the rate so far; behind it, it is doubled.
    dilated = build_spec("mobilefacenet", output_stride=8)
    assert [row.dilation for row in dilated.rows] == [1] * 14 + [2] * 2


def test_dilation_follows_deeplabs_rule():
    spec = build_spec("mobilenet_v2", output_stride=16)
    # The row whose stride went (13) keeps the rate so far, later ones double it.
    assert [row.dilation for row in spec.rows] == [1] * 14 + [2] * 3
    assert all(row.stride == 1 for row in spec.rows[13:])


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("row 1", "squeeze_channels"),
        ("row 1", "kernel_size"),
        ("head", "conv_channels"),
        ("head", "hidden_channels"),
    ],
)
def test_sizes_that_nothing_holds_are_refused_by_row(row, field):
    text = build_spec("mobilenet_v3_small").to_json()
    part = text["head"] if row == "head" else text["rows"][1]
    part[field] = 10**20 + 1
    with pytest.raises(SpecError) as error:
        ModelSpec.from_json(text)
    assert error.value.given.startswith(f"{row} (")
    assert f"{field} is 100000000000000000001" in error.value.given
    assert error.value.expected.startswith("at most ")


def test_heads_and_their_channels_are_bounded_together():
    text = build_spec("mobilenet_v4_hybrid_medium").to_json()
    attention = next(row for row in text["rows"] if row["kind"] == "mobile_attention")
    attention["heads"] = attention["key_channels"] = 2**30
    with pytest.raises(SpecError, match="heads times key_channels is"):
        ModelSpec.from_json(text)


def test_numpys_numbers_are_numbers():
    assert build_spec("mobilenet_v2", width_mult=np.float32(0.5)).width_mult == 0.5
    assert build_spec("mobilenet_v2", num_classes=np.int64(7)).num_classes == 7


def test_task_round_trip_and_checks():
    task = TaskSpec("classify", ("cat", "dog"), Preprocessing(size=(96, 128), resize="squash"))
    assert TaskSpec.from_json(json.loads(json.dumps(task.to_json()))) == task
    older = {name: value for name, value in task.to_json().items() if name != "class_agnostic"}
    assert TaskSpec.from_json(older) == task  # of a file from before boxes could be chosen so
    with pytest.raises(SpecError, match="crop_fraction is 0"):
        Preprocessing(crop_fraction=0)
    with pytest.raises(SpecError, match="the class name 'cat' stands twice"):
        TaskSpec("classify", ("cat", "dog", "cat"))
    with pytest.raises(SpecError, match="input size is"):
        Preprocessing(size=(100_000, 224))
    with pytest.raises(SpecError, match="input size is"):
        Preprocessing(size=(0, 3))
