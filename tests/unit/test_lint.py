"""Each check on photos made to fail it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mobilens.data.dataset import Dataset, DataSplits, Sample, load_splits
from mobilens.data.lint import Finding, LintReport, check_splits, find_mislabelled
from mobilens.data.lint.balance import (
    THINGS,
    find_imbalance,
    find_precision,
    find_similar_names,
    find_small_classes,
)
from mobilens.data.lint.mislabelled import find_suspects
from mobilens.data.lint.near import aligned_similarity, find_near_pairs
from mobilens.vision.boxes import BoxTarget


def picture(seed: int, size: tuple[int, int] = (120, 160)) -> Image.Image:
    """Blobs of colour: smooth as a photo is, and another one for each seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(noise).resize(size[::-1], Image.Resampling.BICUBIC)


def save(image: Image.Image, path: Path, **options: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Twelve photos of each of two classes in each split."""
    seeds = iter(range(100))
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            for index in range(12):
                save(picture(next(seeds)), tmp_path / split / label / f"{index}.jpg", quality=90)
    return tmp_path


def report_of(root: Path) -> LintReport:
    return check_splits(load_splits(root))


def finding(report: LintReport, kind: str) -> Finding:
    return next(one for one in report.findings if one.kind == kind)


def kinds(report: LintReport) -> list[str]:
    return [one.kind for one in report.findings]


def test_clean_data_has_nothing_but_how_sure_a_figure_is(clean: Path):
    report = report_of(clean)
    assert kinds(report) == ["precision"]
    assert not report.has_problems
    assert report.counts == {"train": {"cat": 12, "dog": 12}, "val": {"cat": 12, "dog": 12}}
    assert report.short_side == (120, 120, 120)


def test_unreadable_files_are_named_with_the_reason(clean: Path):
    (clean / "train/cat/0.jpg").write_bytes((clean / "train/cat/0.jpg").read_bytes()[:500])
    (clean / "val/dog/1.jpg").write_text("not a picture")
    (clean / "val/dog/gone.jpg").symlink_to(clean / "nowhere.jpg")
    report = report_of(clean)
    found = finding(report, "unreadable")
    assert found.severity == "problem"
    assert found.message == "3 files of 49 cannot be read and are left out"
    assert found.paths == ("train/cat/0.jpg", "val/dog/1.jpg", "val/dog/gone.jpg")
    assert found.items[1].text == "val/dog/1.jpg: not an image of a known format"
    assert found.items[2].text == "val/dog/gone.jpg: no such file"
    assert report.counts["train"] == {"cat": 11, "dog": 12}


def test_one_unreadable_file_among_many_is_a_warning(tmp_path: Path):
    for split in ("train", "val"):
        for index in range(101):
            save(picture(index, (8, 8)), tmp_path / split / "ab"[index % 2] / f"{index}.png")
    (tmp_path / "train/a/100.png").write_bytes(b"")
    assert finding(report_of(tmp_path), "unreadable").severity == "warning"
    (tmp_path / "train/a/98.png").write_bytes(b"")
    assert finding(report_of(tmp_path), "unreadable").severity == "problem"


def test_the_same_content_twice_in_two_splits_and_under_two_labels(clean: Path):
    shutil.copy(clean / "train/cat/0.jpg", clean / "train/cat/again.jpg")
    shutil.copy(clean / "train/cat/1.jpg", clean / "val/cat/leaked.jpg")
    shutil.copy(clean / "train/dog/2.jpg", clean / "val/cat/wrong.jpg")
    report = report_of(clean)
    assert report.has_problems
    found = {kind: finding(report, kind) for kind in ("duplicate", "leak", "conflict")}
    assert [one.severity for one in found.values()] == ["warning", "problem", "problem"]
    assert [one.paths for one in found.values()] == [
        ("train/cat/0.jpg", "train/cat/again.jpg"),
        ("train/cat/1.jpg", "val/cat/leaked.jpg"),
        ("train/dog/2.jpg", "val/cat/wrong.jpg"),
    ]
    assert found["leak"].items[0].text == "train/cat/1.jpg = val/cat/leaked.jpg"
    assert not {"near_leak", "near_duplicate", "near_conflict"} & set(kinds(report))


CHANGES = {
    "saved again": lambda image: image,
    "halved": lambda image: image.resize((image.width // 2, image.height // 2)),
    "cropped": lambda image: image.crop((4, 3, image.width - 4, image.height - 3)),
    "lightened": lambda image: image.point(lambda value: min(255, int(value * 1.2))),
    "grey": lambda image: image.convert("L"),
    "mirrored": ImageOps.mirror,
    "turned by 90°": lambda image: image.rotate(-90, expand=True),
    "turned by 180°": lambda image: image.rotate(180),
    "turned by 270°": lambda image: image.rotate(90, expand=True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_near_duplicates_are_found(clean: Path, change: str):
    save(CHANGES[change](picture(0)), clean / "val/cat/near.jpg", quality=60)
    report = report_of(clean)
    found = finding(report, "near_leak")
    assert found.paths == ("train/cat/0.jpg", "val/cat/near.jpg")
    assert found.severity == "problem"
    assert found.message.startswith("1 of 25 images to measure on looks nearly the same")
    (item,) = found.items
    turned = f", {change})" if change == "mirrored" or change.startswith("turned") else ")"
    assert item.text.endswith(turned)
    assert item.text.count(",") == turned.count(",")


def test_near_duplicates_within_a_split_and_under_two_labels(clean: Path):
    save(picture(0), clean / "train/cat/near.png")
    save(picture(1), clean / "train/dog/near.png")
    report = report_of(clean)
    assert finding(report, "near_duplicate").paths == ("train/cat/0.jpg", "train/cat/near.png")
    assert finding(report, "near_conflict").paths == ("train/cat/1.jpg", "train/dog/near.png")
    assert not report.has_problems


def test_every_label_of_a_conflict_is_shown_among_many_copies(tmp_path: Path):
    for index in range(9):
        save(picture(1), tmp_path / "train" / "cat" / f"{index}.png")
    for part, name in (("train", "dog"), ("val", "dog"), ("val", "cat")):
        save(picture(1 if name == "dog" else 2), tmp_path / part / name / "x.png")
    (item,) = finding(report_of(tmp_path), "conflict").items
    assert item.text.startswith("train/cat/0.png = train/dog/x.png = val/dog/x.png = train/cat/1.p")
    assert len(item.paths) == 11


def test_splits_are_named_where_paths_do_not_show_them(tmp_path: Path):
    for label in ("cat", "dog"):
        for index in range(20):
            save(picture(index + 50 * (label == "dog")), tmp_path / label / f"{index}.png")
    for index in range(20):
        save(picture(index), tmp_path / "cat" / f"again{index}.jpg", quality=80)
    pairs = [item.text for item in finding(report_of(tmp_path), "near_leak").items]
    assert pairs
    assert all(" in val" in pair and " in train" in pair for pair in pairs)


def test_blank_and_tiny_pictures_have_no_near_duplicates(clean: Path):
    for index in range(3):
        save(Image.new("RGB", (100, 100), (200 + index, 10, 10)), clean / f"train/cat/b{index}.png")
        save(picture(200 + index, (20, 20)), clean / f"val/cat/t{index}.png")
    shutil.copy(clean / "val/cat/t0.png", clean / "train/cat/t0.png")
    report = report_of(clean)
    assert "near_duplicate" not in kinds(report)
    assert finding(report, "blank").paths == tuple(f"train/cat/b{index}.png" for index in range(3))
    assert len(finding(report, "tiny").items) == 4
    assert finding(report, "tiny").severity == "warning"


def test_long_pictures_and_a_class_of_another_size(clean: Path):
    save(picture(300, (40, 200)), clean / "val/dog/long.jpg")
    for index in range(12):
        save(picture(400 + index, (400, 500)), clean / f"train/cow/{index}.jpg")
        save(picture(500 + index, (400, 500)), clean / f"val/cow/{index}.jpg")
    report = report_of(clean)
    assert finding(report, "extreme_aspect").items[0].text == (
        "val/dog/long.jpg: 40 pixels high, 200 wide"
    )
    assert [item.text for item in finding(report, "class_size").items] == [
        "cow: 400 pixels, against 120 of all"
    ]


def test_a_third_part_is_looked_at_as_well(clean: Path):
    shutil.copytree(clean / "val", clean / "test")
    report = report_of(clean)
    assert list(report.counts) == ["train", "val", "test"]
    assert len(finding(report, "leak").items) == 24


def test_an_observer_sees_every_file(clean: Path, watcher):
    check_splits(load_splits(clean), observer=watcher)
    assert watcher.bars[0] == ("read", 48)
    assert ("compare", 1) in watcher.bars
    assert len(watcher.seen) == sum(total for _, total in watcher.bars)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_unreadable_and_nobody_waits_for_it(clean: Path):
    os.mkfifo(clean / "pipe.jpg")
    rows = "".join(f"train/{label}/{n}.jpg,{label}\n" for label in ("cat", "dog") for n in range(9))
    (clean / "all.csv").write_text(f"path,label\n{rows}pipe.jpg,cat\n")
    splits = load_splits(clean / "all.csv")
    assert len(splits.fingerprint()) == 64
    assert "not a file" in finding(check_splits(splits), "unreadable").items[0].text


def test_a_net_that_knows_nothing_doubts_no_label():
    stream = np.random.default_rng(0)
    for classes in (2, 60):
        guesses = stream.uniform(0.9, 1.1, (180, classes)).astype(np.float32)
        guesses /= guesses.sum(1, keepdims=True)
        assert find_suspects(guesses, stream.integers(0, classes, 180)) == []


def test_very_many_photos_are_not_compared(clean: Path, monkeypatch: pytest.MonkeyPatch):
    for module in ("photo", "duplicates"):
        monkeypatch.setattr(f"mobilens.data.lint.{module}.MAX_COMPARED", 47)
    report = report_of(clean)
    assert kinds(report) == ["near_skipped", "precision"]
    assert finding(report, "near_skipped").message == (
        "near duplicates were not looked for: 48 images are more than 47"
    )


def test_report_to_json_and_more_findings(clean: Path):
    report = report_of(clean).with_findings([Finding("leak", "problem", "one")])
    assert kinds(report) == ["leak", "precision"]
    value = json.loads(json.dumps(report.to_json()))
    assert value["num_images"] == 48
    assert value["num_problems"] == 1
    assert value["short_side"] == {"min": 120, "median": 120, "max": 120}
    assert value["findings"][0] == {
        "kind": "leak",
        "severity": "problem",
        "message": "one",
        "remedy": "",
        "items": [],
    }


def test_no_file_is_readable(tmp_path: Path):
    for label in ("cat", "dog"):
        for index in range(2):
            (tmp_path / label).mkdir(exist_ok=True)
            (tmp_path / label / f"{index}.jpg").write_text("nothing")
    report = report_of(tmp_path)
    assert kinds(report) == ["unreadable", "few_to_learn", "few_to_measure"]
    assert isinstance(load_splits(tmp_path), DataSplits)


# Balance


def test_small_classes():
    learn, measure = find_small_classes({"a": 9, "b": 10, "c": 2}, {"a": 9, "b": 0, "c": 10})
    assert (learn.kind, learn.severity) == ("few_to_learn", "problem")
    assert (measure.kind, measure.severity) == ("few_to_measure", "problem")
    assert [item.text for item in learn.items] == ["c: 2 images", "a: 9 images"]
    assert [item.text for item in measure.items] == [
        "b: none, so it is not measured at all",
        "a: 9 images; all of them right would still mean anything from 70 to 100 %",
    ]
    assert find_small_classes({"a": 1, "b": 50}, {"a": 10})[0].severity == "problem"
    # Four images teach nothing, and one measures nothing.
    few = {"a": 4, "b": 50}, {"a": 1, "b": 50}
    assert [one.severity for one in find_small_classes(*few)] == ["problem", "problem"]
    enough = {"a": 5, "b": 50}, {"a": 2, "b": 50}
    assert [one.severity for one in find_small_classes(*enough)] == ["warning", "warning"]
    assert find_small_classes({"a": 10}, {"a": 10}) == []


@pytest.mark.parametrize(
    ("least", "severity"), [(34, None), (33, "note"), (11, "note"), (10, "warning"), (0, None)]
)
def test_imbalance(least: int, severity: str | None):
    found = find_imbalance({"a": 100, "b": least})
    assert [one.severity for one in found] == ([severity] if severity else [])
    if least == 10:
        assert found[0].message == (
            "the largest class has 10.0 times as many images to learn from as the smallest "
            "(a 100, b 10)"
        )


def test_precision():
    assert find_precision({"a": 300, "b": 41})[0].message == (
        "on 341 images to measure on, a top-1 of 90 % stands for anything from 86 to 93 % "
        "(95 % interval)"
    )
    assert find_precision({"a": 0}) == []


def test_things_are_no_images():
    learn, measure = find_small_classes({"a": 9}, {"a": 9}, THINGS)
    assert learn.message == "1 class with fewer than 10 things to learn from"
    assert learn.items[0].text == "a: 9 things"
    assert measure.message == (
        "1 class with fewer than 10 things to measure on: their own figures are rough"
    )
    assert measure.remedy == "hold out more images of them, or judge by the mean only"
    assert measure.items[0].text == (
        "a: 9 things; all of them found would still mean anything from 70 to 100 %"
    )
    (uneven,) = find_imbalance({"a": 100, "b": 10}, THINGS)
    assert uneven.message == (
        "the largest class has 10.0 times as many things to learn from as the smallest "
        "(a 100, b 10)"
    )
    assert uneven.remedy == "look at the precision of each class, not at the mean alone"


def boxes_in(names: str, shift: float = 0.0) -> BoxTarget:
    """A box for each letter: ``a`` is class 0."""
    sides = np.array([[5, 5, 60 + shift, 60]] * len(names), np.float32).reshape(-1, 4)
    numbers = np.array(["ab".index(name) for name in names], np.int64)
    return BoxTarget(sides, numbers, np.zeros(len(names), bool))


def boxes_dataset(root: Path, split: str, targets: dict[str, BoxTarget]) -> Dataset:
    samples = tuple(Sample(root / name, target) for name, target in targets.items())
    return Dataset(root, split, ("a", "b"), samples, "boxes")


def test_boxes_are_checked_as_boxes(tmp_path: Path):
    for index in range(9):
        save(picture(index), tmp_path / f"{index}.jpg", quality=90)
    save(picture(40, (500, 700)), tmp_path / "large.jpg")
    shutil.copy(tmp_path / "0.jpg", tmp_path / "copy.jpg")
    shutil.copy(tmp_path / "1.jpg", tmp_path / "again.jpg")
    save(picture(2), tmp_path / "near.jpg", quality=60)
    save(picture(3), tmp_path / "close.jpg", quality=60)
    train = {f"{index}.jpg": boxes_in("aab", index) for index in range(6)}
    train |= {"copy.jpg": boxes_in("aab", 7), "again.jpg": boxes_in("aab", 1)}
    train |= {"near.jpg": boxes_in("ab", 9), "large.jpg": boxes_in("")}
    val = {f"{index}.jpg": boxes_in("ab", index) for index in range(6, 9)}
    val |= {"close.jpg": boxes_in("a", 4)}
    splits = DataSplits(
        boxes_dataset(tmp_path, "train", train), boxes_dataset(tmp_path, "val", val)
    )
    report = check_splits(splits)
    # A near twin with other boxes is a twin, an image of another size no class of its own, and
    # how sure a share of right answers is says nothing of boxes.
    assert sorted(kinds(report)) == [
        "conflict",
        "duplicate",
        "few_to_learn",
        "few_to_measure",
        "near_duplicate",
        "near_leak",
    ]
    conflict = finding(report, "conflict")
    assert conflict.message == "1 image whose copies have different boxes"
    assert conflict.items[0].text == "0.jpg = copy.jpg"
    assert finding(report, "near_leak").paths == ("3.jpg", "close.jpg")
    assert report.counts == {"train": {"a": 17, "b": 9}, "val": {"a": 4, "b": 3}}
    assert report.num_images == report.to_json()["num_images"] == 14


def test_similar_names():
    found = find_similar_names({"T-Shirt": 1, "t_shirt": 1, "pants": 1})[0]
    assert [item.text for item in found.items] == ["'T-Shirt' ~ 't_shirt'"]
    assert find_similar_names({"shirt": 1, "skirt": 1}) == []


# Near pairs


thumbnails = st.integers(0, 10_000).map(
    lambda seed: np.asarray(picture(seed, (48, 48)).convert("L"))
)


@settings(deadline=None)
@given(thumbnails, thumbnails)
def test_similarity_is_one_with_itself_and_in_bounds(one, other):
    pairs = aligned_similarity(np.stack([one, one, other]), np.stack([one, other, one]))
    assert pairs[0] == pytest.approx(1, abs=1e-5)
    assert np.all((pairs >= -1) & (pairs <= 1 + 1e-5))


@settings(deadline=None)
@given(thumbnails, st.integers(-3, 3), st.integers(-3, 3))
def test_similarity_allows_small_shifts(one, down: int, right: int):
    wide = np.pad(one, 3, mode="wrap")
    shifted = wide[3 + down : 51 + down, 3 + right : 51 + right]
    assert aligned_similarity(one[None], shifted[None])[0] == pytest.approx(1, abs=1e-5)


def test_near_pairs_hold_indices_in_order_and_each_once():
    pictures = [np.asarray(picture(seed, (48, 48)).convert("L")) for seed in (0, 1, 0, 2, 1)]
    pairs = find_near_pairs(np.stack(pictures))
    assert sorted((pair.first, pair.second) for pair in pairs) == [(0, 2), (1, 4)]
    assert find_near_pairs(np.zeros((5, 48, 48), np.uint8)) == []


def test_near_pairs_with_too_many_candidates_keep_the_likeliest(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mobilens.data.lint.near.MAX_CANDIDATES", 1)
    base = np.asarray(picture(0, (48, 48)).convert("L"))
    noisy = np.clip(base + np.random.default_rng(0).normal(0, 5, base.shape), 0, 255)
    pairs = find_near_pairs(np.stack([base, noisy.astype(np.uint8), base]))
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 2)]


# Mislabelled


def test_suspects_by_example():
    probabilities = np.array(
        [
            [0.9, 0.1, 0.0],  # right
            [0.8, 0.2, 0.0],  # right
            [0.1, 0.9, 0.0],  # labelled 0, surely 1
            [0.45, 0.55, 0.0],  # labelled 0, hardly 1: no conviction
            [0.1, 0.9, 0.0],  # right
            [0.2, 0.8, 0.0],  # right
            [0.9, 0.1, 0.0],  # labelled 1, surely 0
            [0.1, 0.1, 0.8],  # labelled 1; nobody is labelled 2
        ],
        np.float32,
    )
    targets = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    suspects = find_suspects(probabilities, targets)
    # Usual confidence: 0.5625 in class 0, 0.475 in class 1.
    assert [(one.index, one.given, one.likely) for one in suspects] == [
        (2, 0, 1),
        (6, 1, 0),
    ]
    assert suspects[0].likely_probability == pytest.approx(0.9)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30), st.integers(2, 5))
def test_suspects_contradict_their_label(seed: int, count: int, num_classes: int):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(num_classes), count).astype(np.float32)
    targets = rng.integers(0, num_classes, count)
    gaps = []
    for one in find_suspects(probabilities, targets):
        assert one.given == targets[one.index] != one.likely == probabilities[one.index].argmax()
        gaps.append(one.likely_probability - one.given_probability)
    assert gaps == sorted(gaps, reverse=True)
    assert find_suspects(np.eye(num_classes, dtype=np.float32)[targets], targets) == []


def test_mislabelled_names_file_label_and_answer():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.04, 0.96], [0.2, 0.8]], np.float32)
    names = ["a/1.jpg", "a/2.jpg", "a/3.jpg", "b/4.jpg"]
    found = find_mislabelled(names, ("a", "b"), probabilities, np.array([0, 0, 0, 1]))
    assert found[0].severity == "warning"
    assert found[0].message == "1 label of 4 that the model finds hard to believe"
    assert found[0].items[0].text == "a/3.jpg: labelled a (4 %), looks like b (96 %)"
    assert find_mislabelled(names[:2], ("a", "b"), probabilities[:2], np.array([0, 0])) == []


# Real photos


@pytest.mark.slow
def test_real_photos_of_like_things_are_not_taken_for_the_same(shared_data: Path):
    report = report_of(shared_data / "clothing10")
    assert kinds(report) == ["imbalance", "precision"]
    assert sum(report.counts["train"].values()) == 1195


def test_odd_images(shared_data: Path, tmp_path: Path):
    for name in ("exif_orientation", "pillow"):
        (tmp_path / name).symlink_to(shared_data / "odd_images" / name)
    report = report_of(tmp_path)
    unreadable = finding(report, "unreadable")
    assert unreadable.message == "4 files of 151 cannot be read and are left out"
    pairs = [
        {Path(path).name for path in item.paths}
        for one in report.findings
        if one.kind in ("near_leak", "near_duplicate")
        for item in one.items
    ]
    # The same photo, stored turned in eight ways.
    assert {"Landscape_1.jpg", "Landscape_6.jpg"} in pairs


def test_several_things_of_one_image_are_one_photo(tmp_path: Path):
    rows = ["image,nose_x,nose_y,tail_x,tail_y,left,top,right,bottom"]
    for number in range(5):
        save(picture(number), tmp_path / f"{number}.png")
        rows += [f"{number}.png,3,3,9,9,1,1,12,12", f"{number}.png,30,30,35,35,28,28,40,40"]
    (tmp_path / "points.csv").write_text("\n".join(rows) + "\n")
    splits = load_splits(tmp_path, labels="points")
    assert "1 of 5 images are held out" in splits.notes[-1]
    report = check_splits(splits)
    assert report.num_images == 5
    assert report.counts["train"] == {"nose": 8, "tail": 8}
    assert not [
        one for one in report.findings if one.severity == "problem" and "copies" in one.message
    ]
