"""Folders of images and of masks, a picture for each image whose values stand for classes.

``images/`` and ``masks/`` side by side, in the root or in each of ``train/``, ``val/`` and
``test/``, or with those inside both; Pascal VOC's ``JPEGImages/`` and ``SegmentationClass/`` with
its lists; or ``a.jpg`` and ``a_mask.png`` in one folder (as Roboflow exports them). A class map
beside them, or given after the folder, says what values stand for (``formats.class_map``);
without one, two values are background and foreground, and more are classes named by their number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mobilens.cores import usable_cores
from mobilens.data.files import find_images, visible_folders
from mobilens.data.formats import class_map as maps
from mobilens.data.formats.class_map import ClassMap, find_class_map, read_class_map
from mobilens.data.formats.drawn_boxes import Words, counted
from mobilens.data.formats.drawn_masks import (
    header_of,
    of_part,
    same_shape,
    turn_of,
    unused_classes,
)
from mobilens.data.labels.masks import MaskLabel
from mobilens.data.listing import SPLIT_NAMES, Listing, Part, Split, some, split_named
from mobilens.errors import DataError
from mobilens.vision.decode import Header
from mobilens.vision.masks import VOID, MaskFile, MaskValuesError, read_values

# Compared without regard to case; the first that exists counts.
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "leftimg8bit")
MASK_FOLDERS = (
    "masks",
    "mask",
    "semantic_masks",
    "segmentationclass",
    "gt",
    "gtfine",
    "labels",
    "annotations",
)
# What the name of a mask may have after the name of its image.
MASK_ENDINGS = (
    *("_mask", "_masks", "-mask", "_l", "_label", "_labels"),
    *("_gtfine_labelids", "_seg", "_segmentation"),
)
# What stands in its place in the name of an image.
IMAGE_ENDING = "_leftimg8bit"

VOC_LISTS = Path("ImageSets", "Segmentation")
VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)
BACKGROUND, FOREGROUND = "background", "foreground"

# A mask of two classes with blurred edges: more values than this, nearly all pixels at the ends.
_MOST_SHARP = 32
_SHARE_AT_ENDS = 0.98
_END = 16
_MIDDLE = 128

_NO_MASK = ("image has no mask and is left out", "images have no mask and are left out")
_NO_IMAGE = ("mask has no image and is left out", "masks have no image and are left out")
_LISTED = (
    "name in a list has no image or no mask and is left out",
    "names in lists have no image or no mask and are left out",
)
_UNREADABLE = (
    "mask cannot be read and is left out with its image",
    "masks cannot be read and are left out with their images",
)
_RESIZED = (
    "mask is of another size than its image and is scaled to it",
    "masks are of other sizes than their images and are scaled to them",
)
_MISSHAPEN = (
    "mask is of another shape than its image and is stretched to it; look whether they belong "
    "together",
    "masks are of other shapes than their images and are stretched to them; look whether they "
    "belong together",
)


@dataclass(frozen=True)
class _Place:
    """Where images and masks of a part lie.

    Attributes:
        split: Which part it is.
        images: Folder of images.
        masks: Folder of masks, which may be the same.
        stems: Names without suffix that belong to the part; None for all.
    """

    split: Split | None
    images: Path
    masks: Path
    stems: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Pair:
    split: Split | None
    image: Path
    mask: Path


@dataclass(frozen=True)
class _Scan:
    """What a look into a mask showed.

    Attributes:
        pair: The files.
        pixels: Count of pixels of each value, or of each colour as a number of 24 bits.
        size: (height, width) of the mask.
        header: The image's; None where it cannot be read.
        error: Why the mask cannot be read, in place of all that.
    """

    pair: _Pair
    pixels: Mapping[int, int]
    size: tuple[int, int] = (0, 0)
    header: Header | None = None
    error: DataError | None = None


@dataclass(frozen=True)
class _Meaning:
    """What the values of masks stand for.

    Attributes:
        names: Class of each value or colour; those that do not count are not there.
        class_names: All classes in order.
        by_colour: Whether these are colours.
        notes: What a person should know about it.
    """

    names: Mapping[int, str]
    class_names: tuple[str, ...]
    by_colour: bool = False
    notes: tuple[str, ...] = ()


def recognises(arguments: tuple[str, ...]) -> bool:
    """Whether the source is a folder with images and masks, alone or with a class map after it."""
    if len(arguments) not in (1, 2):
        return False
    root = Path(arguments[0]).expanduser()
    if len(arguments) == 2 and Path(arguments[1]).suffix.lower() not in maps.SUFFIXES:
        return False
    return root.is_dir() and bool(_places(root))


def read(arguments: tuple[str, ...]) -> Listing:
    """List the images with what their masks show.

    Every mask is read once: which classes occur where is asked before anything is learnt.

    Raises:
        DataError: The class map or all masks cannot be read, masks tell classes by colour and
            nothing says which, or the map names nothing that they hold.
    """
    root = Path(arguments[0]).expanduser()
    places = _places(root)
    if len(arguments) == 2:
        class_map: ClassMap | None = read_class_map(Path(arguments[1]).expanduser())
    else:
        folders = [root, *(path for place in places for path in _beside(place, root))]
        class_map = find_class_map(list(dict.fromkeys(folders))) or _of_voc(places)
    notes: list[str] = []
    pairs: list[_Pair] = []
    for place in places:
        found, odd = _pairs(place)
        pairs += found
        notes += of_part(place.split, odd)
    scans = _scanned(root, pairs, bool(class_map and class_map.colours))
    readable = [scan for scan in scans if scan.error is None]
    meaning = _mapped(class_map, readable) if class_map else _guessed(root, readable)
    parts = []
    for place in places:
        part, odd = _part(place.split, root, scans, meaning)
        notes += of_part(place.split, odd)
        if part.files:
            parts.append(part)
    notes += meaning.notes
    notes += of_part(parts[0].split, unused_classes(parts[0], meaning.class_names))
    return Listing(str(root), tuple(parts), tuple(notes), "masks", meaning.class_names)


# Which folders


def _places(root: Path) -> list[_Place]:
    """Where the images and masks of each part lie; none where they lie otherwise."""
    both = _side_by_side(root)
    if both:
        return _listed(root, *both) or _divided(*both) or [_Place(None, *both)]
    inner: dict[Split, _Place] = {}
    for folder in visible_folders(root):
        split = _split_of_folder(folder)
        both = (_side_by_side(folder) or _together(folder)) if split else None
        if both and split and split not in inner:
            inner[split] = _Place(split, *both)
    both = None if inner else _together(root)
    return [inner[split] for split in SPLIT_NAMES if split in inner] or (
        [_Place(None, *both)] if both else []
    )


def _side_by_side(folder: Path) -> tuple[Path, Path] | None:
    by_name = {inner.name.casefold(): inner for inner in reversed(visible_folders(folder))}
    images = [by_name[name] for name in IMAGE_FOLDERS if name in by_name]
    masks = [by_name[name] for name in MASK_FOLDERS if name in by_name]
    fitting = next(filter(_holds_masks, masks), None)
    return (images[0], fitting) if images and fitting else None


def _holds_masks(folder: Path) -> bool:
    # COCO's folder of JSON files may hold pictures of other things.
    of_coco = folder.name.casefold() == "annotations" and any(folder.glob("*.json"))
    return not of_coco and bool(find_images(folder).images)


def _together(folder: Path) -> tuple[Path, Path] | None:
    """The folder twice, if it holds masks beside their images."""
    stems = {path.stem.casefold() for path in find_images(folder, recursive=False).images}
    return (folder, folder) if any(_bare(stem) in stems for stem in stems) else None


def _listed(root: Path, images: Path, masks: Path) -> list[_Place]:
    """Parts by Pascal VOC's lists."""
    folder = root / VOC_LISTS
    lists = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    by_split = {split: path for path in lists if (split := split_named(path.stem))}
    places = []
    for split in SPLIT_NAMES:
        if split in by_split:
            lines = by_split[split].read_text("utf-8-sig").splitlines()
            stems = tuple(line.split()[0] for line in lines if line.strip())
            places.append(_Place(split, images, masks, stems))
    return places


def _divided(images: Path, masks: Path) -> list[_Place]:
    """Parts by folders of their name inside the folders of images and of masks."""
    of_images, of_masks = (
        {_split_of_folder(folder): folder for folder in reversed(visible_folders(above))}
        for above in (images, masks)
    )
    return [
        _Place(split, of_images[split], of_masks.get(split, masks))
        for split in SPLIT_NAMES
        if split in of_images
    ]


def _split_of_folder(folder: Path) -> Split | None:
    """The part that a folder is named after, such as ``train2017``."""
    return split_named(folder.name.rstrip("0123456789"))


def _beside(place: _Place, root: Path) -> Iterator[Path]:
    """Folders of a part where a class map may lie."""
    for folder in (place.images.parent, place.masks.parent, place.masks):
        if folder != root.parent:
            yield folder


def _of_voc(places: Sequence[_Place]) -> ClassMap | None:
    if not any(place.masks.name.casefold() == "segmentationclass" for place in places):
        return None
    return ClassMap("Pascal VOC", {**dict(enumerate(VOC_CLASSES)), VOID: None})


# Which mask belongs to which image


def _bare(stem: str) -> str | None:
    """The name of a mask without what marks it as one; None where nothing does."""
    folded = stem.casefold()
    ending = next((ending for ending in MASK_ENDINGS if folded.endswith(ending)), None)
    return folded.removesuffix(ending) if ending else None


def _pairs(place: _Place) -> tuple[list[_Pair], list[str]]:
    """Each image with its mask, and what has none."""
    images = sorted(find_images(place.images).images)
    masks = sorted(find_images(place.masks).images)
    if place.images == place.masks:
        stems = {path.stem.casefold() for path in images}
        masks = [path for path in masks if _bare(path.stem) in stems]
        images = [path for path in images if path not in set(masks)]
    finder = _MaskFinder(place.masks, masks)
    missing = []
    if place.stems is not None:
        by_stem = {path.stem: path for path in images}
        missing = [stem for stem in place.stems if stem not in by_stem]
        images = [by_stem[stem] for stem in dict.fromkeys(place.stems) if stem in by_stem]
    pairs, bare = [], []
    for image in images:
        mask = finder.find(image, place.images)
        if mask is None:
            bare.append(image.stem if place.stems is not None else image.name)
        else:
            pairs.append(_Pair(place.split, image, mask))
    notes = []
    if place.stems is not None:
        left = missing + bare
        return pairs, [counted(len(left), _LISTED, left)] if left else []
    if bare:
        notes.append(counted(len(bare), _NO_MASK, bare))
    used = {pair.mask for pair in pairs}
    # A mask of the same name in another format is no loss.
    keys = {(mask.parent, mask.stem) for mask in used}
    alone = [mask.name for mask in masks if (mask.parent, mask.stem) not in keys]
    if alone:
        notes.append(counted(len(alone), _NO_IMAGE, alone))
    return pairs, notes


class _MaskFinder:
    """Finds masks by the names of their images.

    Args:
        root: Folder of all masks.
        masks: Their paths.
    """

    def __init__(self, root: Path, masks: Iterable[Path]) -> None:
        self._by_key: dict[tuple[str, str], Path] = {}
        self._by_stem: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        # Of several files of one name, the one that loses nothing; a whole name before a bare one.
        ranked = sorted(masks, key=lambda path: (path.suffix.lower() != ".png", path))
        for stems in (lambda path: path.stem.casefold(), lambda path: _bare(path.stem)):
            for path in ranked:
                stem = stems(path)
                if stem is not None:
                    key = (path.parent.relative_to(root).as_posix(), stem)
                    self._by_key.setdefault(key, path)
                    self._by_stem[stem].add(key)

    def find(self, image: Path, root: Path) -> Path | None:
        """The mask in the same folder below the root, or else the only one of the name."""
        folder = image.parent.relative_to(root).as_posix()
        stem = image.stem.casefold()
        for name in dict.fromkeys((stem, stem.removesuffix(IMAGE_ENDING))):
            same = self._by_key.get((folder, name))
            if same is not None:
                return same
            if len(self._by_stem.get(name, ())) == 1:
                return self._by_key[next(iter(self._by_stem[name]))]
        return None


# What is in the masks


def _scanned(root: Path, pairs: Sequence[_Pair], by_colour: bool) -> list[_Scan]:
    """Look into every mask.

    Raises:
        DataError: There is none, none can be read, or one has values that cannot be used.
    """
    if not pairs:
        raise DataError(
            f"no mask of {root} belongs to an image",
            expected="masks of the same names as their images, the suffix aside",
        )
    with ThreadPoolExecutor(usable_cores()) as pool:
        scans = list(pool.map(partial(_scan, by_colour=by_colour), pairs))
    errors = [scan.error for scan in scans if scan.error is not None]
    strange = [error for error in errors if isinstance(error, MaskValuesError)]
    if strange:
        raise DataError(strange[0].given, expected=strange[0].expected, remedy=_remedy(root))
    if len(errors) == len(scans):
        raise DataError(
            f"none of {len(scans)} masks can be read, first: {errors[0].given}",
            expected="PNG or the like",
        )
    return scans


def _remedy(root: Path) -> str:
    return f"a file {root / 'classes.txt'} with a line 'r g b name' for each class"


def _scan(pair: _Pair, by_colour: bool) -> _Scan:
    try:
        values = read_values(pair.mask, colours=by_colour)
    except DataError as error:
        return _Scan(pair, {}, error=error)
    if by_colour:
        numbers = values.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
        found, counts = np.unique(numbers, return_counts=True)
    else:  # bytes are counted faster than they are sorted
        counts = np.bincount(values.ravel(), minlength=256)
        found = np.arange(len(counts))
    pixels = {
        number: count
        for number, count in zip(found.tolist(), counts.tolist(), strict=True)
        if count
    }
    return _Scan(pair, pixels, (values.shape[0], values.shape[1]), header_of(pair.image))


def _total(scans: Sequence[_Scan]) -> Counter[int]:
    total: Counter[int] = Counter()
    for scan in scans:
        total.update(scan.pixels)
    return total


# What it stands for


def _mapped(class_map: ClassMap, scans: Sequence[_Scan]) -> _Meaning:
    """By a class map."""
    total = _total(scans)
    known: Mapping[int, str | None] = class_map.values
    by_colour, notes = bool(class_map.colours), []
    if by_colour:
        known = {_number(colour): name for colour, name in class_map.colours.items()}
    elif not class_map.numbered and set(known) == {0, 1} and set(total) == {0, VOID}:
        # A list of two names, and masks as programs paint them.
        known = {0: known[0], VOID: known[1]}
        notes.append(f"255 in the masks is taken for {known[VOID]}, since no mask has the value 1")
    if not any(known.get(value) for value in total):
        raise DataError(
            f"the masks hold nothing that {class_map.name} names a class, only "
            + some([_shown(value, by_colour) for value, _ in total.most_common()]),
            expected="the colours of the masks" if by_colour else "the values of the masks",
        )
    unknown = Counter({value: count for value, count in total.items() if value not in known})
    if not by_colour:
        unknown.pop(VOID, None)
    if unknown:
        share = unknown.total() / total.total()
        what = "colour" if by_colour else "value"
        words = (
            f"{what} that {class_map.name} does not name is in the masks",
            f"{what}s that {class_map.name} does not name are in the masks",
        )
        notes.append(
            f"{counted(len(unknown), words)} and {'do' if len(unknown) > 1 else 'does'} not "
            f"count, {share:.2%} of all pixels: "
            + some([_shown(value, by_colour) for value, _ in unknown.most_common()])
        )
    names = {value: name for value, name in known.items() if name is not None}
    return _Meaning(names, class_map.class_names(), by_colour, tuple(notes))


def _guessed(root: Path, scans: Sequence[_Scan]) -> _Meaning:
    """By the values alone."""
    total = _total(scans)
    values = sorted(total)
    if len(values) == 1:
        raise DataError(
            f"all masks of {root} hold the one value {values[0]}",
            expected="a value for each class, two at least",
        )
    map_file = root / "classes.txt"
    if len(values) == 2 or _is_blurred(total):
        names = {value: BACKGROUND for value in values if value < _MIDDLE}
        names |= {value: FOREGROUND for value in values if value >= _MIDDLE}
        words = f"values below {_MIDDLE} in the masks are {BACKGROUND} and the others {FOREGROUND}"
        if len(values) == 2:
            names = {values[0]: BACKGROUND, values[1]: FOREGROUND}
            words = f"{values[0]} in the masks is {BACKGROUND} and {values[1]} is {FOREGROUND}"
        return _Meaning(
            names,
            (BACKGROUND, FOREGROUND),
            notes=(f"no class map: {words}; lines such as '0 road' in {map_file} name them",),
        )
    classes = {value: str(value) for value in values if value != VOID}
    void = ", and 255 does not count" if VOID in values else ""
    note = (
        f"no class map: the values in the masks are {len(classes)} classes, "
        f"{some(list(classes.values()), 12)}{void}; lines such as '0 road' in {map_file}, or in a "
        "file given after the folder, name them, and what is named void does not count"
    )
    return _Meaning(classes, tuple(classes.values()), notes=(note,))


def _is_blurred(total: Counter[int]) -> bool:
    """Whether black and white were saved as JPEG or resized, which leaves grey edges."""
    dark = sum(count for value, count in total.items() if value < _END)
    bright = sum(count for value, count in total.items() if value > VOID - _END)
    both = dark > 0 and bright > 0
    return both and len(total) > _MOST_SHARP and dark + bright >= _SHARE_AT_ENDS * total.total()


def _number(colour: tuple[int, int, int]) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _colour(number: int) -> tuple[int, int, int]:
    return number >> 16, number >> 8 & 255, number & 255


def _shown(value: int, by_colour: bool) -> str:
    return "({} {} {})".format(*_colour(value)) if by_colour else str(value)


# Labels


def _part(
    split: Split | None, root: Path, scans: Sequence[_Scan], meaning: _Meaning
) -> tuple[Part, list[str]]:
    """The images of a part with their labels, and what is odd."""
    files = []
    odd: defaultdict[Words, list[str]] = defaultdict(list)
    unreadable = []
    for scan in scans:
        if scan.pair.split != split:
            continue
        if scan.error is not None:
            unreadable.append(scan.error.given)
            continue
        files.append((scan.pair.image, _label(scan, meaning, odd)))
    notes = [counted(len(names), words, names) for words, names in odd.items()]
    if unreadable:
        notes.append(f"{counted(len(unreadable), _UNREADABLE)}, first: {unreadable[0]}")
    if not files and split in (None, "train"):
        raise DataError(
            f"{root} has no image with a mask to learn from"
            + (f", first: {unreadable[0]}" if unreadable else ""),
            expected="masks of the same names as their images, the suffix aside",
        )
    return Part(split, root, tuple(files)), notes


def _label(scan: _Scan, meaning: _Meaning, odd: defaultdict[Words, list[str]]) -> MaskLabel:
    orientation = 1
    if scan.header is not None:
        orientation, words = turn_of(scan.header, scan.size)
        if words:
            odd[words].append(scan.pair.image.name)
        height, width = scan.header.size
        expected = scan.header.size if orientation == 1 else (width, height)
        if not same_shape(scan.size, expected):
            odd[_MISSHAPEN].append(scan.pair.mask.name)
        elif scan.size != expected:
            odd[_RESIZED].append(scan.pair.mask.name)
    occurring = {meaning.names[value] for value in scan.pixels if value in meaning.names}
    names = tuple(name for name in meaning.class_names if name in occurring)
    return MaskLabel(names, partial(_source, scan.pair.mask, meaning, orientation))


def _source(mask: Path, meaning: _Meaning, orientation: int, index: Mapping[str, int]) -> MaskFile:
    """The mask once classes have numbers; a class without one does not occur."""
    table = np.full(256, VOID, np.uint8)
    colours = []
    for value, name in meaning.names.items():
        if meaning.by_colour and name in index:
            colours.append((_colour(value), index[name]))
        elif name in index:
            table[value] = index[name]
    return MaskFile(mask, table, tuple(colours), orientation)
