"""EXIF orientation: what it says, where a box lies in the stored pixels, how to turn them upright.

Cameras store the sensor's rows as they come and note how the camera was held. Turning a small
result upright costs nothing, turning a whole photo first costs as much as decoding it; so boxes go
from the upright frame to the stored one, and only what was cut out is turned.
"""

from __future__ import annotations

import struct

from PIL import Image

Box = tuple[float, float, float, float]

_ORIENTATION_TAG = 0x0112
_SHORT = 3
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Orientations whose stored x runs against the upright axis that it shows, and whose stored y does.
_MIRRORED_X = (2, 3, 7, 8)
_MIRRORED_Y = (3, 4, 6, 7)


def swaps_sides(orientation: int) -> bool:
    """Tell whether stored rows are upright columns."""
    return orientation >= 5


def read_orientation(exif: bytes) -> int:
    """Find the orientation in an EXIF block.

    Only the first directory is walked, and nothing in it can fail: cameras and editors write
    many a broken block, and a photo is not worth losing over its notes.

    Args:
        exif: The block, with or without its ``Exif`` prefix.

    Returns:
        1 to 8; 1, as stored, where the block says nothing or nonsense.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}L", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for index in range(count):
            entry = directory + 2 + 12 * index
            tag, kind, _, value = struct.unpack_from(f"{order}HHLH", tiff, entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == _SHORT and value in _TRANSPOSE else 1
    except struct.error:
        pass
    return 1


def stored_box(box: Box, size: tuple[int, int], orientation: int) -> Box:
    """Carry a box from the upright image to the stored pixels.

    Args:
        box: Left, top, right, bottom in the upright image, pixels.
        size: (height, width) of the upright image.
        orientation: EXIF orientation, 1 to 8.
    """
    left, top, right, bottom = box
    height, width = size
    if swaps_sides(orientation):
        left, top, right, bottom = top, left, bottom, right
        height, width = width, height
    if orientation in _MIRRORED_X:
        left, right = width - right, width - left
    if orientation in _MIRRORED_Y:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def upright_box(box: Box, size: tuple[int, int], orientation: int) -> Box:
    """Carry a box from the stored pixels to the upright image, as ``stored_box`` the other way.

    Args:
        box: Left, top, right, bottom in the stored pixels.
        size: (height, width) of the upright image.
        orientation: EXIF orientation, 1 to 8.
    """
    left, top, right, bottom = box
    width, height = size if swaps_sides(orientation) else size[::-1]
    if orientation in _MIRRORED_X:
        left, right = width - right, width - left
    if orientation in _MIRRORED_Y:
        top, bottom = height - bottom, height - top
    return (top, left, bottom, right) if swaps_sides(orientation) else (left, top, right, bottom)


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn stored pixels as a person sees them; the same object where nothing is to be done."""
    method = _TRANSPOSE.get(orientation)
    return image if method is None else image.transpose(method)
