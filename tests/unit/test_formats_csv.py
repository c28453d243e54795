"""Tables of paths and labels."""

from pathlib import Path

import pytest

from mobilens.data.dataset import load_splits
from mobilens.data.formats import read_source
from mobilens.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "c, d.jpg", "sub/e.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def write(folder: Path, text: str, encoding: str = "utf-8", name: str = "labels.csv") -> Path:
    table = folder / name
    table.write_bytes(text.encode(encoding))
    return table


def rows(table: Path) -> list[tuple[str | None, str, str]]:
    return [
        (part.split, path.relative_to(table.parent).as_posix(), label)
        for part in read_source(table).parts
        for path, label in part.files
    ]


PLAIN = [(None, "a.jpg", "cat"), (None, "b.jpg", "dog")]


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.jpg,cat\nb.jpg,dog\n",
        "a.jpg,cat\nb.jpg,dog\n",
        "filename;class\r\na.jpg;cat\r\nb.jpg;dog\r\n",
        "Label\tImage_Path\ncat\ta.jpg\ndog\tb.jpg",
        "id,FILE, Category \n1,a.jpg, cat\n\n2,b.jpg,dog \n",
        '"image","target"\n"a.jpg","cat"\n"b.jpg","dog"\n',
        "path,label,\na.jpg,cat,\nb.jpg,dog,\n",
    ],
)
def test_headers_and_delimiters(photos: Path, text: str):
    assert rows(write(photos, text)) == PLAIN
    assert rows(write(photos, text, "utf-8-sig")) == PLAIN
    assert rows(write(photos, text, name="labels.tsv")) == PLAIN


def test_quotes_subfolders_absolute_and_windows_paths(photos: Path):
    text = f'path,label\n"c, d.jpg","a ""b"", c"\nsub\\e.jpg,x\n{photos / "a.jpg"},é\u2028y\n'
    assert rows(write(photos, text)) == [
        (None, "c, d.jpg", 'a "b", c'),
        (None, "sub/e.jpg", "x"),
        (None, "a.jpg", "é\ufffdy"),
    ]


def test_split_column(photos: Path):
    table = write(photos, "path,label,split\na.jpg,cat,Train\nb.jpg,cat,valid\nsub/e.jpg,cat,test")
    assert rows(table) == [
        ("train", "a.jpg", "cat"),
        ("val", "b.jpg", "cat"),
        ("test", "sub/e.jpg", "cat"),
    ]


def test_classes_that_differ_by_split(photos: Path):
    text = "path,label,split\na.jpg,cat,train\nb.jpg,dog,train\nsub/e.jpg,cow,val\n"
    with pytest.raises(DataError, match="only in train: cat, dog; only in val: cow"):
        load_splits(write(photos, text))


def test_missing_files_are_counted_and_named(photos: Path):
    listed = "".join(f"gone{index}.jpg,cat\n" for index in range(5))
    listing = read_source(write(photos, f"path,label\na.jpg,cat\n{listed}"))
    assert listing.notes == (
        "5 files that labels.csv names do not exist: gone0.jpg, gone1.jpg, gone2.jpg and 2 more",
    )
    assert len(listing.parts[0].files) == 6


def test_all_files_missing_says_where_paths_start(photos: Path):
    with pytest.raises(DataError) as error:
        read_source(write(photos, "path,label\nx/a.jpg,cat\nx/b.jpg,dog\n"))
    assert str(error.value) == (
        f"none of the 2 files that {photos / 'labels.csv'} names exists, such as x/a.jpg\n"
        f"  expected: absolute paths, or paths that start at {photos}"
    )


def test_repeated_rows_count_once_and_two_labels_stay(photos: Path):
    listing = read_source(write(photos, "path,label\na.jpg,cat\na.jpg,cat\na.jpg,dog\n"))
    assert [label for _, label in listing.parts[0].files] == ["cat", "dog"]
    assert listing.notes == ("1 rows of labels.csv repeat an earlier one and count once",)


def test_a_name_too_long_to_exist_is_missing(photos: Path):
    listing = read_source(write(photos, f"path,label\na.jpg,cat\n{'x' * 5000}.jpg,cat\n"))
    assert listing.notes == (f"1 files that labels.csv names do not exist: {'x' * 100}",)


def test_a_missing_file_named_twice_is_missing_once(photos: Path):
    table = "path,label\na.jpg,cat\ngone.jpg,dog\ngone.jpg,dog\ngone.jpg,dog\n"
    listing = read_source(write(photos, table))
    assert listing.notes == (
        "1 files that labels.csv names do not exist: gone.jpg",
        "2 rows of labels.csv repeat an earlier one and count once",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1 of .*labels\.csv is ''"),
        ("name,kind\na.jpg,cat\n", r"line 1 of .*labels\.csv is 'name,kind'"),
        ("path,label\n", "names no images"),
        ("path,label\na.jpg,cat\nb.jpg\n", r"line 3 of .*labels\.csv has 1 columns"),
        ("path,label\na.jpg,\n", r"line 2 of .*labels\.csv has no label"),
        ("path,label\n ,cat\n", r"line 2 of .*labels\.csv has no path"),
        ("path,label\na.jpg,ca\0t\n", None),
        ('path,label\n"a.jpg"x,cat\n', r"line 2 of .*labels\.csv cannot be read"),
        ("path,label,fold\na.jpg,cat,7\n", r"line 2 of .*labels\.csv has the split '7'"),
    ],
)
def test_errors_name_the_line(photos: Path, text: str, message: str | None):
    table = write(photos, text)
    if message is None:
        assert rows(table) == [(None, "a.jpg", "ca\ufffdt")]
        return
    with pytest.raises(DataError, match=message):
        read_source(table)


def test_another_encoding_is_named(photos: Path):
    table = write(photos, "path,label\na.jpg,cat\nb.jpg,café\n", "latin-1")
    with pytest.raises(DataError, match=r"line 3 of .*labels\.csv is not UTF-8 text"):
        read_source(table)
