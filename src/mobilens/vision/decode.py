"""An image file becomes 8-bit RGB: formats, colour, transparency, and every way a file can fail."""

from __future__ import annotations

import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from mobilens.errors import ImageError
from mobilens.vision.orientation import read_orientation, swaps_sides

Source = str | Path | bytes
Colour = tuple[int, int, int]

# Twice Pillow's own limit for a warning. A header may promise any size, and a file of a few bytes
# may fill all of it: nothing is allocated for more than this, whatever Pillow's global limit is.
MAX_PIXELS = 178_956_970

FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or PGM"

# Formats are told by their first bytes, never by a name. Pillow's general `open` is not used: it
# asks a global limit, warns, and lets every plug-in of the process have a try at the file.
_READERS: tuple[tuple[tuple[bytes, ...], type[ImageFile.ImageFile]], ...] = (
    ((b"\xff\xd8\xff",), JpegImagePlugin.JpegImageFile),
    ((b"\x89PNG\r\n\x1a\n",), PngImagePlugin.PngImageFile),
    ((b"GIF87a", b"GIF89a"), GifImagePlugin.GifImageFile),
    ((b"WEBP",), WebPImagePlugin.WebPImageFile),
    ((b"BM",), BmpImagePlugin.BmpImageFile),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TiffImagePlugin.TiffImageFile),
    ((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"), PpmImagePlugin.PpmImageFile),
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")

# All that Pillow and the libraries below it raise on damaged files, in this one place.
_DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
    zlib.error,
)

_warnings_lock = threading.Lock()


@dataclass(frozen=True)
class Decoded:
    """The pixels of a file as they are stored.

    Attributes:
        image: Pillow image, mode RGB or L, perhaps reduced.
        size: (height, width) of the upright image at full size, pixels.
        orientation: EXIF orientation that turns ``image`` upright, 1 to 8.
        reduction: Full pixels to a pixel of ``image``: 1, 2, 4 or 8.
    """

    image: Image.Image
    size: tuple[int, int]
    orientation: int = 1
    reduction: int = 1


@dataclass(frozen=True)
class Header:
    """What a file says of its image before any pixel.

    Attributes:
        size: (height, width) of the upright image, pixels.
        orientation: EXIF orientation that turns the stored pixels upright, 1 to 8.
    """

    size: tuple[int, int]
    orientation: int = 1


def decode(
    source: Source, fill: Colour, reduction_for: Callable[[tuple[int, int]], int] | None = None
) -> Decoded:
    """Decode the first frame of a file, or of a file's bytes.

    Args:
        source: Path, or the whole file as bytes.
        fill: RGB put behind transparent pixels.
        reduction_for: Given the upright (height, width), says at which reduction a JPEG may be
            decoded; other formats are decoded whole.

    Raises:
        ImageError: The file is missing, empty, of another format, damaged or too large.
    """
    with _reading(source) as image:
        orientation = _orientation(image)
        stored = image.size
        size = _upright(stored, orientation)
        reduction = 1
        if reduction_for is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
            reduction = reduction_for(size)
            image.draft(None, (stored[0] // reduction, stored[1] // reduction))
            reduction = reduction if image.size != stored else 1
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            with _warnings_off():
                image.load()
        image.load()
        if isinstance(image, PngImagePlugin.PngImageFile):
            # A PNG may carry its EXIF behind the pixels.
            orientation = _orientation(image)
            size = _upright(stored, orientation)
        return Decoded(_eight_bit(image, fill), size, orientation, reduction)


def opened(image: Image.Image, fill: Colour) -> Decoded:
    """Take an image that Pillow has opened, or that a program drew with it.

    Raises:
        ImageError: It has no pixels, or its file turns out to be damaged.
    """
    try:
        image.load()
        if 0 in image.size:
            raise ValueError("it has no pixels")
        orientation = _orientation(image)
        return Decoded(_eight_bit(image, fill), _upright(image.size, orientation), orientation)
    except _DECODER_ERRORS as error:
        raise ImageError(f"image in memory: {_reason(error, b'')}") from error


def read_header(source: Source) -> Header:
    """Read the upright size and the orientation.

    Raises:
        ImageError: As ``decode``, as far as the header shows it.
    """
    with _reading(source) as image:
        if isinstance(image, PngImagePlugin.PngImageFile) and "exif" not in image.info:
            image.load()
        orientation = _orientation(image)
        return Header(_upright(image.size, orientation), orientation)


def read_size(source: Source) -> tuple[int, int]:
    """Read the upright (height, width) from the header.

    Raises:
        ImageError: As ``decode``, as far as the header shows it.
    """
    return read_header(source).size


@contextmanager
def _reading(source: Source) -> Iterator[ImageFile.ImageFile]:
    """Open a file up to its pixels; what fails in the block becomes an ImageError."""
    name = "image in memory" if isinstance(source, bytes) else os.fspath(source)
    try:
        with _stream(source) as stream:
            image = _parse(name, stream)
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(
                    f"{name}: the header promises {image.width} x {image.height} pixels",
                    expected=f"at most {MAX_PIXELS:,} pixels (more may be a decompression bomb)",
                )
            yield image
    except _DECODER_ERRORS as error:
        raise ImageError(f"{name}: {_reason(error, source)}") from error


def _stream(source: Source) -> IO[bytes]:
    if isinstance(source, bytes):
        return BytesIO(source)
    path = Path(source)
    if path.is_fifo():
        raise ImageError(f"{os.fspath(source)}: this is a pipe, not an image")
    return path.open("rb")


def _parse(name: str, stream: IO[bytes]) -> ImageFile.ImageFile:
    head = stream.read(16)
    stream.seek(0)
    if head.startswith(b"RIFF"):
        head = head[8:]
    for signatures, reader in _READERS:
        if head.startswith(signatures):
            if reader in (JpegImagePlugin.JpegImageFile, WebPImagePlugin.WebPImageFile):
                return reader(stream)
            with _warnings_off():
                return reader(stream)
    if not head:
        raise ImageError(f"{name}: the file is empty")
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        raise ImageError(
            f"{name}: HEIC and AVIF are not read",
            expected=FORMATS,
            remedy="save it as JPEG",
        )
    raise ImageError(f"{name}: not an image of a known format", expected=FORMATS)


@contextmanager
def _warnings_off() -> Iterator[None]:
    """Keep Pillow from warning of broken metadata, as its TIFF, PNG and GIF readers do.

    What is switched belongs to the whole process, so one thread at a time may hold it.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _reason(error: BaseException, source: Source) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if not isinstance(source, bytes) and Path(source).is_dir():
        return "this is a folder, not an image"
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    if isinstance(error, Image.DecompressionBombError):
        return "it holds more pixels than its size allows (a decompression bomb?)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    # Pillow's own words help; those of a parser that ran off the end do not.
    own_words = isinstance(error, (OSError, SyntaxError, ValueError)) and error.__cause__ is None
    detail = " ".join(str(error).split()) if own_words else ""
    return "the file is damaged or cut short" + (f" ({detail})" if detail else "")


def _orientation(image: Image.Image) -> int:
    exif = image.info.get("exif")
    # Pillow turns a TIFF upright itself.
    if isinstance(exif, bytes) and not isinstance(image, TiffImagePlugin.TiffImageFile):
        return read_orientation(exif)
    return 1


def _upright(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(height, width) as a person sees the image, from Pillow's (width, height) as stored."""
    width, height = stored
    return (width, height) if swaps_sides(orientation) else (height, width)


def _eight_bit(image: Image.Image, fill: Colour) -> Image.Image:
    """Bring any mode to RGB, or L where the image is grey, opaque and 8-bit."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _deep_grey(image, fill)
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        backdrop = Image.new("RGBA", image.size, (*fill, 255))
        return Image.alpha_composite(backdrop, image.convert("RGBA")).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _deep_grey(image: Image.Image, fill: Colour) -> Image.Image:
    """Bring grey of more than 8 bits to 8 by its range; Pillow's own conversion clips."""
    values: NDArray[np.generic] = np.asarray(image)
    grey = Image.fromarray(_scaled_to_bytes(values))
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return grey
    opaque = Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
    return Image.composite(grey.convert("RGB"), Image.new("RGB", image.size, fill), opaque)


def _scaled_to_bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale to 0..255 from the range that the values are in.

    Integers of 0..65535 are 16-bit. Floats of 0..1, 0..255 and 0..65535 are taken to mean these
    ranges. All else, such as signed heights, is stretched from its least to its greatest value.
    """
    exact = np.float32 if values.dtype.itemsize == 2 else np.float64
    numbers: NDArray[np.floating] = values.astype(exact)
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    ranges = (65535.0,) if np.issubdtype(values.dtype, np.integer) else (1.0, 255.0, 65535.0)
    top = next((top for top in ranges if high <= top), None)
    if low < 0 or top is None:
        numbers = numbers - low
        top = (high - low) or 1.0
    with np.errstate(all="ignore"):
        numbers = np.nan_to_num(numbers * (255.0 / top), nan=0.0)
    scaled: NDArray[np.uint8] = np.rint(np.clip(numbers, 0, 255)).astype(np.uint8)
    return scaled
