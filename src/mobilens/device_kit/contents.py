"""What stands in a kit's ``kit.json``: what to install, to measure, and to compare with."""

from __future__ import annotations

from dataclasses import dataclass

from mobilens.runtime.manifest import MeasuredOn

LIST, RESULT, MODELS, PHOTOS = "kit.json", "result.json", "models", "photos.npz"


@dataclass(frozen=True)
class KitFile:
    """A model file of a kit.

    Attributes:
        name: Its path within the folder of models.
        engine: Name of the engine that runs it.
        pixels: Name of the array with photos as it reads them; empty without photos.
        targets: Name of the array with their classes in its order; likewise.
    """

    name: str
    engine: str
    pixels: str = ""
    targets: str = ""


@dataclass(frozen=True)
class Kit:
    """What a kit asks for.

    Attributes:
        files: The model files.
        threads: Threads for one answer.
        batches: Images in one run.
        rounds: Fresh processes for each configuration.
        packages: What must be installed, as pip reads it.
        engines: What each further engine needs, likewise.
        data: What the photos are; None without photos.
    """

    files: tuple[KitFile, ...]
    threads: tuple[int, ...]
    batches: tuple[int, ...]
    rounds: int
    packages: tuple[str, ...]
    engines: dict[str, tuple[str, ...]]
    data: MeasuredOn | None = None
