"""The page of a run: everything in it, safe, and asking the network for nothing."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mobilens.data.dataset import Dataset, Sample, SkippedFile
from mobilens.data.lint.finding import Finding, Item
from mobilens.errors import MissingExtraError
from mobilens.evaluation import Evaluation, WrongAnswer
from mobilens.report import Epoch, LatencyRow, ModelFile, RunReport, write_report
from mobilens.report.charts import Series, curve_chart, line_chart, reliability_diagram, ticks
from mobilens.report.confusion import MOST_SHOWN, confusion_table
from mobilens.report.page import (
    SHOWN_CURVES,
    WORST_DRAWN,
    _duration_text,
    _lowest,
    _milliseconds_text,
    _short_count,
    _size_text,
)
from mobilens.spec.task import TaskSpec
from mobilens.spec.zoo import build_spec
from mobilens.vision.boxes import BoxTarget
from mobilens.vision.calibration import ReliabilityBin
from mobilens.vision.detection import MISTAKE_SIDE, DetectionPrediction
from mobilens.vision.tasks import Confusion, Curve, task_vision

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks nesting and gathers tags, attributes and text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def evaluation_of(root, class_names, per_class=4):
    """Answers of a random model on images that are all one file."""
    root.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(root / "a.png")
    targets = np.arange(per_class * len(class_names)) % len(class_names)
    logits = rng.normal(size=(len(targets), len(class_names)))
    logits[np.arange(len(targets)), targets] += 1
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    task = TaskSpec("classify", tuple(class_names))
    vision = task_vision("classify")
    predictions = vision.decode({"probabilities": shares}, task)
    metric = vision.new_metric(task)
    metric.update(predictions, targets.tolist())
    samples = tuple(Sample(root / "a.png", int(target)) for target in targets)
    dataset = Dataset(root, "val", tuple(class_names), samples)
    wrong = [
        WrongAnswer(dataset.name_of(sample), sample, mistake, prediction)
        for sample, prediction in zip(samples, predictions, strict=True)
        if (mistake := vision.mistake(prediction, sample.target))
    ]
    return Evaluation(metric.result(), dataset, samples, tuple(predictions), tuple(wrong), (), 1.0)


def report_of(tmp_path, class_names=("cat", "dog", "eel"), **changes):
    evaluation = evaluation_of(tmp_path / "pets", class_names)
    report = RunReport(
        model=build_spec("mobilenet_v3_small", num_classes=len(class_names)),
        task=TaskSpec("classify", tuple(class_names)),
        train=evaluation.dataset,
        evaluation=evaluation,
        command="mobilens train pets --epochs 3",
        recipe={"name": "finetune", "epochs": 3},
        weights="from scratch",
    )
    return replace(report, **changes)


def page_of(tmp_path, report):
    path = tmp_path / "report.html"
    write_report(path, report)
    assert not list(tmp_path.glob("*.tmp*"))
    return Page(path.read_text(encoding="utf-8"))


def full(tmp_path, **changes):
    return report_of(
        tmp_path,
        weights="mobilenet_v3_small.tag",
        epochs=tuple(Epoch(n, 2 / n, 2.5 / n, 0.5 + n / 20) for n in range(1, 6)),
        file=ModelFile("model.onnx", 4_120_345, 12, 12),
        findings=(
            Finding("imbalance", "note", "classes are imbalanced"),
            Finding(
                "leak",
                "problem",
                "40 pairs are in both parts",
                "remove one of each",
                tuple(Item(f"a{i}.png = b{i}.png") for i in range(40)),
            ),
        ),
        data_notes=("a fifth is held out",),
        skipped=(SkippedFile("cat/broken.jpg", "truncated"),),
        latency=(LatencyRow("onnxruntime 1.24", 1, 1, 3.4117, 3.9, 293.0),),
        device="a small computer",
        versions={"torch": "2.14"},
        licences=(("Data", "CC0"),),
        seconds=171.4,
        **changes,
    )


def test_page_shows_everything_that_the_run_knows(tmp_path):
    words = page_of(tmp_path, full(tmp_path)).words
    for expected in (
        "pets",
        "mobilenet_v3_small",
        "3 classes: cat, dog, eel",
        "Started from mobilenet_v3_small.tag.",
        "4.1 MB",
        "3.41 ms",
        "The file gives the same answer as the checkpoint on all 12.",
        "Training took 2 min 51 s.",
        "40 pairs are in both parts. Remove one of each.",
        "a29.png = b29.png",
        "and 10 more",
        "A fifth is held out.",
        "1 file could not be read and was skipped",
        "truncated",
        "on a small computer",
        "mobilens predict model.onnx photo.jpg",
        "mobilens train pets --epochs 3",
        '"epochs": 3',
        "torch",
        "Data: CC0.",
        "The expected calibration error is",
    ):
        assert expected in words, expected
    # Problems come before notes.
    assert words.index("40 pairs") < words.index("Classes are imbalanced")


def test_page_of_a_run_that_knows_little(tmp_path):
    words = page_of(tmp_path, report_of(tmp_path)).words
    assert "Trained from scratch." in words
    assert "Nothing was found that would spoil the result." in words
    assert "p50" not in words
    assert "None" not in words.replace("None of them was trained on", "")


def test_the_words_of_a_classifier(tmp_path):
    epochs = (Epoch(1, 1.0, 1.0, 0.5), Epoch(2, 0.9, 1.0, 0.6))
    report = report_of(tmp_path, epochs=epochs, file=ModelFile("model.onnx", 900, 12, 12))
    page = page_of(tmp_path, report)
    wrong = report.evaluation.wrong
    for expected in (
        f"{len(wrong)} of 12 images are answered wrong; the surest come first. Look for wrong "
        "labels first.",
        f"{wrong[0].mistake.answered} {100 * wrong[0].mistake.severity:.0f} %",
        f"is {wrong[0].mistake.expected}",
        "Top-1 on validation, %; the ring is the best epoch",
        "Images of each class",
        "Label a photo, on any machine with mobilens and without torch:",
        "Most confused",
    ):
        assert expected in page.words, expected
    charts = [chart["aria-label"] for chart in page.all("svg") if "aria-label" in chart]
    assert charts[1] == "Top-1 on validation over 2 epochs; the best is 60.0 % at epoch 2"
    assert "The row background" not in page.words


def test_the_page_says_which_weights_were_kept(tmp_path):
    epochs = (Epoch(1, 1.0, 1.0, 0.5), Epoch(2, 0.9, 1.0, 0.6))
    words = page_of(tmp_path, report_of(tmp_path, epochs=epochs)).words
    assert "the ring is the best epoch, whose weights were kept." in words
    words = page_of(tmp_path, report_of(tmp_path, epochs=epochs, blend=0.6)).words
    assert "kept: weights 60 % of the way from those before the first epoch to those after" in words
    assert "whose weights were kept" not in words


def test_leaks_stand_beside_the_score(tmp_path):
    leak = Finding("leak", "problem", "4 images in more than one split: learnt by heart", "", ())
    words = page_of(tmp_path, report_of(tmp_path, findings=(leak,))).words
    assert (
        "They are not all new to it, which flatters these figures: 4 images in more than one "
        "split (see the data)." in words
    )
    assert "None of them was trained on" not in words


def test_a_single_epoch_stands_in_the_middle():
    chart = line_chart("one", [Series("a", "train", [(1.0, 0.5)])], y_text=str)
    assert ">1</text>" in chart
    assert ">2</text>" not in chart


def test_the_page_says_that_the_first_weights_were_kept(tmp_path):
    epochs = (Epoch(1, 1.0, 1.0, 0.5), Epoch(2, 0.9, 1.0, 0.6))
    words = page_of(tmp_path, report_of(tmp_path, epochs=epochs, blend=0.0)).words
    assert "kept: the weights before the first epoch, in which only the head is new" in words


def test_the_page_says_why_the_training_loss_jumps(tmp_path):
    epochs = (Epoch(1, 1.0, 1.0, 0.5), Epoch(2, 0.9, 1.0, 0.6))
    words = page_of(tmp_path, report_of(tmp_path, epochs=epochs, cycles=2)).words
    assert "Training began 2 times with the same weights, hence the jumps;" in words
    assert "Training began" not in page_of(tmp_path, report_of(tmp_path, epochs=epochs)).words


def test_a_file_that_differs_says_on_how_many(tmp_path):
    report = report_of(tmp_path, file=ModelFile("m.onnx", 900, 11, 12))
    words = page_of(tmp_path, report).words
    assert "The file gives the same answer as the checkpoint on 11 of 12." in words


def test_page_asks_the_network_for_nothing_and_runs_nothing(tmp_path):
    page = page_of(tmp_path, full(tmp_path))
    policy = next(meta for meta in page.all("meta") if "http-equiv" in meta)
    assert policy["content"] == ("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    for _, attributes in page.tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:image/jpeg;base64,"))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "http://" not in source
    assert "https://" not in source
    assert not re.search(r"url\(|@import", source)


def test_links_lead_somewhere_and_pictures_have_words(tmp_path):
    page = page_of(tmp_path, full(tmp_path))
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {link["href"][1:] for link in page.all("a")} == ids
    assert page.all("img")
    assert all(image["alt"] for image in page.all("img"))
    assert [len(page.all(tag)) for tag in ("h1", "main")] == [1, 1]
    assert page.all("html") == [{"lang": "en"}]
    for chart in page.all("svg"):
        assert chart.get("aria-label") or "preserveaspectratio" in chart


def test_thumbnails_are_small_jpegs_of_the_worst_mistakes(tmp_path):
    report = report_of(tmp_path)
    images = page_of(tmp_path, report).all("img")
    assert len(images) == len(report.evaluation.wrong) > 0
    data = base64.b64decode(images[0]["src"].partition(",")[2])
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, max(picture.size)) == ("JPEG", 200)


def test_a_mistake_whose_file_is_gone_stays_without_its_picture(tmp_path):
    report = report_of(tmp_path)
    (tmp_path / "pets" / "a.png").unlink()
    page = page_of(tmp_path, report)
    assert page.all("img") == []
    assert "no picture" in page.words


def test_names_are_text_wherever_they_stand(tmp_path):
    evil = "<script>alert('x')</script>"
    report = report_of(
        tmp_path,
        class_names=(evil, 'a"b', "c&d"),
        command=f"mobilens train {evil}",
        recipe={"name": evil},
        findings=(Finding("k", "warning", evil, evil, (Item(evil),)),),
        epochs=(Epoch(1, 1.0, 1.0, 0.5), Epoch(2, 0.9, 1.0, 0.6)),
    )
    page = page_of(tmp_path, report)
    assert page.all("script") == []
    assert page.words.count("alert('x')") >= 8


@pytest.mark.parametrize("count", [2, 10, 40, 41, 100, 130])
def test_any_number_of_classes(tmp_path, count):
    report = report_of(tmp_path, class_names=[f"class {i}" for i in range(count)])
    page = page_of(tmp_path, report)
    assert f"{count} classes" in page.words
    assert ("The 15 weakest classes" in page.words) == (count > 40)
    assert ("others are left out" in page.words) == (count > MOST_SHOWN)


def test_confusion_table_holds_every_count_with_words():
    class_names = ("cat", "dog")
    vision = task_vision("classify")
    task = TaskSpec("classify", class_names)
    metric = vision.new_metric(task)
    rows = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    metric.update(vision.decode({"probabilities": rows}, task), [0, 0, 1])
    table = confusion_table(metric.result().confused())
    assert [[cell.count for cell in row] for row in table.rows] == [[1, 1], [0, 1]]
    assert table.rows[0][1].share == 0.5
    assert table.rows[0][1].words == "1 of 2 cat answered dog"
    assert (table.rows[1][0].words, table.rows[1][1].right) == ("", True)
    assert (table.numbered, table.left_out) == (True, 0)


def test_the_background_is_no_class():
    counts = np.array([[5, 2, 3], [0, 7, 0], [4, 0, 0]])
    confusion = Confusion(("cat", "dog", "background"), counts, background=True, about="Mind it.")
    table = confusion_table(confusion)
    words = [[cell.words for cell in row] for row in table.rows]
    assert words[0] == [
        "5 of 10 cat answered cat",
        "2 of 10 cat answered dog",
        "3 of 10 cat missed",
    ]
    assert words[2] == ["4 cat found where nothing is", "", ""]
    assert [(one.words, one.count) for one in table.most] == [
        ("cat found where nothing is", 4),
        ("cat missed", 3),
        ("cat answered dog", 2),
    ]
    assert (table.classes, table.left_out, table.about) == (2, 0, "Mind it.")


def test_the_background_stays_when_classes_are_left_out():
    names = [f"{index}" for index in range(MOST_SHOWN + 5)]
    counts = np.eye(len(names) + 1, dtype=np.int64)
    counts[-1, :-1] = np.arange(len(names))
    table = confusion_table(Confusion((*names, "background"), counts, background=True))
    assert table.names == (*names[5:], "background")
    assert (table.classes, table.left_out) == (MOST_SHOWN, 5)


def test_of_too_many_classes_those_with_errors_are_shown(tmp_path):
    scores = evaluation_of(tmp_path / "many", [f"{i}" for i in range(MOST_SHOWN + 7)], 2).scores
    table = confusion_table(scores.confused())
    assert len(table.names) == len(table.rows) == MOST_SHOWN
    assert table.left_out == 7
    shown = {int(name) for name in table.names}
    errors = scores.confusion - np.diag(np.diag(scores.confusion))
    number = errors.sum(axis=0) + errors.sum(axis=1)
    hidden = [number[i] for i in range(len(number)) if i not in shown]
    assert max(hidden) <= min(number[sorted(shown)])


# --- boxes -----------------------------------------------------------------------------------


def boxes_report(tmp_path, names=("cat", "dog"), images=15):
    """A detector that finds the first thing of each image, misses the next and invents a third."""
    root = tmp_path / "yard"
    root.mkdir()
    Image.new("RGB", (900, 600), (200, 200, 200)).save(root / "a.jpg")
    task = TaskSpec("detect", tuple(names))
    vision = task_vision("detect")
    there = np.array([[90, 90, 300, 300], [600, 300, 750, 450]], np.float32)
    found = np.array([[90, 90, 300, 310], [30, 450, 150, 570]], np.float32)
    samples, predictions = [], []
    for index in range(images):
        kind = np.array([index % len(names)] * 2)
        target = BoxTarget(there, kind, np.zeros(2, bool))
        samples.append(Sample(root / "a.jpg", target))
        scores = np.array([0.9, 0.8], np.float32)
        predictions.append(DetectionPrediction(found, scores, kind, task.class_names))
    metric = vision.new_metric(task)
    metric.update(predictions, [sample.target for sample in samples])
    dataset = Dataset(root, "val", tuple(names), tuple(samples), "boxes")
    wrong = [
        WrongAnswer("a.jpg", sample, vision.mistake(prediction, sample.target), prediction)
        for sample, prediction in zip(samples, predictions, strict=True)
    ]
    return RunReport(
        model=build_spec("mobilenet_v3_small"),
        task=task,
        train=dataset,
        evaluation=Evaluation(
            metric.result(), dataset, tuple(samples), tuple(predictions), tuple(wrong), (), 1.0
        ),
        command="mobilens train yard --task detect",
        recipe={},
        weights="from scratch",
        epochs=(Epoch(1, 1.0, 1.0, 0.2), Epoch(2, 0.9, 1.0, 0.25)),
        file=ModelFile("model.onnx", 900, images, images),
    )


def test_a_page_of_boxes_has_its_own_words(tmp_path):
    page = page_of(tmp_path, boxes_report(tmp_path))
    for expected in (
        "mAP",
        "mAP on validation, %; the ring is the best epoch",
        "Precision over recall, %: cat; dog. At IoU 0.50: share of the answers that are right",
        "15 of 15 images are answered wrong in one thing or more; those of which the largest share "
        "is wrong come first. Look for wrong and missing boxes first.",
        "found and right; found and wrong; missed.",
        "found 2 cat (67 % wrong)",
        "there: 2 cat",
        "The row background is what was found where nothing is, the column background what was "
        "missed. Counted are answers with a score of 0.3 or more, each for the thing that it "
        "overlaps by half (IoU 0.50) or more.",
        "cat found where nothing is: 8",
        "cat missed: 8",
        "Things of each class",
        "Find things in a photo, on any machine with mobilens and without torch:",
    ):
        assert expected in page.words, expected
    for unexpected in ("MAP", "Top-1", "top-1", "Calibration", "surest", "Label a photo"):
        assert unexpected not in page.words, unexpected
    labels = [chart["aria-label"] for chart in page.all("svg") if "aria-label" in chart]
    assert labels[0] == "Precision over recall of cat, dog"
    assert labels[1] == "mAP on validation over 2 epochs; the best is 25.0 % at epoch 2"
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {link["href"][1:] for link in page.all("a")} == ids


def test_pictures_of_boxes_are_large_enough_to_read(tmp_path):
    images = page_of(tmp_path, boxes_report(tmp_path)).all("img")
    assert len(images) == WORST_DRAWN
    data = base64.b64decode(images[0]["src"].partition(",")[2])
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (MISTAKE_SIDE, round(MISTAKE_SIDE * 2 / 3))
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    right, wrong, missed = (stroke.colour for stroke in task_vision("detect").WORDS.strokes)
    # A point on the left side of each box.
    scale = MISTAKE_SIDE / 900
    for colour, (x, y) in ((right, (90, 200)), (wrong, (30, 510))):
        around = pixels[round(y * scale), round(x * scale) - 1 : round(x * scale) + 3]
        assert np.abs(around - colour).sum(1).min() < 120
    side = pixels[round(300 * scale) : round(450 * scale), round(600 * scale)]
    close = np.abs(side - missed).sum(1) < 120
    assert 0.2 < close.mean() < 0.9  # dashes


def test_of_many_curves_the_page_says_how_many_it_shows(tmp_path):
    names = tuple(f"kind {index}" for index in range(45))
    words = page_of(tmp_path, boxes_report(tmp_path, names, images=45)).words
    assert "Precision over recall, the 8 lowest of 45 curves: kind 0;" in words
    assert "Each class: 45 rows" in words


# --- charts ---------------------------------------------------------------------------------


def drawn(svg):
    return ElementTree.fromstring(svg)


@given(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(0, 1e6, allow_nan=False),
    st.booleans(),
)
def test_ticks_span_the_range_evenly(low, span, whole):
    chosen = ticks(low, low + span, whole=whole)
    # A millionth of a step is float noise that nobody sees.
    slack = 1e-6 * (chosen[1] - chosen[0])
    assert chosen[0] <= low + slack
    assert chosen[-1] >= low + span - slack
    assert 2 <= len(chosen) <= 12
    steps = np.diff(chosen)
    assert steps.min() > 0
    assert np.allclose(steps, steps[0], rtol=1e-3)
    if whole:
        assert all(value == round(value) for value in chosen)


def test_lines_stay_in_the_frame_and_the_best_is_ringed():
    points = [(1.0, 0.2), (2.0, 0.7), (3.0, 0.9)]
    svg = drawn(
        line_chart(
            "top-1 & more",
            [Series("validation", "val", points)],
            y_text=lambda value: f"{value:g}",
            mark=(3.0, 0.9, "90"),
        )
    )
    assert svg.get("aria-label") == "top-1 & more"
    _, _, width, height = map(float, svg.get("viewBox").split())
    places = [
        tuple(map(float, pair.split(","))) for pair in svg.find(".//polyline").get("points").split()
    ]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in places)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
    ring = svg.find(".//circle[@class='ring']")
    assert (float(ring.get("cx")), float(ring.get("cy"))) == places[-1]
    texts = [text.text for text in svg.iter("text")]
    assert {"90", "epoch", "1", "2", "3"} <= set(texts)


def test_curves_fill_the_unit_square():
    series = [Series("<cat>", "c0", [(0.0, 1.0), (1.0, 0.0)])]
    svg = drawn(curve_chart("one & all", series, "recall", "precision"))
    assert svg.get("aria-label") == "one & all"
    assert svg.find(".//g[@class='c0']/title").text == "<cat>"
    texts = [text.text for text in svg.iter("text")]
    assert {"recall, %", "precision, %", "0", "100"} <= set(texts)
    (left, top), (right, bottom) = (
        map(float, pair.split(",")) for pair in svg.find(".//polyline").get("points").split()
    )
    rules = [float(rule.get("y1")) for rule in svg.iter("line")]
    assert (top, bottom) == (min(rules), max(rules))
    assert left < right


def test_of_too_many_curves_the_lowest_are_drawn():
    curves = [Curve(f"{n}", ((0.0, n / 20), (1.0, 0.0))) for n in range(15, 0, -1)]
    assert [one.name for one in _lowest(curves)] == [f"{n}" for n in range(SHOWN_CURVES, 0, -1)]


@pytest.mark.parametrize("points", [[(1.0, 0.5)], [(1.0, 0.0), (2.0, 0.0)], [(5.0, 1e-9)]])
def test_a_single_point_and_a_flat_line_are_drawn(points):
    svg = line_chart("loss", [Series("t", "train", points)], y_text=str)
    assert "nan" not in svg
    assert len(drawn(svg).find(".//polyline").get("points").split()) == len(points)


def test_reliability_bars_end_at_the_share_of_right_answers():
    bins = [
        ReliabilityBin(0.0, 0.5, 0, None, None),
        ReliabilityBin(0.5, 1.0, 8, 0.75, 0.5),
    ]
    svg = drawn(reliability_diagram("calibration", bins))
    (bar,) = svg.findall(".//rect")
    ideal = svg.find(".//line[@class='ideal']")
    bottom, top = float(ideal.get("y1")), float(ideal.get("y2"))
    assert float(bar.get("height")) == pytest.approx((bottom - top) / 2, abs=0.2)
    assert bar.find("title").text == "8 answers with 75 % confidence: 50 % are right"


# --- words ----------------------------------------------------------------------------------


def test_quantities_for_people():
    assert [_size_text(size) for size in (900, 99_999, 4_120_345)] == [
        "0.9 kB",
        "100.0 kB",
        "4.1 MB",
    ]
    assert _short_count(999_700) == "1 M"
    assert [_milliseconds_text(n) for n in (0.1234, 3.4117, 999.4, 1234.5)] == [
        *("0.123", "3.41", "999", "1,234"),
    ]
    assert [_short_count(n) for n in (7, 1_528_106, 55_496_640, 2e9)] == [
        "7",
        "1.53 M",
        "55.5 M",
        "2 G",
    ]
    assert [_duration_text(s) for s in (0.4, 59.6, 171, 7300)] == [
        "0 s",
        "1 min 0 s",
        "2 min 51 s",
        "2 h 1 min",
    ]


def test_without_jinja2_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingExtraError) as refused:
        write_report(tmp_path / "report.html", report_of(tmp_path))
    assert "pip install 'mobilens[train]'" in str(refused.value)
    assert not (tmp_path / "report.html").exists()
