"""One small file for each kind of model file: where its manifest lies, and what seals the rest.

Nothing of a runtime is needed to read a manifest: each file looks into the bytes for itself.
"""

from __future__ import annotations

import importlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from mobilens.errors import BundleError, UnknownNameError

MAX_FILE_BYTES = 2**31


@dataclass(frozen=True)
class Contents:
    """A model file taken apart.

    Attributes:
        size_bytes: Size of all that belongs to it.
        manifest: Text of its manifest; None when it has none.
        intact: Whether the manifest stands there as this module writes it, hash included.
        tensors: SHA-256 of each weight by name, where the format lets them be told apart.
        graph: SHA-256 of all other bytes but the manifest's.
    """

    size_bytes: int
    manifest: bytes | None
    intact: bool
    tensors: Mapping[str, str]
    graph: str


class ModelFormat(Protocol):
    """What a module of this package offers."""

    def take_apart(self, data: bytes, path: Path) -> Contents:
        """Find the manifest and hash the rest.

        Args:
            data: Every byte of the file; of a folder, of its main file.
            path: Where it lies; files that belong to it lie beside it, or in it.

        Raises:
            BundleError: The bytes are no such file.
        """
        ...

    def place(self, data: bytes, text: bytes) -> bytes:
        """Put the text of a manifest in, in place of one that is there.

        Args:
            data: Every byte of the file.
            text: The text.

        Raises:
            BundleError: The bytes are no such file, or not all of it.
        """
        ...


class FormatInfo(NamedTuple):
    """What is known of a format without loading its module.

    Attributes:
        title: Its name for people.
        suffix: What its files' names end in.
        engine: Name of the engine that runs it, unless another is asked for.
        module: Where it is.
        companions: Suffixes of further files that belong to one, in place of its own.
        main: For a format of folders, the file inside that holds the manifest.
    """

    title: str
    suffix: str
    engine: str
    module: str
    companions: tuple[str, ...] = ()
    main: str = ""


_HERE = "mobilens.runtime.formats"
FORMATS = {
    "onnx": FormatInfo("ONNX", ".onnx", "onnxruntime", f"{_HERE}.onnx"),
    "openvino": FormatInfo("OpenVINO", ".xml", "openvino", f"{_HERE}.openvino", (".bin",)),
    "litert": FormatInfo("LiteRT", ".tflite", "litert", f"{_HERE}.litert"),
    "executorch": FormatInfo("ExecuTorch", ".pte", "executorch", f"{_HERE}.executorch"),
    "coreml": FormatInfo(
        "Core ML",
        ".mlpackage",
        "coreml",
        f"{_HERE}.coreml",
        main="Data/com.apple.CoreML/model.mlmodel",
    ),
    "ncnn": FormatInfo("ncnn", ".ncnn", "ncnn", f"{_HERE}.ncnn", (".ncnn.param", ".ncnn.bin")),
}


def format_named(name: str) -> ModelFormat:
    """Load a format's module.

    Raises:
        UnknownNameError: No format has this name.
    """
    if name not in FORMATS:
        raise UnknownNameError.among("format", name, FORMATS)
    return cast(ModelFormat, importlib.import_module(FORMATS[name].module))


def read_part(path: Path) -> bytes:
    """Read a file that belongs to a model file.

    Args:
        path: The file.

    Raises:
        OSError: It is not there, or cannot be read.
        BundleError: It is no plain file, or too large.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size >= MAX_FILE_BYTES:
        raise BundleError(
            f"{path} is not what belongs to a model file",
            expected=f"a file of less than {MAX_FILE_BYTES:,} bytes",
        )
    return path.read_bytes()


def main_file(path: Path) -> Path:
    """Give the file that holds the manifest: the model file itself, or of a folder one inside.

    Args:
        path: The model file, or another path, which is given back.
    """
    if path.is_dir():
        for info in FORMATS.values():
            if info.main and (path / info.main).is_file():
                return path / info.main
    return path


def format_of(data: bytes, path: Path) -> str:
    """Tell a file's format: by its first bytes, since names may be anything.

    Args:
        data: Its bytes; the first few are looked at.
        path: Its name, for what has no mark of its own.
    """
    if data[4:8] == b"TFL3" or path.suffix.lower() == ".tflite":
        return "litert"
    if data[4:6] == b"ET" or path.suffix.lower() == ".pte":
        return "executorch"
    if data.startswith((b'{"ncnn"', b"7767517")) or path.suffix.lower() == ".ncnn":
        return "ncnn"
    if data.lstrip()[:1] == b"<" or path.suffix.lower() == ".xml":
        return "openvino"
    if path.suffix.lower() in (".mlpackage", ".mlmodel"):
        return "coreml"
    return "onnx"
