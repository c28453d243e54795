"""Class order, the split, and what load_splits and load_split promise."""

import os
import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mobilens.data.dataset import Dataset, load_split, load_splits
from mobilens.data.holdout import hold_out
from mobilens.data.listing import Part
from mobilens.data.names import class_key, clean_name, is_hidden, order_classes
from mobilens.errors import DataError, UsageError

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
natural_names = st.lists(
    st.sampled_from(["a", "A", "b", "é", "É", "e\u0301", "ß", "SS", "-", " ", "0", "1", "9", "10"]),
    min_size=1,
    max_size=5,
).map("".join)


def fill(root: Path, counts: dict[str, int]) -> Path:
    """Files that look like images from outside; nothing here decodes them."""
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (root / folder / f"{index}.jpg").write_bytes(f"{folder}/{index}".encode())
    return root


# Class order


def test_class_order_by_example():
    given_order = ["s10", "s2", "Zebra", "apple", "s02", "Apple", "banana", "1", "10", "9", "s2b"]
    expected = ("1", "9", "10", "Apple", "apple", "banana", "s02", "s2", "s2b", "s10", "Zebra")
    assert order_classes(given_order) == expected


@settings(deadline=None)
@given(st.lists(names | natural_names, max_size=20), st.randoms(use_true_random=False))
def test_class_order_does_not_depend_on_the_listing(found: list[str], rng: random.Random):
    shuffled = rng.sample(found, len(found))
    assert order_classes(shuffled) == order_classes(found)


@settings(deadline=None)
@given(names | natural_names, names | natural_names, names | natural_names)
@example("1", "01", "001")
@example("straße", "STRASSE", "strasse")
def test_class_order_is_total(a: str, b: str, c: str):
    a, b, c = map(clean_name, (a, b, c))
    assert (class_key(a) < class_key(b)) + (class_key(b) < class_key(a)) + (a == b) == 1
    if class_key(a) < class_key(b) < class_key(c):
        assert class_key(a) < class_key(c)


@settings(deadline=None)
@given(st.lists(names | natural_names, max_size=20))
def test_class_order_is_the_same_for_names_as_macos_stores_them(found: list[str]):
    decomposed = [unicodedata.normalize("NFD", name) for name in found]
    assert order_classes(decomposed) == order_classes(found)


def test_class_order_compares_numbers_of_any_length():
    assert order_classes(["9" * 5000, "1" + "0" * 5000]) == ("9" * 5000, "1" + "0" * 5000)


def test_a_name_that_is_not_text_becomes_text():
    assert clean_name(os.fsdecode(b"caf\xe9")) == "caf�"


@pytest.mark.parametrize("name", [".DS_Store", ".ipynb_checkpoints", "__MACOSX", "Thumbs.db"])
def test_hidden_names(name: str):
    assert is_hidden(name)


# Split


class_sizes = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.integers(1, 30), min_size=1, max_size=4
)


def part_of(sizes: dict[str, int]) -> Part:
    root = Path("photos")
    files = [(root / f"{c}/{i}.jpg", c) for c, size in sizes.items() for i in range(size)]
    return Part(None, root, tuple(files))


@settings(deadline=None)
@given(class_sizes, st.floats(0.01, 0.99), st.integers(0, 5))
def test_hold_out_is_complete_disjoint_and_fair(sizes: dict[str, int], share: float, seed: int):
    part = part_of(sizes)
    train, val = hold_out(part, share, seed)
    assert set(train.files) | set(val.files) == set(part.files)
    assert not set(train.files) & set(val.files)
    for label, size in sizes.items():
        held = sum(item == label for _, item in val.files)
        assert held == 0 if size == 1 else 1 <= held < size
        assert abs(held - size * share) <= 1


@settings(deadline=None)
@given(class_sizes, st.randoms(use_true_random=False))
def test_hold_out_does_not_depend_on_listing_or_place(sizes: dict[str, int], rng: random.Random):
    part = part_of(sizes)
    moved = Part(
        None,
        Path("elsewhere"),
        tuple(
            (Path("elsewhere") / path.relative_to("photos"), label)
            for path, label in rng.sample(part.files, len(part.files))
        ),
    )
    here = {path.relative_to("photos") for path, _ in hold_out(part)[1].files}
    assert {path.relative_to("elsewhere") for path, _ in hold_out(moved)[1].files} == here


@settings(deadline=None)
@given(class_sizes, class_sizes)
def test_other_classes_do_not_change_what_is_held_out(
    sizes: dict[str, int], others: dict[str, int]
):
    added = sizes | {f"new-{label}": size for label, size in others.items()}
    held = set(hold_out(part_of(sizes))[1].files)
    assert held <= set(hold_out(part_of(added))[1].files)


@settings(deadline=None)
@given(st.integers(2, 40))
def test_one_more_file_changes_the_side_of_one_other_at_most(size: int):
    before = set(hold_out(part_of({"a": size}))[1].files)
    after = set(hold_out(part_of({"a": size + 1}))[1].files)
    assert len(before - after) <= 1


def test_seed_and_fraction_choose_other_files():
    part = part_of({"a": 50})
    assert set(hold_out(part, seed=0)[1].files) != set(hold_out(part, seed=1)[1].files)
    assert len(hold_out(part, 0.5)[1].files) == 25


def test_what_is_held_out_is_pinned():
    """Changing the rule would silently change everyone's validation data."""
    held = [path.name for path, _ in hold_out(part_of({"a": 10}))[1].files]
    assert held == PINNED_HELD_OUT


PINNED_HELD_OUT = ["3.jpg", "4.jpg"]


# load_splits


def test_undivided_folder_is_split_and_says_so(tmp_path: Path):
    splits = load_splits(fill(tmp_path, {"cat": 10, "dog": 5}))
    assert splits.train.class_names == splits.val.class_names == ("cat", "dog")
    assert splits.train.class_counts() == {"cat": 8, "dog": 4}
    assert splits.val.class_counts() == {"cat": 2, "dog": 1}
    assert splits.notes == (
        "no validation part: 3 of 15 images are held out "
        "(20% of each class, chosen by a hash of the file's name)",
    )
    assert [splits.train.split, splits.val.split] == ["train", "val"]


@pytest.mark.parametrize("val", ["val", "validation", "valid", "test", "Validation", "testing"])
def test_divided_folder(tmp_path: Path, val: str):
    fill(tmp_path, {"train/cat": 4, "train/dog": 3, f"{val}/cat": 2, f"{val}/dog": 1})
    splits = load_splits(tmp_path)
    assert splits.train.class_counts() == {"cat": 4, "dog": 3}
    assert splits.val.class_counts() == {"cat": 2, "dog": 1}
    assert splits.notes == ()
    sample = splits.val.samples[2]
    assert (splits.val.name_of(sample), sample.target) == ("dog/0.jpg", 1)


def test_test_beside_val_is_a_third_part(tmp_path: Path):
    fill(tmp_path, {f"{split}/{name}": 2 for split in ("train", "val", "test") for name in "ab"})
    splits = load_splits(tmp_path)
    assert splits.test is not None
    assert (splits.val.root.name, splits.test.root.name) == ("val", "test")
    assert len(load_split(tmp_path, "test")) == 4


def test_classes_that_differ_are_named_in_both_directions(tmp_path: Path):
    fill(tmp_path, {"train/cat": 2, "train/bird": 2, "val/cat": 2, "val/Birds": 2, "val/fish": 1})
    with pytest.raises(DataError) as error:
        load_splits(tmp_path)
    assert str(error.value) == (
        "train and val have different classes; only in train: bird; only in val: Birds, fish\n"
        "  expected: the same classes in both; a class folder without an image counts as absent\n"
        "  try: rename 'Birds' in val to 'bird'"
    )


def test_empty_class_folders_count_as_absent(tmp_path: Path):
    fill(tmp_path, {"train/cat": 2, "train/dog": 2, "train/aaa": 0, "val/cat": 1, "val/dog": 1})
    fill(tmp_path, {"val/bbb": 0})
    (tmp_path / "train/aaa/notes.txt").write_text("nothing yet")
    splits = load_splits(tmp_path)
    assert splits.train.class_names == ("cat", "dog")
    assert splits.notes == (
        "class folders without an image in train: aaa",
        "class folders without an image in val: bbb",
    )
    fill(tmp_path, {"train/bbb": 1})
    with pytest.raises(DataError, match="only in train: bbb"):
        load_splits(tmp_path)


def test_one_class_only(tmp_path: Path):
    with pytest.raises(DataError, match="has one class only: cat"):
        load_splits(fill(tmp_path, {"cat": 5}))
    fill(tmp_path, {"dog": 0})
    with pytest.raises(DataError, match="put images into dog, which is empty"):
        load_splits(tmp_path)


def test_one_image_per_class_cannot_be_divided(tmp_path: Path):
    with pytest.raises(DataError, match="has one image only"):
        load_splits(fill(tmp_path, {"cat": 1, "dog": 1}))


def test_no_training_part(tmp_path: Path):
    fill(tmp_path, {"val/cat": 2, "val/dog": 2})
    with pytest.raises(DataError, match="has no part for training, only val"):
        load_splits(tmp_path)
    assert len(load_split(tmp_path)) == 4


def test_fraction_out_of_range(tmp_path: Path):
    with pytest.raises(UsageError, match="val_fraction is 1"):
        load_splits(tmp_path, val_fraction=1)


# load_split


def test_load_split_of_each_kind(tmp_path: Path):
    divided = fill(
        tmp_path / "d", {"train/a": 5, "train/b": 5, "validation/a": 2, "validation/b": 1}
    )
    whole = fill(tmp_path / "w", {"a": 5, "b": 5})
    only_train = fill(tmp_path / "t", {"train/a": 5, "train/b": 5})
    sizes = {
        (source.name, split): len(load_split(source, split))
        for source in (divided, whole, only_train)
        for split in ("val", "train", "all")
    }
    assert sizes == {
        ("d", "val"): 3,
        ("d", "train"): 10,
        ("d", "all"): 13,
        ("w", "val"): 10,
        ("w", "train"): 8,
        ("w", "all"): 10,
        ("t", "val"): 2,
        ("t", "train"): 8,
        ("t", "all"): 10,
    }
    assert load_split(only_train, "val") == load_splits(only_train).val
    with pytest.raises(DataError, match="has no test part"):
        load_split(divided, "test")
    with pytest.raises(UsageError, match="split is 'dev'"):
        load_split(divided, "dev")


def test_the_model_s_class_order_is_kept(tmp_path: Path):
    fill(tmp_path, {"cat": 2, "dog": 3})
    dataset = load_split(tmp_path, class_names=("dog", "bird", "cat"))
    assert dataset.class_names == ("dog", "bird", "cat")
    assert dataset.class_counts() == {"dog": 3, "bird": 0, "cat": 2}
    with pytest.raises(DataError) as error:
        load_split(tmp_path, class_names=("cat", "dogs", "bird"))
    assert str(error.value) == (
        f"{tmp_path} has classes that the model does not know: dog\n"
        "  expected: the model's classes (3); not in the data: bird, dogs\n"
        "  try: rename 'dog' in the data to 'dogs'"
    )


# Dataset


def test_without(tmp_path: Path):
    dataset = load_split(fill(tmp_path, {"a": 2, "b": 2}), "all")
    bad = tmp_path / "a" / "1.jpg"
    assert [sample.path.name for sample in dataset.without([bad]).samples] == [
        "0.jpg",
        "0.jpg",
        "1.jpg",
    ]


def fingerprint(root: Path) -> str:
    return load_split(root, "all").fingerprint()


def test_fingerprint_is_independent_of_the_place(tmp_path: Path):
    counts = {"cat": 3, "dog": 2}
    first = fingerprint(fill(tmp_path / "here", counts))
    assert first == fingerprint(fill(tmp_path / "far" / "away", counts))
    assert first == load_split([str(tmp_path / "here/*/*.jpg")], "all").fingerprint()
    assert len(first) == 64


def test_fingerprint_sees_content_name_and_label(tmp_path: Path):
    counts = {"cat": 3, "dog": 2}
    first = fingerprint(fill(tmp_path / "same", counts))
    content, name, label = (fill(tmp_path / kind, counts) for kind in ("c", "n", "l"))
    (content / "cat/0.jpg").write_bytes(b"other")
    (name / "cat/0.jpg").rename(name / "cat/9.jpg")
    (label / "cat/0.jpg").rename(label / "dog/7.jpg")
    assert len({first, *map(fingerprint, (content, name, label))}) == 4


def test_fingerprint_of_a_file_that_is_gone(tmp_path: Path):
    dataset = load_split(fill(tmp_path, {"a": 2, "b": 2}), "all")
    before = dataset.fingerprint()
    dataset.samples[0].path.unlink()
    assert dataset.fingerprint() != before


def test_fingerprint_of_real_data(shared_data: Path):
    splits = load_splits(shared_data / "clothing10")
    assert isinstance(splits.val, Dataset)
    assert (len(splits.train), len(splits.val)) == (1195, 341)
    assert splits.val.fingerprint() == load_split(shared_data / "clothing10").fingerprint()
    assert splits.val.fingerprint() == fingerprint(shared_data / "clothing10" / "validation")
