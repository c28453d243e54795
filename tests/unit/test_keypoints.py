"""Keypoints: decoding maps, figures, mistakes, drawing, and truths that move along."""

import math

import numpy as np
import pytest
import torch

from mobilens.errors import DataError, MobilensError
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.tasks.keypoints import TASK
from mobilens.tasks.keypoints.heatmap import peaks
from mobilens.training.turn import turned
from mobilens.vision import keypoints
from mobilens.vision.keypoint_scores import oks_precision, sigmas
from mobilens.vision.keypoints import KeypointPrediction
from mobilens.vision.points import (
    PointTarget,
    mirrored,
    move_points,
    region_around,
    torso_ends,
    torso_length,
)
from mobilens.vision.resize import place
from mobilens.vision.view import View

NAMES = ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "nose")
SPEC = TaskSpec("keypoints", NAMES, Preprocessing(size=(64, 96), resize="letterbox"), ((0, 1),))
AT = np.array([[60, 10], [20, 10], [60, 40], [20, 40], [40, 4]], np.float32)


def truth(points=AT, labelled=None, region=None):
    labelled = np.ones(len(points), bool) if labelled is None else np.array(labelled, bool)
    points = np.array(points, np.float32)
    return PointTarget(points, labelled, labelled, mirrored(NAMES), 900.0, region)


def answer(points=AT, score=0.9, scale=1.0):
    points = np.array(points, np.float32)
    scores = np.full(len(points), score, np.float32)
    return KeypointPrediction(points, scores, points, NAMES, ((0, 1),), scale)


def maps_for(points):
    """Maps, (1, H, W, K), whose peaks are at points in pixels of the input."""
    rows = torch.log(peaks(torch.tensor(points[None]), (16, 24), (4.0, 4.0)) + 1e-12)
    return rows.reshape(1, len(points), 16, 24).permute(0, 2, 3, 1).numpy()


def test_a_peak_is_read_to_a_fraction_of_a_cell():
    points = np.array([[60.3, 20.9], [20.5, 30.2], [48, 32], [70.1, 40], [40, 41.7]], np.float32)
    (found,) = keypoints.decode({"heatmaps": maps_for(points)}, SPEC)
    assert np.abs(found.points - points).max() < 0.3
    assert np.abs(found.means - points).max() < 0.1
    assert (found.scores > 0.9).all()
    assert found.scores.max() <= 1


def test_a_peak_at_an_edge_is_read_to_half_a_cell():
    points = np.array([[1, 1], [95, 63], [4, 30], [50, 6], [88, 62]], np.float32)
    (found,) = keypoints.decode({"heatmaps": maps_for(points)}, SPEC)
    assert np.abs(found.points - points).max() <= 2
    assert (found.scores > 0.9).all()


def test_points_come_back_to_the_pixels_of_the_image():
    placement = place((128, 300), SPEC.preprocessing)
    inner = 0.8 * AT + (8, 16)
    (found,) = keypoints.decode({"heatmaps": maps_for(inner.astype(np.float32))}, SPEC, [placement])
    expected = placement.to_image(inner.astype(np.float64))
    assert np.abs(found.points - expected).max() < 0.3 * max(placement.scale)
    assert found.scale == max(placement.scale)


def test_a_point_with_two_likely_places_is_unsure_and_its_mean_lies_between():
    maps = np.full((1, 16, 24, 5), -20.0, np.float32)
    maps[0, 8, 4], maps[0, 8, 20] = 0.0, 1e-4
    (found,) = keypoints.decode({"heatmaps": maps}, SPEC)
    assert found.points[0] == pytest.approx((82, 34))
    assert found.scores[0] == pytest.approx(0.5, abs=1e-3)
    assert found.means[0] == pytest.approx((50, 34), abs=0.1)
    (other,) = keypoints.decode({"heatmaps": maps[:, :, ::-1]}, SPEC)
    assert not keypoints.agree(found, answer())
    maps[0, 8, 20] = -1e-4  # the last digit decides
    (same,) = keypoints.decode({"heatmaps": maps}, SPEC)
    assert same.points[0] == pytest.approx((18, 34))
    assert keypoints.agree(found, same)
    assert keypoints.difference(found, same) < 1e-3
    assert keypoints.difference(found, other) > 0.01


def test_outputs_of_another_kind_are_refused():
    for outputs, words in (
        ({"boxes": np.zeros((1, 2))}, r"outputs are named \['boxes'\]"),
        ({"heatmaps": np.zeros((1, 4, 4, 3))}, r"shape \(1, 4, 4, 3\)"),
        ({"heatmaps": np.full((1, 4, 4, 5), np.nan)}, "NaN or infinity"),
    ):
        with pytest.raises(MobilensError, match=words):
            keypoints.decode(outputs, SPEC)


def test_answers_agree_within_half_a_pixel_of_the_input():
    assert keypoints.agree(answer(), answer(AT + 0.4))
    assert not keypoints.agree(answer(), answer(AT + 0.6))
    assert keypoints.agree(answer(scale=2), answer(AT + 0.9, scale=2))
    assert not keypoints.agree(answer(), answer(score=0.8))


def test_an_answer_is_recorded_and_recalled():
    again = keypoints.recall(keypoints.record(answer()), SPEC)
    assert keypoints.difference(answer(), again) == 0
    assert again.links == ((0, 1),)
    with pytest.raises(MobilensError, match="an answer is recorded otherwise"):
        keypoints.recall({"points": np.zeros(4, np.float32)}, SPEC)


def test_pck_counts_points_within_a_fifth_of_the_torso():
    # Both diagonals are 50 long: a reach of 10.
    found = AT.copy()
    found[0] += (9.9, 0)
    found[1] += (0, 10.1)
    metric = keypoints.new_metric(SPEC)
    metric.update([answer(found), answer()], [truth(), truth(labelled=[1, 1, 1, 1, 0])])
    assert metric.value() == pytest.approx(8 / 9)
    scores = metric.result()
    assert scores.per_point == [1, 0.5, 1, 1, 1]
    assert scores.main.low <= 8 / 9 <= scores.main.high
    assert scores.without_torso == 0


def test_without_a_torso_a_third_of_the_box_counts():
    ends = torso_ends(NAMES)
    assert torso_length(truth(), ends) == pytest.approx(50)
    one = truth(labelled=[1, 0, 0, 1, 0])
    assert torso_length(one, ends) == pytest.approx(50)
    none = truth(labelled=[1, 1, 0, 0, 1])
    assert torso_length(none, ends) == pytest.approx(40 / 3)
    assert torso_ends(("top", "bottom")) == ()
    metric = keypoints.new_metric(SPEC)
    metric.update([answer()], [none])
    assert metric.result().without_torso == 1


def test_nothing_known_is_nothing_to_measure():
    metric = keypoints.new_metric(SPEC)
    metric.update([answer()], [truth(labelled=[0] * 5)])
    with pytest.raises(DataError, match="no point is known of 1 things"):
        metric.value()


def test_oks_is_cocos_formula():
    """A thing counts at a threshold when the mean of exp(-d² / (2 area (2 sigma)²)) reaches it."""
    shift = np.array([4.0, 0])
    near = np.exp(-(16) / (2 * 900 * (2 * np.array(sigmas(NAMES))) ** 2)).mean()
    thresholds = np.arange(0.5, 1, 0.05)
    expected = (near >= thresholds).mean()
    assert 0 < expected < 1
    ap, ap50, _ = oks_precision([(answer(AT + shift), truth())], NAMES)
    assert ap == pytest.approx(expected)
    assert ap50 == 1
    assert sigmas(("nose", "left_eye", "tail")) == [0.026, 0.025, 0.079]


def test_points_lost_are_measured_on_the_same_things():
    found = AT.copy()
    found[0] += 30
    lost = keypoints.lost([answer(), answer()], [answer(), answer(found)], [truth(), truth()], SPEC)
    assert lost.value == pytest.approx(0.1)
    assert lost.low <= 0.1 <= lost.high


def test_a_mistake_names_what_is_elsewhere():
    found = AT.copy()
    found[:4] += 30
    mistake = keypoints.mistake(answer(found), truth())
    assert mistake.expected == "left_shoulder, right_shoulder, left_hip and 1 more"
    assert mistake.answered == "1 of 5 points"
    assert keypoints.WORDS.answer_of(mistake) == "found 1 of 5 points"
    assert mistake.severity == pytest.approx(0.8)
    assert keypoints.mistake(answer(), truth()) is None


def test_sides_change_places_in_a_mirror():
    assert mirrored(NAMES).tolist() == [1, 0, 3, 2, 4]
    assert mirrored(("eye.L", "eye.R", "tail", "Left Ear", "right ear")).tolist() == [1, 0, 2, 4, 3]
    assert mirrored(("left_eye",)).tolist() == [0]
    assert mirrored(("bright", "bleft")).tolist() == [0, 1]
    view = View(np.array([[-1.0, 0, 96], [0, 1, 0]]), (0, 0, 96, 64), (64, 96), (64, 96))
    moved = move_points(truth(labelled=[1, 0, 1, 1, 1]), view)
    assert moved.points[1] == pytest.approx((36, 10))  # what was left is right
    assert moved.labelled.tolist() == [False, True, True, True, True]


def test_what_is_out_of_view_is_not_known():
    view = View(np.array([[1.0, 0, -30], [0, 1, 0]]), (0, 0, 96, 64), (64, 96), (64, 96))
    assert move_points(truth(), view).labelled.tolist() == [True, False, True, False, True]


@pytest.mark.parametrize("degrees", [30.0, -75.0, 180.0])
def test_turned_pixels_and_points_stay_together(degrees):
    image = torch.zeros(3, 64, 96, dtype=torch.uint8)
    image[:, 20:23, 60:63] = 255
    pixels, view = turned(image, degrees, (7, 7, 7))
    ((x, y),) = view.points(np.array([[61.5, 21.5]]))
    rows, columns = np.nonzero(pixels[0].numpy() > 100)
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((x, y), abs=0.3)
    if degrees == 30.0:
        assert pixels[0, 0, 0] == 7


def test_a_region_has_something_around_it():
    assert region_around((10, 20, 50, 100)) == (5, 10, 55, 110)


def test_the_loss_falls_towards_the_truth_and_ignores_what_is_unknown():
    targets = TASK.targets([truth(), truth(labelled=[1, 0, 0, 0, 0])], SPEC)
    right = torch.from_numpy(maps_for(AT)).permute(0, 3, 1, 2).repeat(2, 1, 1, 1)
    flat = torch.zeros_like(right)
    assert (TASK.loss(right, targets) < TASK.loss(flat, targets)).all()
    assert TASK.loss(flat, targets).mean() == pytest.approx(math.log(16 * 24), rel=1e-5)
    other = right.clone()
    other[1, 1:] = 0
    assert TASK.loss(other, targets)[1] == pytest.approx(TASK.loss(right, targets)[1].item())
