"""Pascal VOC: an XML file for each image.

Either ``Annotations/``, ``JPEGImages/`` and ``ImageSets/Main/train.txt``, ``val.txt`` and
``test.txt``, or XML files beside their images, alone or below ``train/`` and ``val/`` (as Roboflow
exports them). Things that are marked as difficult are neither right nor wrong to find.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mobilens.data.files import find_images, visible_folders
from mobilens.data.formats.drawn_boxes import DrawnBoxes, counted, labelled
from mobilens.data.listing import Listing, Part, Split, split_named
from mobilens.data.names import clean_name
from mobilens.errors import DataError

# VOC counts pixels from 1 and names the last one inside.
FIRST_PIXEL = 1
NO_IMAGE = ("XML file has no image", "XML files have no image")
NO_XML = ("image has no XML file and is left out", "images have no XML file and are left out")


def recognises(arguments: tuple[str, ...]) -> bool:
    """Whether the source is a folder with XML files where VOC has them."""
    if len(arguments) != 1 or not Path(arguments[0]).expanduser().is_dir():
        return False
    root = Path(arguments[0]).expanduser()
    folders = [root / "Annotations", root, *visible_folders(root)]
    return any(next(folder.glob("*.xml"), None) for folder in folders if folder.is_dir())


def read(arguments: tuple[str, ...]) -> Listing:
    """List the images with the boxes of their XML files.

    Raises:
        DataError: A file is no XML of this kind; the message names it.
    """
    root = Path(arguments[0]).expanduser()
    parts, notes = [], []
    for split, folder, files, is_chosen in _parts(root):
        drawn = []
        images = {path.stem: path for path in find_images(_images(folder)).images}
        missing = []
        for xml in files:
            image = images.get(xml.stem)
            if image is None:
                missing.append(xml.name)
                continue
            drawn.append(_read_file(xml, image))
        samples, odd = labelled(drawn)
        label = f"{split}: " if split else ""
        notes += [f"{label}{note}" for note in odd]
        if missing:
            notes.append(label + counted(len(missing), NO_IMAGE, missing))
        without = sorted(set(images) - {xml.stem for xml in files})
        if without and not is_chosen:
            names = [images[stem].name for stem in without]
            notes.append(label + counted(len(names), NO_XML, names))
        parts.append(Part(split, root, samples))
    return Listing(str(root), tuple(parts), tuple(notes), labels="boxes")


def _parts(root: Path) -> Iterator[tuple[Split | None, Path, list[Path], bool]]:
    """Each part with its folder, its XML files, and whether a list has chosen them."""
    annotations = root / "Annotations"
    if annotations.is_dir():
        lists = sorted((root / "ImageSets" / "Main").glob("*.txt"))
        named = {split: path for path in lists if (split := split_named(path.stem))}
        for split, path in named.items():
            stems = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
            yield split, root, [annotations / f"{stem}.xml" for stem in stems], True
        if not named:
            yield None, root, sorted(annotations.glob("*.xml")), False
        return
    divided = {folder: split_named(folder.name) for folder in visible_folders(root)}
    for folder, split in divided.items():
        if split:
            yield split, folder, sorted(folder.glob("*.xml")), False
    if not any(divided.values()):
        yield None, root, sorted(root.glob("*.xml")), False


def _images(folder: Path) -> Path:
    return folder / "JPEGImages" if (folder / "JPEGImages").is_dir() else folder


def _read_file(xml: Path, image: Path) -> DrawnBoxes:
    try:
        tree = ElementTree.parse(xml).getroot()
    except FileNotFoundError:
        raise DataError(f"there is no file {xml}", expected="the XML file of an image") from None
    except ElementTree.ParseError as error:
        raise DataError(f"{xml} is not XML: {error}") from None
    names, boxes, ignored = [], [], []
    for thing in tree.iter("object"):
        name = clean_name((thing.findtext("name") or "").strip())
        if not name:
            raise DataError(f"{xml} holds an object without a name")
        names.append(name)
        corners = [
            _number(thing, f"bndbox/{side}", xml) for side in ("xmin", "ymin", "xmax", "ymax")
        ]
        boxes.append((corners[0] - FIRST_PIXEL, corners[1] - FIRST_PIXEL, corners[2], corners[3]))
        ignored.append((thing.findtext("difficult") or "0").strip() == "1")
    size = tree.find("size")
    sides = (0, 0)
    if size is not None:
        sides = (int(_number(size, "height", xml)), int(_number(size, "width", xml)))
    return DrawnBoxes(
        image,
        tuple(names),
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(ignored, bool),
        size=sides if min(sides) > 0 else None,
    )


def _number(element: ElementTree.Element, path: str, xml: Path) -> float:
    text = element.findtext(path)
    try:
        return float(text or "")
    except ValueError:
        raise DataError(f"{xml} has {text!r} for {path}", expected="a number") from None
