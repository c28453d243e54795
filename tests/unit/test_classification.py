"""Classification: the answer, its decoding, its scores with their intervals, its drawing."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilens.errors import DataError, MobilensError
from mobilens.spec.task import TaskSpec
from mobilens.vision import classification
from mobilens.vision.calibration import NUM_BINS, calibration
from mobilens.vision.classification import ClassificationPrediction, decode, new_metric
from mobilens.vision.drawing import INK, PAPER, Tile, caption, picture_grid
from mobilens.vision.intervals import NUM_RESAMPLES, resamples, wilson

ANIMALS = ("cat", "dog", "eel")


def task(classes=ANIMALS):
    return TaskSpec("classify", tuple(classes))


def scores_of(probabilities, targets, classes=None):
    rows = np.asarray(probabilities, dtype=np.float32)
    spec = task(classes or [f"class {i}" for i in range(rows.shape[1])])
    metric = new_metric(spec)
    metric.update(decode({"probabilities": rows}, spec), targets)
    return metric.result()


@st.composite
def answered(draw):
    """Draw random answers: (N, classes) probabilities and the true classes."""
    classes = draw(st.integers(1, 7))
    count = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # Few distinct values, so that ties are common.
    logits = rng.integers(0, 4, (count, classes)).astype(np.float32)
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities, rng.integers(0, classes, count).tolist()


# --- the answer -----------------------------------------------------------------------------


def test_prediction_names_the_most_probable_class_and_the_next():
    (prediction,) = decode({"probabilities": np.array([[0.25, 0.625, 0.125]])}, task())
    assert (prediction.label, prediction.index, prediction.confidence) == ("dog", 1, 0.625)
    assert prediction.top(2) == [("dog", 0.625), ("cat", 0.25)]
    assert len(prediction.top(99)) == 3
    assert prediction.to_json(top=1) == {
        "label": "dog",
        "probability": 0.625,
        "top": [{"label": "dog", "probability": 0.625}],
    }


def test_of_equal_probabilities_the_first_class_wins_everywhere():
    (prediction,) = decode({"probabilities": np.array([[0.25, 0.375, 0.375]])}, task())
    assert prediction.label == "dog"
    assert [label for label, _ in prediction.top(3)] == ["dog", "eel", "cat"]
    scores = scores_of([[0.25, 0.375, 0.375]], [2])
    assert scores.top1.value == 0
    assert scores.confusion[2, 1] == 1


def test_predictions_agree_when_they_name_the_same_class():
    a, b, c = decode(
        {"probabilities": np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.4, 0.6, 0]])}, task()
    )
    assert classification.agree(a, b)
    assert not classification.agree(b, c)


def test_a_mistake_says_what_it_is_and_how_sure_the_model_was():
    (prediction,) = decode({"probabilities": np.array([[0.25, 0.75, 0]])}, task())
    assert classification.mistake(prediction, 1) is None
    mistake = classification.mistake(prediction, 0)
    assert (mistake.expected, mistake.answered, mistake.severity) == ("cat", "dog", 0.75)


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({"logits": np.zeros((1, 3))}, "the model's outputs are named ['logits']"),
        ({"probabilities": np.zeros((1, 4))}, "probabilities have the shape (1, 4)"),
        ({"probabilities": np.zeros(3)}, "probabilities have the shape (3,)"),
        ({"probabilities": np.full((1, 3), np.nan)}, "the model answered with NaN"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(outputs, words):
    with pytest.raises(MobilensError) as refused:
        decode(outputs, task())
    assert words in str(refused.value)
    assert "expected: " in str(refused.value)


# --- scores ---------------------------------------------------------------------------------


def test_scores_of_a_case_worked_by_hand():
    # Truth and answers: cat cat, cat dog, dog dog, dog dog, eel cat.
    rows = [[0.8, 0.2, 0], [0.1, 0.9, 0], [0, 1, 0], [0.3, 0.7, 0], [0.6, 0.3, 0.1]]
    scores = scores_of(rows, [0, 0, 1, 1, 2], ANIMALS)
    assert scores.num_images == 5
    assert scores.top1.value == pytest.approx(3 / 5)
    assert (scores.k, scores.top5.value) == (3, 1)
    assert scores.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    cat, dog, eel = scores.per_class
    assert (cat.precision.value, cat.recall.value, cat.f1.value) == (0.5, 0.5, 0.5)
    assert (dog.precision.value, dog.recall.value) == pytest.approx((2 / 3, 1))
    assert dog.f1.value == pytest.approx(0.8)
    assert (eel.support, eel.predicted, eel.precision) == (1, 0, None)
    assert (eel.recall.value, eel.f1.value) == (0, 0)
    assert scores.macro_precision.value == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    assert scores.macro_recall.value == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert scores.macro_f1.value == pytest.approx((0.5 + 0.8 + 0) / 3)
    # Bins of 0.8 (right), 0.9 (wrong), 1 (right), 0.7 (right), 0.6 (wrong): each on its own,
    # but 1 joins the last bin, which begins at 14/15.
    assert scores.calibration.ece.value == pytest.approx((0.2 + 0.9 + 0 + 0.3 + 0.6) / 5)
    assert scores.most_confused() == [("cat", "dog", 1), ("eel", "cat", 1)]


def test_a_class_that_is_absent_has_no_figures_and_leaves_macro_averages_alone():
    scores = scores_of([[1, 0, 0], [0, 1, 0]], [0, 1], ANIMALS)
    eel = scores.per_class[2]
    assert (eel.precision, eel.recall, eel.f1) == (None, None, None)
    assert scores.macro_f1.value == 1
    written = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert written["per_class"]["eel"] == {
        "precision": None,
        "precision_interval": None,
        "recall": None,
        "recall_interval": None,
        "f1": None,
        "f1_interval": None,
        "support": 0,
        "predicted": 0,
    }


def test_nothing_answered_has_no_scores():
    with pytest.raises(DataError, match="there is nothing to measure"):
        new_metric(task()).result()


def test_batches_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    rows, targets = rng.dirichlet(np.ones(3), 20).astype(np.float32), rng.integers(0, 3, 20)
    predictions = decode({"probabilities": rows}, task())
    metric = new_metric(task())
    metric.update(predictions[:7], targets[:7].tolist())
    metric.update(predictions[7:], targets[7:].tolist())
    assert metric.result().to_json() == scores_of(rows, targets.tolist(), ANIMALS).to_json()


@settings(max_examples=40, deadline=None)
@given(answered())
def test_laws_of_the_scores(drawn):
    probabilities, targets = drawn
    scores = scores_of(probabilities, targets)
    count, classes = probabilities.shape
    assert scores.confusion.sum() == scores.num_images == count
    assert scores.confusion.sum(axis=1).tolist() == np.bincount(targets, minlength=classes).tolist()
    assert scores.top1.value == pytest.approx(np.trace(scores.confusion) / count)
    assert scores.top1.value <= scores.top5.value
    if classes <= 5:
        assert scores.top5.value == 1
    figures = [scores.top1, scores.top5, scores.calibration.ece]
    figures += [scores.macro_precision, scores.macro_recall, scores.macro_f1]
    for one in scores.per_class:
        figures += [figure for figure in (one.precision, one.recall, one.f1) if figure]
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in figures)
    assert sum(one.count for one in scores.calibration.bins) == count
    json.dumps(scores.to_json(), allow_nan=False)


@settings(max_examples=40, deadline=None)
@given(answered())
def test_per_class_figures_are_those_of_the_definition(drawn):
    probabilities, targets = drawn
    scores = scores_of(probabilities, targets)
    answers = probabilities.argmax(axis=1).tolist()
    for index, one in enumerate(scores.per_class):
        pairs = list(zip(targets, answers, strict=True))
        hits = sum(truth == answer == index for truth, answer in pairs)
        missed = sum(truth == index != answer for truth, answer in pairs)
        false = sum(answer == index != truth for truth, answer in pairs)
        for figure, above, below in (
            (one.precision, hits, hits + false),
            (one.recall, hits, hits + missed),
            (one.f1, 2 * hits, 2 * hits + missed + false),
        ):
            assert figure is None if below == 0 else figure.value == pytest.approx(above / below)


def test_tables_name_every_class_or_the_weakest_of_many():
    scores = scores_of([[0.8, 0.2, 0], [0.1, 0.9, 0]], [0, 0], ANIMALS)
    titles = {table.title: table for table in scores.tables()}
    assert [row[0] for row in titles["Classes"].rows] == list(ANIMALS)
    assert titles["Most confused"].rows == (("cat", "dog", "1"),)
    matrix = titles["Confusion matrix: a row for each true class, a column for each answer"]
    assert matrix.header == ("truth", "1", "2", "3")
    assert matrix.rows[0] == (f"1 {ANIMALS[0]}", "1", "1", "-")
    assert all(len(row) == len(table.header) for table in scores.tables() for row in table.rows)
    answers = np.eye(60)[[0, *range(1, 59), 0]]
    many = scores_of(answers, list(range(60))).tables()[1]
    assert len(scores_of(answers, list(range(60))).tables()) == 4
    assert many.title == "The 50 weakest of 60 classes"
    assert many.rows[0][0] == "class 59"


# --- intervals ------------------------------------------------------------------------------


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_contains_the_share_and_stays_within_0_and_1(pair):
    estimate = wilson(*pair)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.low < estimate.high


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe (1998), table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_is_the_published_one(successes, trials, low, high):
    estimate = wilson(successes, trials)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=6e-5)


def test_wilson_of_no_trials_is_undefined():
    assert wilson(0, 0) is None


def test_resamples_are_seeded_and_complete():
    for count in (1, 3, 900_001):
        first = next(iter(resamples(count, seed=4)))
        assert np.array_equal(first, next(iter(resamples(count, seed=4))))
        assert first.shape[1] == count
    assert sum(len(chunk) for chunk in resamples(5000)) == NUM_RESAMPLES


def test_bootstrap_narrows_with_more_images():
    rng = np.random.default_rng(1)

    def width(count):
        rows = rng.dirichlet([1, 1], count)
        macro = scores_of(rows, (rng.random(count) < rows[:, 1]).astype(int).tolist()).macro_f1
        return macro.high - macro.low

    assert width(40) > 1.5 * width(1000)


# --- calibration ----------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60),
)
def test_calibration_error_is_the_mean_distance_over_bins(pairs):
    confidences = np.array([confidence for confidence, _ in pairs])
    correct = np.array([right for _, right in pairs])
    found = calibration(confidences, correct)
    expected = sum(
        one.count / len(pairs) * abs(one.accuracy - one.confidence)
        for one in found.bins
        if one.count
    )
    assert found.ece.value == pytest.approx(expected, abs=1e-12)
    assert 0 <= found.ece.low <= found.ece.value <= found.ece.high <= 1
    assert 0 <= found.ece_if_calibrated <= 1
    assert len(found.bins) == NUM_BINS
    for one in found.bins:
        assert one.confidence is None or one.low - 1e-9 <= one.confidence <= one.high + 1e-9


def test_interval_of_the_calibration_error_covers_the_truth():
    rng = np.random.default_rng(7)

    def covered(true_error, right_given):
        hits = 0
        for _ in range(40):
            confidences = rng.uniform(0.5, 1, 300)
            ece = calibration(confidences, rng.random(300) < right_given(confidences)).ece
            hits += ece.low <= true_error <= ece.high
        return hits

    # The plain percentile interval covers the first in no case at all.
    assert covered(0.0, lambda confidence: confidence) >= 34
    assert covered(0.2, lambda confidence: confidence - 0.2) >= 34


def test_perfect_calibration_is_expected_to_show_some_error_on_few_images():
    confidences = np.full(25, 0.8)
    expected = sum(
        math.comb(25, hits) * 0.8**hits * 0.2 ** (25 - hits) * abs(hits / 25 - 0.8)
        for hits in range(26)
    )
    found = calibration(confidences, np.arange(25) < 20)
    assert found.ece.value == pytest.approx(0, abs=1e-12)
    assert found.ece_if_calibrated == pytest.approx(expected, rel=0.1)


# --- drawing --------------------------------------------------------------------------------


def test_caption_goes_under_the_image_and_leaves_it_alone():
    image = np.full((120, 160, 3), 77, dtype=np.uint8)
    (prediction,) = decode({"probabilities": np.array([[0.9, 0.1, 0]])}, task())
    drawn = classification.draw(image, prediction)
    assert drawn.shape[0] > 120
    assert drawn.shape[1:] == (160, 3)
    assert np.array_equal(drawn[:120], image)
    assert drawn[120:].min() < 100
    assert (drawn[120:] == PAPER).all(axis=2).any()


@pytest.mark.parametrize("text", ["x" * 500, "été", "猫", "", "naïve café " * 50])
def test_any_text_is_cut_to_the_width(text):
    drawn = caption(np.zeros((64, 64, 3), dtype=np.uint8), [text])
    below = drawn[64:]
    margin = max(10, 64 // 16) // 2
    assert (below[:, -margin + 1 :] == PAPER).all()


def test_accents_are_dropped_where_no_font_has_them(monkeypatch):
    from mobilens.vision import drawing

    monkeypatch.setattr(drawing, "_SYSTEM_FONTS", ())
    drawing._system_font.cache_clear()
    blank = np.zeros((64, 200, 3), dtype=np.uint8)
    assert np.array_equal(caption(blank, ["été"]), caption(blank, ["ete"]))
    assert np.array_equal(caption(blank, ["猫"]), caption(blank, ["?"]))
    drawing._system_font.cache_clear()


@pytest.mark.parametrize("count", [1, 4, 5])
def test_grid_holds_every_picture_in_rows(count):
    rng = np.random.default_rng(0)
    colours = rng.integers(30, 220, (count, 3), dtype=np.uint8)
    tiles = [
        Tile(np.broadcast_to(colour, (50 + 30 * i, 90, 3)), (("cat", INK), ("is dog", INK)))
        for i, colour in enumerate(colours)
    ]
    grid = picture_grid(tiles, columns=2, side=100)
    assert grid.shape[1] == (112 + 12 if count == 1 else 2 * 112 + 12)
    for colour in colours:
        assert (grid == colour).all(axis=2).sum() > 1000


def test_predictions_are_immutable():
    prediction = ClassificationPrediction(np.ones(1, dtype=np.float32), ("cat",))
    with pytest.raises(AttributeError):
        prediction.class_names = ("dog",)


def test_figures_of_few_images_that_are_all_right_are_not_certain():
    found = scores_of(np.eye(2)[[0, 0, 1, 1]], [0, 0, 1, 1], ("cat", "dog"))
    for estimate in (found.macro_f1, found.macro_precision, *(one.f1 for one in found.per_class)):
        assert estimate.value == estimate.high == 1
        assert estimate.low < 0.6
