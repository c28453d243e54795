"""Segmentation: what heads cost, decoding, figures by hand, loss, and masks that keep up."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mobilens.errors import DataError, MobilensError, SpecError
from mobilens.spec.heads import DeepLabHead, LrAsppHead
from mobilens.spec.model import ModelSpec
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec, list_models
from mobilens.tasks import torch_task
from mobilens.training.cut import Cut, Rectangle
from mobilens.vision import segmentation
from mobilens.vision.masks import VOID, MaskArray, MaskTarget
from mobilens.vision.resize import place
from mobilens.vision.segmentation_scores import EDGE_REACH, count, edge_f1

NAMES = ("sky", "road", "car")
SPEC = TaskSpec("segment", NAMES, Preprocessing(size=(32, 32), resize="letterbox"))
TASK = torch_task("segment")


def truth(values):
    array = np.asarray(values, np.uint8)
    classes = tuple(int(one) for one in np.unique(array) if one != VOID)
    return MaskTarget(MaskArray(array), classes)


def answer(values, names=NAMES):
    return segmentation.SegmentationPrediction(np.asarray(values, np.uint8), names)


# Heads


def test_lraspp_costs_what_torchvisions_does():
    model = build_spec("mobilenet_v3_large", resolution=520, output_stride=16)
    cost = model.with_head("lraspp", 21).cost()
    assert (cost.params, cost.macs) == (3_221_538, 2_086_219_688)


@pytest.mark.parametrize(
    ("name", "output_stride", "params", "macs"),
    [
        ("mobilenet_v3_large", 16, 1_746_878, 9_915_229_056),
        ("mobilenet_v3_large", 32, 1_746_878, 7_777_117_056),
        ("mobilenet_v3_small", 16, 515_614, 2_831_991_808),
        ("mobilenet_v3_small", 32, 515_614, 1_963_181_056),
    ],
)
def test_lraspp_on_a_reduced_tail_costs_what_the_papers_does(name, output_stride, params, macs):
    model = build_spec(
        name, resolution=(1024, 2048), output_stride=output_stride, reduced_tail=True
    )
    cost = model.with_head("lraspp", 19).cost()
    assert (cost.params, cost.macs) == (params, macs)


def test_deeplab_costs_what_torchvisions_does():
    model = build_spec("mobilenet_v3_large", resolution=520, output_stride=16)
    head = DeepLabHead(21, rates=(12, 24, 36), separable=False, low_channels=0)
    cost = replace(model, head=head).cost()
    # Theirs has a second classifier beside, for training alone: 16,097,250 MACs more.
    assert (cost.params, cost.macs + 16_097_250) == (11_025_477, 10_452_447_938)


@pytest.mark.parametrize("kind", ["lraspp", "deeplab"])
@pytest.mark.parametrize("name", list_models())
def test_a_segmenter_costs_what_its_spec_says(name, kind):
    model = build_spec(name, width_mult=0.35, resolution=64, output_stride=16).with_head(kind, 3)
    net = TASK.build_net(model)
    assert sum(p.numel() for p in net.parameters()) == model.cost().params
    with torch.inference_mode():
        raw = net.eval()(torch.zeros(2, 3, 64, 64))
        assert raw.shape == (2, 3, 64, 64)
        assert TASK.answers(raw)["probabilities"].shape == (2, 64, 64, 3)
        assert TASK.finished(raw, SPEC)["classes"].shape == (2, 64, 64)
    assert ModelSpec.from_json(json.dumps(model.to_json())) == model


@pytest.mark.parametrize("kind", ["lraspp", "deeplab"])
def test_before_training_every_class_is_as_likely(kind):
    torch.manual_seed(0)
    model = build_spec("mobilenet_v2", resolution=64).with_head(kind, 2)
    net = TASK.build_net(model)
    loss = TASK.loss(net(torch.randn(4, 3, 64, 64)), torch.zeros(4, 64, 64, dtype=torch.uint8))
    # With scores of hundreds, as the fan-out of two classes gives, it began at 11.
    assert loss.mean().item() == pytest.approx(np.log(2), abs=0.1)


def test_rates_follow_the_output_stride():
    for output_stride, rates in ((16, (6, 12, 18)), (8, (12, 24, 36))):
        model = build_spec("mobilenet_v2", output_stride=output_stride)
        assert model.with_head("deeplab", 3).head.rates == rates


def test_heads_that_cannot_be_built_are_refused():
    model = build_spec("mobilenet_v2", resolution=64)
    for head, words in {
        LrAsppHead(3, low_stride=3): r"head \(lraspp\).*no feature of stride 3",
        DeepLabHead(3, rates=()): r"rates are \(\)",
        DeepLabHead(3, dropout=1.0): "dropout is 1.0",
    }.items():
        with pytest.raises(SpecError, match=words):
            replace(model, head=head)
    with pytest.raises(SpecError, match="the model's head is of the kind 'classifier'"):
        TASK.build_net(model)


# Decoding


def test_classes_and_probabilities_decode_alike_at_the_images_size():
    classes = np.full((1, 32, 32), 0)
    classes[0, 8:24, 16:] = 1  # the picture fills rows 8 to 24
    chances = np.eye(3, dtype=np.float32)[classes]
    placement = place((32, 64), SPEC.preprocessing)
    for outputs in ({"classes": classes}, {"probabilities": chances}):
        (found,) = segmentation.decode(outputs, SPEC, [placement])
        assert found.classes.shape == (32, 64)
        assert (found.classes[:, :32] == 0).all()
        assert (found.classes[:, 32:] == 1).all()
    assert segmentation.text(found) == "sky 50.0 %, road 50.0 %"
    assert found.to_json() == {"height": 32, "width": 64, "shares": {"sky": 0.5, "road": 0.5}}
    assert segmentation.csv_rows(found) == [["sky", "0.500000"], ["road", "0.500000"]]


def test_two_classes_keep_their_probabilities():
    spec = replace(SPEC, class_names=("background", "person"))
    chances = np.zeros((1, 32, 32, 2), np.float32)
    chances[..., 0], chances[..., 1] = 0.6, 0.4
    chances[0, :, 16:] = (0.2, 0.8)
    (found,) = segmentation.decode({"probabilities": chances}, spec)
    assert found.foreground[0, [0, 31]].tolist() == pytest.approx([0.4, 0.8])
    assert found.classes[0, [0, 31]].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({"boxes": np.zeros((1, 2))}, r"named \['boxes'\]"),
        ({"classes": np.full((1, 4, 4), 3)}, "0 to 2"),
        ({"probabilities": np.zeros((1, 3, 4, 4))}, r"\(N, height, width, 3\)"),
        ({"probabilities": np.full((1, 4, 4, 3), np.nan)}, "NaN or infinity"),
    ],
)
def test_outputs_of_something_else_are_refused(outputs, words):
    with pytest.raises(MobilensError, match=words):
        segmentation.decode(outputs, SPEC)


def test_recorded_answers_are_the_same_answers():
    stream = np.random.default_rng(0)
    found = answer(stream.integers(0, 3, (70, 90)))
    values = {name: value.ravel() for name, value in segmentation.record(found).items()}
    again = segmentation.recall(values, SPEC)
    assert segmentation.difference(again, found) == 0
    assert segmentation.agree(again, found)
    other = answer((found.classes + 1) % 3)
    assert segmentation.difference(again, other) > 0.9
    assert not segmentation.agree(again, other)
    with pytest.raises(MobilensError, match="an answer is recorded otherwise"):
        segmentation.recall({}, SPEC)


# Figures


def scores(*pairs):
    metric = segmentation.new_metric(SPEC)
    for given, there in pairs:
        metric.update([answer(given)], [truth(there)])
    assert metric.value() == metric.result().miou
    return metric.result()


def test_figures_by_hand():
    there = [[0, 0, 1, 1], [0, 0, 1, VOID]]
    found = scores(([[0, 0, 1, 1], [0, 1, 1, 0]], there))
    # sky: 3 of 4; road: 3 right, 4 answered, 3 there; the void pixel counts nowhere
    assert found.iou[0] == pytest.approx(3 / 4)
    assert found.iou[1] == pytest.approx(3 / 4)
    assert found.iou[2] is None
    assert found.miou == pytest.approx(3 / 4)
    assert found.pixel_accuracy == pytest.approx(6 / 7)
    assert found.confusion.tolist() == [[3, 1, 0], [0, 3, 0], [0, 0, 0]]
    json.dumps(found.to_json(), allow_nan=False)
    assert found.main.low <= found.miou <= found.main.high


def test_a_class_that_is_only_answered_lowers_no_mean_but_its_victims():
    found = scores(([[2, 0], [0, 0]], [[0, 0], [0, 0]]))
    assert found.iou == (pytest.approx(3 / 4), None, 0)
    assert found.miou == pytest.approx(3 / 4)


def test_edges_are_met_within_reach_or_not():
    there = np.zeros((200, 200), np.uint8)
    there[:, 100:] = 1
    near, far = np.zeros_like(there), np.zeros_like(there)
    near[:, 102:] = 1  # the reach is 2 pixels here
    far[:, 110:] = 1
    assert edge_f1(there, there) == 1
    assert edge_f1(near, there) == 1
    assert edge_f1(far, there) == 0
    assert edge_f1(np.zeros_like(there), np.zeros_like(there)) == 1
    assert edge_f1(np.zeros_like(there), there) == 0


def test_pixels_are_counted_by_truth_and_answer_whatever_the_number_of_classes():
    stream = np.random.default_rng(0)
    for classes in (2, 11, 255):
        there = stream.integers(0, classes, (40, 50)).astype(np.uint8)
        there[stream.random(there.shape) < 0.1] = VOID
        given = stream.integers(0, classes, there.shape).astype(np.uint8)
        expected = np.zeros((classes, classes), np.int64)
        known = there != VOID
        np.add.at(expected, (there[known], given[known]), 1)
        assert np.array_equal(count(given, there, classes), expected)


@pytest.mark.parametrize("reach", [1, 2, 3, 4, 7, 12, 40])
def test_edges_reach_as_far_as_said_up_to_the_borders(reach):
    side = round(reach / EDGE_REACH / np.sqrt(2))
    there = np.zeros((side, side), np.uint8)
    there[1:] = 1  # the edge is the first row
    for off, met in ((reach, 1), (reach + 1, 0)):
        given = np.zeros_like(there)
        given[1 + off :] = 1
        assert edge_f1(given, there) == met
        assert edge_f1(given.T, there.T) == met
        assert edge_f1(given[::-1], there[::-1]) == met
        assert edge_f1(given.T[:, ::-1], there.T[:, ::-1]) == met


def test_no_pixel_is_no_measure():
    with pytest.raises(DataError, match="there is no pixel to measure"):
        scores(([[0, 0]], [[VOID, VOID]]))


def test_mistakes_name_the_class_that_suffers_most():
    there = truth([[0] * 8, [1] * 8])
    assert segmentation.mistake(answer([[0] * 8, [1] * 8]), there) is None
    found = segmentation.mistake(answer([[0] * 8, [2] * 6 + [1] * 2]), there)
    assert (found.expected, found.answered) == ("road", "car")
    assert found.severity == pytest.approx(6 / 16)


def test_what_is_lost_is_measured_on_the_same_images():
    there = [truth([[0, 0], [1, 1]])] * 6
    good, bad = answer([[0, 0], [1, 1]]), answer([[0, 0], [1, 0]])
    found = segmentation.lost([good] * 6, [good] * 5 + [bad], there, SPEC)
    assert 0 <= found.low < found.value < found.high


# Under torch


def test_the_loss_leaves_void_out_and_its_mean_is_that_of_all_pixels():
    raw = torch.randn(2, 3, 4, 4)
    values = np.zeros((4, 4), np.uint8)
    values[0] = 2
    void = np.full((4, 4), VOID, np.uint8)
    void[3, 3] = 1
    spec = replace(SPEC, preprocessing=Preprocessing(size=(4, 4)))
    targets = TASK.targets([truth(values), truth(void)], spec)
    losses = TASK.loss(raw, targets)
    plain = torch.nn.functional.cross_entropy(raw, targets.long(), ignore_index=VOID)
    assert losses.shape == (2,)
    assert losses.mean().item() == pytest.approx(plain.item())
    nothing = TASK.loss(raw[:1], torch.full((1, 4, 4), VOID, dtype=torch.uint8))
    assert nothing.item() == 0


def test_masks_keep_up_with_the_picture():
    values = np.zeros((20, 40), np.uint8)
    values[5:15, 10:30] = 1
    cut = Cut(Rectangle(0, 0, 20, 20), Rectangle(4, 4, 20, 20), (30, 30), (20, 40), flip=True)
    moved = segmentation.move(truth(values), cut.view()).mask((30, 30))
    assert (moved[:4] == VOID).all()
    assert (moved[:, 24:] == VOID).all()
    assert (moved[9:19, 4:14] == 1).all()  # the right half of the cut, mirrored to the left
    assert (moved[9:19, 14:24] == 0).all()


def test_views_put_together_show_each_where_it_lies():
    parts = [np.full((2, 4), VOID, np.uint8) for _ in range(2)]
    parts[0][:, :2], parts[1][:, 2:] = 0, 2
    whole = segmentation.merge([truth(part) for part in parts])
    assert whole.mask((2, 4)).tolist() == [[0, 0, 2, 2]] * 2
    assert whole.classes == (0, 2)
