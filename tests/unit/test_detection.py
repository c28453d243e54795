"""Detection: decoding, figures by hand, assignment, losses, and views that keep boxes right."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mobilens.data.dataset import Dataset, Sample
from mobilens.errors import DataError, MobilensError, SpecError
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec
from mobilens.tasks import torch_task
from mobilens.tasks.detection.assign import assign
from mobilens.tasks.detection.iou import giou, overlap
from mobilens.tasks.detection.ssdlite import default_boxes
from mobilens.training.augment import Augmentation, epoch_draws
from mobilens.training.cache import PixelCache
from mobilens.training.views import Views
from mobilens.vision import classification, detection
from mobilens.vision.boxes import BoxTarget, iou
from mobilens.vision.resize import place

NAMES = ("cat", "dog")
SPEC = TaskSpec("detect", NAMES, Preprocessing(size=(64, 64), resize="letterbox"))
TASK = torch_task("detect")


def truth(*rows, classes, ignored=None):
    count = len(classes)
    return BoxTarget(
        np.array(rows, np.float32).reshape(-1, 4),
        np.array(classes, np.int64),
        np.array(ignored if ignored is not None else [False] * count, bool),
    )


def answer(*rows):
    """A prediction of rows of box, score, class."""
    return detection.decode({"detections": np.array([rows], np.float32).reshape(1, -1, 6)}, SPEC)[0]


# Decoding


def test_raw_outputs_and_chosen_ones_decode_alike_in_the_images_pixels():
    boxes = np.array([[[0, 16, 32, 48], [1, 16, 33, 48], [40, 20, 60, 40]]], np.float32)
    scores = np.array([[[0.9, 0.0], [0.8, 0.0], [0.0, 0.6]]], np.float32)
    rows = np.zeros((1, 5, 6), np.float32)
    rows[0, 0] = [0, 16, 32, 48, 0.9, 0]
    rows[0, 1] = [40, 20, 60, 40, 0.6, 1]
    placement = place((64, 128), SPEC.preprocessing)  # twice as wide: the picture is halved
    for outputs in ({"boxes": boxes, "scores": scores}, {"detections": rows}):
        (found,) = detection.decode(outputs, SPEC, [placement])
        assert found.labels == ["cat", "dog"]
        assert found.boxes.tolist() == [[0, 0, 64, 64], [80, 8, 120, 48]]
        assert found.scale == 2
    assert detection.text(found) == "cat 90 % at 0 0 64 64, dog 60 % at 80 8 120 48"
    assert found.to_json(min_score=0.7)["objects"] == [
        {"label": "cat", "score": 0.9, "box_xyxy": [0.0, 0.0, 64.0, 64.0]}
    ]


def test_a_class_agnostic_model_gives_one_box_for_what_two_classes_claim():
    boxes = np.array([[[0, 16, 32, 48], [1, 16, 33, 48], [40, 20, 60, 40]]], np.float32)
    scores = np.array([[[0.9, 0.3], [0.1, 0.8], [0.5, 0.6]]], np.float32)
    outputs = {"boxes": boxes, "scores": scores}
    assert detection.text(detection.decode(outputs, SPEC)[0]) == (
        "cat 90 % at 0 16 32 48, dog 80 % at 1 16 33 48, dog 60 % at 40 20 60 40, "
        "cat 50 % at 40 20 60 40"
    )
    spec = replace(SPEC, class_agnostic=True)
    (found,) = detection.decode(outputs, spec)
    assert detection.text(found) == "cat 90 % at 0 16 32 48, dog 60 % at 40 20 60 40"
    raw = {"boxes": torch.from_numpy(boxes), "logits": torch.from_numpy(scores).logit()}
    (again,) = detection.decode(TASK.finished(raw, spec), spec)
    assert detection.difference(found, again) < 1e-5


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({"probabilities": np.zeros((1, 2))}, r"(?s)named \['probabilities'\].*'detections', or"),
        ({"boxes": np.zeros((1, 3, 4)), "scores": np.zeros((1, 3, 3))}, "have the shapes boxes"),
        ({"detections": np.zeros((1, 3, 5))}, r"detections \(1, 3, 5\)"),
        ({"detections": np.full((1, 3, 6), np.nan)}, "NaN or infinity"),
    ],
)
def test_outputs_of_something_else_are_refused(outputs, words):
    with pytest.raises(MobilensError, match=words):
        detection.decode(outputs, SPEC)


def test_recorded_answers_are_the_same_answers():
    found = answer((1, 2, 30, 40, 0.9, 1), (5, 6, 7, 8, 0.06, 0), (5, 6, 7, 8, 0.01, 0))
    values = {name: value.ravel() for name, value in detection.record(found).items()}
    again = detection.recall(values, SPEC)
    assert len(again) == 2
    assert detection.difference(found, again) == 0
    assert detection.agree(found, again)
    with pytest.raises(MobilensError, match="an answer is recorded otherwise"):
        detection.recall({"detections": np.zeros(5, np.float32)}, SPEC)


def test_half_a_pixel_is_the_same_box_and_more_is_not():
    base = answer((10, 10, 30, 30, 0.9, 0))
    assert detection.agree(base, answer((10.4, 10, 30, 30, 0.9, 0)))
    assert not detection.agree(base, answer((10.6, 10, 30, 30, 0.9, 0)))
    assert not detection.agree(base, answer((10, 10, 30, 30, 0.9, 1)))
    assert not detection.agree(base, answer((10, 10, 30, 30, 0.85, 0)))
    assert not detection.agree(base, answer())
    # What nobody is shown does not count.
    assert detection.agree(base, answer((10, 10, 30, 30, 0.9, 0), (0, 0, 5, 5, 0.2, 1)))
    assert detection.difference(base, answer()) == 1
    assert detection.difference(base, answer((10, 10, 30, 33, 0.9, 0))) == pytest.approx(0.1)


def test_mistakes_are_what_is_missing_and_what_is_too_much():
    there = truth((0, 0, 10, 10), (20, 20, 30, 30), classes=[0, 1])
    assert (
        detection.mistake(answer((0, 0, 10, 10, 0.9, 0), (20, 20, 30, 30, 0.5, 1)), there) is None
    )
    one = detection.mistake(answer((0, 0, 10, 10, 0.9, 0)), there)
    assert (one.expected, one.answered) == ("1 cat, 1 dog", "1 cat")
    assert one.severity == pytest.approx(0.5)
    nothing = detection.mistake(answer(), truth(classes=[]))
    assert nothing is None
    extra = detection.mistake(answer((0, 0, 5, 5, 0.9, 1)), truth(classes=[]))
    assert (extra.expected, extra.answered, extra.severity) == ("nothing", "1 dog", 1)
    crowd = truth((0, 0, 10, 10), classes=[1], ignored=[True])
    assert detection.mistake(answer((0, 0, 10, 10, 0.9, 1)), crowd) is None


# Figures


def scores(*pairs):
    metric = detection.new_metric(SPEC)
    for prediction, target in pairs:
        metric.update([prediction], [target])
    return metric.result()


def test_perfect_answers_score_one_and_none_score_zero():
    there = truth((0, 0, 50, 50), (60, 60, 80, 90), classes=[0, 1])
    right = answer((0, 0, 50, 50, 0.9, 0), (60, 60, 80, 90, 0.8, 1))
    found = scores((right, there), (answer(), truth(classes=[])))
    assert (found.map, found.map50, found.map75, found.recall) == (1, 1, 1, 1)
    assert found.by_size == {"small": 1, "medium": 1, "large": None}
    assert found.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    none = scores((answer(), there))
    assert (none.map, none.map50, none.recall) == (0, 0, 0)
    assert none.confusion.tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_average_precision_by_hand():
    # Two cats: one found by an answer that overlaps by 0.8 and comes after a wrong one.
    there = truth((0, 0, 100, 100), (200, 0, 300, 100), classes=[0, 0])
    found = scores((answer((400, 0, 500, 100, 0.9, 0), (0, 0, 100, 80, 0.8, 0)), there))
    # Precision 1/2 up to recall 1/2: 51 of the 101 recalls.
    at_half = 0.5 * 51 / 101
    assert found.map50 == pytest.approx(at_half)
    assert found.map75 == pytest.approx(at_half)
    assert found.map == pytest.approx(at_half * 7 / 10)  # IoU 0.50 to 0.80
    assert found.classes[1].ap is None
    assert found.main.low <= found.main.value <= found.main.high
    json.dumps(found.to_json(), allow_nan=False)
    titles = [table.title for table in found.tables()]
    assert titles == ["Average precision", "Each class"]
    assert [curve.name for curve in found.curves()] == ["cat"]


def test_a_crowd_is_neither_right_nor_wrong():
    there = truth((0, 0, 50, 50), (100, 100, 200, 200), classes=[0, 0], ignored=[False, True])
    found = scores((answer((0, 0, 50, 50, 0.9, 0), (110, 110, 150, 150, 0.95, 0)), there))
    assert found.map == pytest.approx(1)
    assert found.classes[0].objects == 1


def test_the_interval_comes_of_the_images():
    right, wrong = answer((0, 0, 50, 50, 0.9, 0)), answer()
    there = truth((0, 0, 50, 50), classes=[0])
    found = scores(*[(right, there)] * 15, *[(wrong, there)] * 5)
    assert 0.4 < found.main.low < found.map < found.main.high < 1
    same = scores(*[(right, there)] * 15)
    assert (same.main.low, same.main.high) == (1, 1)


def test_what_is_lost_is_measured_on_the_same_images():
    there = truth((0, 0, 50, 50), classes=[0])
    right, wrong = answer((0, 0, 50, 50, 0.9, 0)), answer()
    before, after = [right] * 20, [right] * 18 + [wrong] * 2
    found = detection.lost(before, after, [there] * 20, SPEC)
    assert found.value == pytest.approx(0.1, abs=0.02)
    assert 0 <= found.low < found.value < found.high < 0.3
    same = detection.lost(after, after, [there] * 20, SPEC)
    assert (same.low, same.value, same.high) == (0, 0, 0)


def test_nothing_to_find_is_no_measure():
    with pytest.raises(DataError, match="there is nothing to find in the 1 images"):
        scores((answer(), truth(classes=[])))


# Under torch


def test_overlaps_are_those_of_numpy():
    stream = np.random.default_rng(0)
    low = stream.uniform(0, 50, (2, 6, 2))
    a, b = np.concatenate([low, low + stream.uniform(1, 40, (2, 6, 2))], 2).astype(np.float32)
    fits, _ = overlap(torch.from_numpy(a)[:, None], torch.from_numpy(b)[None])
    assert fits.numpy() == pytest.approx(iou(a, b), abs=1e-6)
    far = torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[3.0, 0, 4, 1]])
    assert giou(*far).item() == pytest.approx(-0.5)
    assert giou(far[0], far[0]).item() == pytest.approx(1)


def grid():
    y, x = torch.meshgrid(torch.arange(8) * 8 + 4.0, torch.arange(8) * 8 + 4.0, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1), torch.full((64,), 8.0)


def test_cells_are_assigned_to_the_thing_that_they_fit():
    centres, strides = grid()
    targets = TASK.targets(
        [
            truth((0, 0, 24, 24), (30, 30, 33, 33), classes=[0, 1]),
            truth((40, 40, 60, 60), classes=[1], ignored=[True]),
        ],
        SPEC,
    )
    assert targets["valid"].tolist() == [[True, True], [False, False]]
    boxes = torch.cat([centres - 10, centres + 10], 1).expand(2, -1, -1)
    scores = torch.full((2, 64, 2), 0.5)
    found = assign(scores, boxes, centres, strides, targets)
    first = found.positive[0].view(8, 8)
    assert first[:3, :3].all()  # every middle in the large one, nine of at most ten
    assert first[3:5, 3:5].any()  # the small one has a cell although no middle lies in it
    assert first.sum() <= 9 + 4
    assert not found.positive[1].any()
    assert found.ignored[1].any()
    assert not found.ignored[0].any()
    # The best cell of a thing learns how well it fits.
    large = (found.boxes[0] == torch.tensor([0.0, 0, 24, 24])).all(1) & found.positive[0]
    fits, _ = overlap(boxes[0], torch.tensor([0.0, 0, 24, 24]))
    assert found.quality[0, large, 0].max() == pytest.approx(fits[large].max().item())
    assert (found.quality[0, :, 1][large] == 0).all()


@pytest.mark.parametrize("kind", ["anchor_free", "ssdlite"])
def test_a_few_steps_find_a_thing(kind):
    torch.manual_seed(0)
    model = build_spec("mobilenet_v3_small", width_mult=0.35, resolution=64).with_head(kind, 2)
    net = TASK.build_net(model)
    images = torch.zeros(4, 3, 64, 64)
    rows = [(8, 8, 40, 40), (20, 24, 52, 56), (0, 16, 32, 48), (28, 4, 60, 36)]
    for image, (x0, y0, x1, y1) in zip(images, rows, strict=True):
        image[:, y0:y1, x0:x1] = 1
    targets = TASK.targets([truth(row, classes=[1]) for row in rows], SPEC)
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = TASK.loss(net(images), targets).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert math.isfinite(losses[-1])
    assert losses[-1] < losses[0] / 2
    with torch.inference_mode():
        found = TASK.answers(net(images))  # by the batch's own statistics
    best = found["scores"][:, :, 1].argmax(1)
    boxes = found["boxes"][torch.arange(4), best].numpy()
    overlaps = np.diag(iou(boxes, np.array(rows, np.float32)))
    assert (overlaps > 0.5).all(), overlaps


def test_images_without_things_have_a_loss_too():
    for kind in ("anchor_free", "ssdlite"):
        model = build_spec("mobilenet_v3_small", width_mult=0.35, resolution=64).with_head(kind, 2)
        net = TASK.build_net(model)
        targets = TASK.targets([truth(classes=[]), truth(classes=[])], SPEC)
        losses = TASK.loss(net(torch.zeros(2, 3, 64, 64)), targets)
        assert losses.shape == (2,)
        assert torch.isfinite(losses).all()


def test_default_boxes_are_as_many_as_outputs_and_those_of_the_released_nets():
    model = build_spec("mobilenet_v3_large", resolution=320).with_head("ssdlite", 90)
    anchors = default_boxes(model)
    assert len(anchors) == 3234
    middle = (anchors[:, :2] + anchors[:, 2:]) / 2
    assert middle[0].tolist() == pytest.approx([8, 8])
    assert (anchors[0, 2:] - anchors[0, :2]).tolist() == pytest.approx([64, 64])


# Views


def cached(count=4, size=(48, 64)):
    """Grey images, each with one white thing."""
    images, targets = [], []
    for number in range(count):
        image = np.full((*size, 3), 40, np.uint8)
        x, y = 6 + 8 * number, 10 + 4 * number
        image[y : y + 20, x : x + 16] = 255
        images.append(image)
        targets.append(truth((x, y, x + 16, y + 20), classes=[number % 2]))
    samples = tuple(Sample(Path(f"{n}.png"), one) for n, one in enumerate(targets))
    placements = [place(size, Preprocessing(size=size, resize="squash"))] * count
    dataset = Dataset(Path(), "train", NAMES, samples, "boxes")
    return PixelCache(dataset, (), images, placements), targets


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_boxes_keep_up_with_the_picture(mosaic):
    images, targets = cached()
    how = Augmentation(geometry="jitter", mosaic=mosaic, policy="none")
    views = Views(images, targets, detection, (64, 80), (114, 114, 114), how)
    seen = 0
    for epoch in range(6):
        draws = epoch_draws(len(images), 0, epoch)
        for index in range(len(images)):
            pixels, found = views.view(index, draws[index])
            assert pixels.shape == (3, 64, 80)
            white = (pixels.float().mean(0) > 200).numpy()
            covered = np.zeros_like(white)
            for box in found.boxes:
                x0, y0, x1, y1 = box
                covered[math.floor(y0) : math.ceil(y1), math.floor(x0) : math.ceil(x1)] = True
                middle = white[round((y0 + y1) / 2 - 0.5), round((x0 + x1) / 2 - 0.5)]
                assert middle
                inner = white[math.ceil(y0 + 1) : int(y1 - 1), math.ceil(x0 + 1) : int(x1 - 1)]
                assert inner.mean(initial=1) if inner.size == 0 else inner.all()
                seen += 1
            # Nothing white is left outside but slivers of what is hardly seen.
            assert (white & ~covered).sum() < 0.25 * 20 * 16 * 4
    assert seen > 20


def test_a_view_is_the_same_whenever_it_is_drawn():
    images, targets = cached()
    how = Augmentation(geometry="jitter", mosaic=0.5, policy="none")
    views = Views(images, targets, detection, (64, 64), (114, 114, 114), how)
    draws = epoch_draws(4, 3, 7)
    (first, a), (again, b) = (views.view(2, draws[2]) for _ in range(2))
    assert torch.equal(first, again)
    assert a.boxes.tolist() == b.boxes.tolist()


def test_classes_cannot_be_put_together():
    images, _ = cached()
    with pytest.raises(SpecError, match="this task cannot put images together"):
        Views(images, [0] * 4, classification, (64, 64), (0, 0, 0), Augmentation(mosaic=0.5))


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_truths_that_do_not_mix_are_refused(name):
    images = [torch.zeros(3, 40, 40, dtype=torch.uint8)]
    with pytest.raises(SpecError, match=f"{name} is 0.5") as refused:
        Views(images, [0], detection, (64, 64), (0, 0, 0), Augmentation(**{name: 0.5}))
    assert "expected: 0: truths of this task do not mix" in str(refused.value)
