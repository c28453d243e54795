"""Photos to albums and back, from Python, with a model made by hand."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mobilens
from mobilens.album.groups import Grouping
from mobilens.album.index import IndexReport
from mobilens.album.store import read_album
from mobilens.errors import DataError, UsageError
from mobilens.observer import SILENT, Observer
from mobilens.vision.files import FileResult, predict_files
from mobilens.vision.predictor import Predictor

TINTS = {"red": (220, 60, 50), "green": (50, 210, 70), "blue": (60, 50, 230)}


def photo(tint: str, seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture of its own, of which four quarters have about one colour."""
    blobs = np.random.default_rng(seed).integers(-70, 70, (12, 12, 3)) + np.array(TINTS[tint])
    picture = Image.fromarray(blobs.clip(0, 255).astype(np.uint8))
    return picture.resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def model(tmp_path: Path, write_toy_embedder: Callable[..., Path]) -> Path:
    return write_toy_embedder(tmp_path / "toy.onnx")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos of each of three colours, one folder each."""
    for number, tint in enumerate(TINTS):
        (tmp_path / "photos" / tint).mkdir(parents=True)
        for index in range(3):
            photo(tint, 10 * number + index).save(tmp_path / "photos" / tint / f"{index}.png")
    return tmp_path / "photos"


def indexed(photos: Path, model: Path, observer: Observer = SILENT) -> IndexReport:
    return mobilens.index(photos, model, photos.parent / "album", threads=1, observer=observer)


def tints(grouping: Grouping) -> list[tuple[str, ...]]:
    return [tuple(sorted(Path(path).parent.name for path in one.photos)) for one in grouping.groups]


def test_photos_become_an_album(photos: Path, model: Path, watcher: Any) -> None:
    report = indexed(photos, model, watcher)
    assert report.to_json() == {
        "index": str(photos.parent / "album"),
        "photos": 9,
        "dimension": 12,
        "answered": 9,
        "dropped": 0,
        "skipped": [],
    }
    assert watcher.bars == [("read", 9), ("answer", 9)]
    album = read_album(photos.parent / "album")
    assert album.names[0] == "../photos/blue/0.png"
    assert (album.model.name, album.model.threshold) == ("../toy.onnx", 0.9)
    answers = mobilens.load(model).predict([album.path_of(name) for name in album.names])
    assert np.array_equal(album.vectors.rows, np.stack([one.vector for one in answers]))


def test_only_what_is_new_is_answered(photos: Path, model: Path, watcher: Any) -> None:
    indexed(photos, model)
    before = (photos.parent / "album" / "index.json").stat().st_mtime_ns
    same = indexed(photos, model)
    assert (same.photos, same.answered, same.dropped) == (9, 0, 0)
    assert (photos.parent / "album" / "index.json").stat().st_mtime_ns == before

    (photos / "red" / "0.png").unlink()  # gone
    photo("green", 99).save(photos / "blue" / "1.png")  # changed
    (photos / "blue" / "2.png").rename(photos / "blue" / "renamed.png")
    shutil.copy(photos / "green" / "0.png", photos / "green" / "copy.png")
    photo("red", 98).save(photos / "red" / "new.png")
    report = indexed(photos, model, watcher)
    assert watcher.bars == [("read", 10), ("answer", 2)]
    assert (report.photos, report.answered, report.dropped) == (10, 2, 2)
    album = read_album(photos.parent / "album")
    answers = mobilens.load(model).predict([album.path_of(name) for name in album.names])
    assert np.allclose(album.vectors.rows, np.stack([one.vector for one in answers]), atol=1e-6)


def test_what_is_new_comes_after_what_was_there(photos: Path, model: Path) -> None:
    indexed(photos, model)
    before = read_album(photos.parent / "album")
    photo("blue", 97).save(photos / "blue" / "0 first by name.png")
    assert indexed(photos, model).answered == 1
    after = read_album(photos.parent / "album")
    assert after.names == (*before.names, "../photos/blue/0 first by name.png")
    assert np.array_equal(after.vectors.rows[:9], before.vectors.rows)
    (found,) = mobilens.search(photos / "blue" / "0 first by name.png", photos.parent / "album")
    assert Path(found.nearest[0].path).parent.name == "blue"


def test_files_that_cannot_be_read_are_named_and_left_out(photos: Path, model: Path) -> None:
    (photos / "red" / "0.png").write_bytes(b"")
    (photos / "red" / "1.png").write_bytes(b"no image")
    given = [photos, photos / "absent.png"]
    report = mobilens.index(given, model, photos.parent / "album")
    assert report.photos == 7
    assert [(Path(one.path).name, one.reason) for one in report.skipped] == [
        ("0.png", "the file is empty"),
        ("1.png", "not an image of a known format"),
        ("absent.png", "there is no such file"),
    ]


def test_a_file_that_is_named_twice_is_in_once(photos: Path, model: Path) -> None:
    given = [photos / "red", photos / "red" / "0.png", photos / "blue" / ".." / "red" / "0.png"]
    assert mobilens.index(given, model, photos.parent / "album").photos == 3


def test_nothing_to_read_leaves_the_old_album(photos: Path, model: Path) -> None:
    indexed(photos, model)
    for given, words in (
        ([], "no photo was given"),
        ([photos / "absent.png"], f"{photos / 'absent.png'} cannot be read: there is no such file"),
    ):
        with pytest.raises(DataError) as refused:
            mobilens.index(given, model, photos.parent / "album")
        assert refused.value.given.startswith(words)
    assert len(read_album(photos.parent / "album").names) == 9


def test_a_stop_leaves_the_old_album(
    photos: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(photos, model)
    photo("red", 98).save(photos / "red" / "new.png")

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mobilens.album.index.predict_files", stopped)
    with pytest.raises(KeyboardInterrupt):
        indexed(photos, model)
    assert len(read_album(photos.parent / "album").names) == 9


def test_a_stop_keeps_what_was_answered(
    photos: Path, model: Path, monkeypatch: pytest.MonkeyPatch, watcher: Any
) -> None:
    later = ("green", "red")
    for name in later:
        (photos / name).rename(photos.parent / name)
    indexed(photos, model)
    for name in later:
        (photos.parent / name).rename(photos / name)
    (photos / "blue" / "0.png").unlink()

    def stopped(predictor: Predictor, paths: Iterable[Path], **more: Any) -> Iterator[FileResult]:
        yield from islice(predict_files(predictor, paths, **more), 4)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mobilens.album.index.predict_files", stopped)
        with pytest.raises(KeyboardInterrupt):
            indexed(photos, model, observer=watcher)
    assert watcher.said == ["4 answers are kept: the same command goes on from there"]
    # What is gone is dropped once all is known.
    assert len(read_album(photos.parent / "album").names) == 3 + 4
    report = indexed(photos, model)
    assert (report.photos, report.answered, report.dropped) == (8, 2, 1)


def test_another_model_is_refused(
    photos: Path, model: Path, write_toy_embedder: Callable[..., Path]
) -> None:
    indexed(photos, model)
    other = write_toy_embedder(photos.parent / "other.onnx", bias=-100)
    with pytest.raises(UsageError) as refused:
        indexed(photos, other)
    album = photos.parent / "album"
    assert str(refused.value) == (
        f"the album {album} was made with another model file than {other}: {model}, as it was\n"
        "  expected: the same file, since vectors of two models cannot be compared\n"
        f"  try: another folder with --out, or delete {album}"
    )
    # The same file under another name is the same model.
    copied = Path(shutil.copy(model, photos.parent / "copied.onnx"))
    assert indexed(photos, copied).answered == 0
    assert read_album(album).model.name == "../copied.onnx"


def test_a_model_of_another_task_is_refused(photos: Path, toy: Path) -> None:
    with pytest.raises(UsageError) as refused:
        indexed(photos, toy)
    assert str(refused.value) == (
        f"{toy} is a model of the task 'classify'\n"
        "  expected: one of the task 'embed', whose answers are vectors\n"
        "  try: mobilens train PHOTOS --task embed"
    )
    with pytest.raises(UsageError, match=r"the model file .*none\.onnx cannot be read: No such"):
        indexed(photos, photos / "none.onnx")
    assert not (photos.parent / "album").exists()


def test_a_search_gives_the_nearest_but_not_the_image_itself(photos: Path, model: Path) -> None:
    indexed(photos, model)
    image = photos / "green" / "1.png"
    (found,) = mobilens.search(image, photos.parent / "album", top=2)
    assert [Path(one.path).parent.name for one in found.nearest] == ["green", "green"]
    assert str(image) not in [one.path for one in found.nearest]
    similarity = [one.similarity for one in found.nearest]
    assert similarity == sorted(similarity, reverse=True)
    one, other = mobilens.load(model).predict([image, found.nearest[0].path])
    assert similarity[0] == pytest.approx(one.similarity(other), abs=1e-5)

    (few,) = mobilens.search(image, photos.parent / "album", min_similarity=0.8)
    assert len(few.nearest) == 2
    outside = photos.parent / "outside.png"
    photo("green", 11).save(outside)
    (all_of_them,) = mobilens.search(outside, photos.parent / "album", top=50)
    assert len(all_of_them.nearest) == 9
    assert all_of_them.nearest[0].similarity == pytest.approx(1, abs=1e-6)


def test_the_model_is_found_again_or_asked_for(
    photos: Path, model: Path, write_toy_embedder: Callable[..., Path]
) -> None:
    indexed(photos, model)
    album, image = photos.parent / "album", photos / "red" / "0.png"
    moved = photos.parent / "moved.onnx"
    model.rename(moved)
    with pytest.raises(UsageError) as refused:
        mobilens.search(image, album)
    assert str(refused.value) == (
        f"the model file of the album {album} is not at {model} any more\n"
        "  expected: the file that the album was made with\n"
        "  try: --model FILE"
    )
    (found,) = mobilens.search(image, album, model=moved)
    assert len(found.nearest) == 5
    write_toy_embedder(model, bias=-100)
    for given in (None, model):
        with pytest.raises(UsageError) as refused:
            mobilens.search(image, album, model=given)
        assert (
            refused.value.given == f"{model} is not the file that the album {album} was made with"
        )
        assert "vectors of two models cannot be compared" in refused.value.expected


def test_an_album_moves_with_its_photos_and_model(photos: Path, model: Path) -> None:
    indexed(photos, model)
    (there := photos.parent / "there").mkdir()
    for name in ("album", "photos", model.name):
        shutil.move(photos.parent / name, there / name)
    (found,) = mobilens.search(there / "photos" / "red" / "0.png", there / "album", top=1)
    assert found.nearest[0].path.startswith(str(there / "photos" / "red"))


def test_groups_are_colours(photos: Path, model: Path) -> None:
    photo("red", 1).convert("L").save(photos / "red" / "grey.png")
    indexed(photos, model)
    by_model = mobilens.groups(photos.parent / "album")
    assert (by_model.min_similarity, by_model.origin) == (pytest.approx(0.9), "model")
    assert tints(by_model) == [("blue",) * 3, ("green",) * 3, ("red",) * 3]
    assert [Path(path).name for path in by_model.alone] == ["grey.png"]
    assert all(one.similarity > 0.9 for one in by_model.groups)

    given = mobilens.groups(photos.parent / "album", min_similarity=-1)
    assert (len(given.groups), given.origin) == (1, "given")
    assert len(given.groups[0].photos) == 10


def test_a_model_that_states_no_threshold(
    photos: Path, write_toy_embedder: Callable[..., Path]
) -> None:
    model = write_toy_embedder(photos.parent / "silent.onnx", threshold=None)
    indexed(photos, model)
    grouping = mobilens.groups(photos.parent / "album")
    assert (grouping.min_similarity, grouping.origin) == (0.5, "default")


def test_the_most_typical_photo_comes_first(photos: Path, model: Path) -> None:
    indexed(photos, model)
    (first, *_) = mobilens.groups(photos.parent / "album").groups
    vectors = np.stack([one.vector for one in mobilens.load(model).predict(list(first.photos))])
    to_all = vectors @ vectors.sum(0)
    assert np.all(np.diff(to_all) <= 1e-6)
    pairs = (vectors @ vectors.T)[np.triu_indices(3, 1)]
    assert first.similarity == pytest.approx(pairs.mean(), abs=1e-5)


def test_duplicates_are_pictures_not_colours(photos: Path, model: Path, watcher: Any) -> None:
    first = photos / "red" / "0.png"
    shutil.copy(first, photos / "red" / "copied.png")
    with Image.open(first) as picture:
        picture.resize((128, 96)).save(photos / "red" / "larger.jpg", quality=60)
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "red" / "mirrored.png")
    photo("blue", 20).resize((20, 20)).save(photos / "blue" / "tiny.png")
    indexed(photos, model)
    (photos / "green" / "0.png").unlink()
    found = mobilens.groups(photos.parent / "album", duplicates=True, observer=watcher)
    (group,) = found.groups
    assert sorted(Path(path).name for path in group.photos) == [
        "0.png",
        "copied.png",
        "larger.jpg",
        "mirrored.png",
    ]
    assert (found.min_similarity, found.origin) == (0.9, "default")
    assert watcher.said == []


def test_of_too_many_pairs_the_most_alike_are_compared(
    photos: Path, model: Path, watcher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(photos / "red" / "0.png", photos / "red" / "copied.png")
    indexed(photos, model)
    monkeypatch.setattr("mobilens.album.duplicates.MAX_PAIRS", 2)
    found = mobilens.groups(
        photos.parent / "album", duplicates=True, min_similarity=-1, observer=watcher
    )
    assert len(found.groups) == 1
    assert watcher.said == ["43 pairs of photos that are less alike than 2 others are not compared"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda album: mobilens.search("x.png", album, top=0), "top is 0"),
        (lambda album: mobilens.search("x.png", album, min_similarity=2), "min_similarity is 2"),
        (lambda album: mobilens.groups(album, min_similarity=-1.5), "min_similarity is -1.5"),
        (lambda album: mobilens.groups(album.parent / "none"), "there is no album in"),
    ],
)
def test_wrong_calls_are_refused_in_words(photos: Path, model: Path, call: Any, words: str) -> None:
    indexed(photos, model)
    with pytest.raises(UsageError, match=words):
        call(photos.parent / "album")
