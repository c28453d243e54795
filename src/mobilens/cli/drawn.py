"""Pictures of answers, as the options of predict ask for them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilens.cli.picture_folder import PictureFolder
from mobilens.cli.terminal import say
from mobilens.errors import ImageError, UsageError

if TYPE_CHECKING:
    from mobilens.spec.task import TaskSpec
    from mobilens.vision.files import FileResult
    from mobilens.vision.tasks import Render, Shown

# Each option that names a folder, and what is said of the pictures in the end.
FOLDERS = {"draw": "drawn", "masks": "written as masks", "cutout": "cut out"}
MASK_STYLES = ("palette", "alpha")
# Beside masks: what their values stand for, as training reads it.
CLASSES_FILE = "classes.txt"


@dataclass(frozen=True)
class Drawing:
    """One kind of picture of every answer.

    Attributes:
        done: What is said of the pictures in the end.
        render: Makes one.
        target: Where they go.
    """

    done: str
    render: Render
    target: PictureFolder


class Drawings:
    """All pictures that options ask for.

    Args:
        args: Of the command line.
        task: Of the model.
        vision: How its answers are shown.
        show: How much of each answer is drawn.

    Raises:
        UsageError: The task has no such pictures, or a folder cannot be made.
    """

    def __init__(
        self, args: argparse.Namespace, task: TaskSpec, vision: Shown, show: dict[str, Any]
    ) -> None:
        if args.mask_style and not args.masks:
            raise UsageError(
                f"--mask-style {args.mask_style} without --masks: no masks are written",
                expected="--masks DIR beside it",
            )
        asked = [name for name in FOLDERS if getattr(args, name)]
        # All before the first folder is made.
        renders = [_render(name, args, task, vision, show) for name in asked]
        self._kinds = [
            Drawing(
                FOLDERS[name], render, PictureFolder(getattr(args, name), args.images, f"--{name}")
            )
            for name, render in zip(asked, renders, strict=True)
        ]
        if args.masks and _mask_style(args) == "palette":
            _name_classes(args.masks / CLASSES_FILE, task)

    def others(self, paths: Iterable[str]) -> Iterable[str]:
        """Leave out what was written, as ``PictureFolder`` does."""
        for kind in self._kinds:
            paths = kind.target.others(paths)
        return paths

    def write(self, result: FileResult) -> None:
        """Write every picture of an answer; a file without an answer is skipped."""
        from mobilens.vision.image import decode_image

        if result.prediction is None or not self._kinds:
            return
        try:
            image = decode_image(result.path)
        except ImageError as error:  # it was readable a moment ago
            say(f"not drawn: {error.given}")
            return
        for kind in self._kinds:
            kind.target.save(result.path, kind.render(image, result.prediction))

    def lines(self) -> Iterator[str]:
        """Say how many pictures of each kind were written, and where."""
        for kind in self._kinds:
            yield f"{kind.target.count:,} {kind.done}: {kind.target.folder}"


def _render(
    name: str, args: argparse.Namespace, task: TaskSpec, vision: Shown, show: dict[str, Any]
) -> Render:
    """What makes the pictures of an option."""
    from PIL import Image

    if name == "draw":
        return lambda image, prediction: Image.fromarray(vision.draw(image, prediction, **show))
    kind = _mask_style(args) if name == "masks" else name
    if kind not in vision.PICTURES:
        raise UsageError(
            f"--{name} means nothing to {args.file}, whose task is {task.kind!r}",
            expected="--draw",
            remedy="leave it out",
        )
    return vision.PICTURES[kind](task)


def _mask_style(args: argparse.Namespace) -> str:
    return args.mask_style or MASK_STYLES[0]


def _name_classes(path: Path, task: TaskSpec) -> None:
    """Write a line for each class; a file that is there stays."""
    from mobilens.atomic import written

    if not path.exists():
        lines = [f"{number} {name}\n" for number, name in enumerate(task.class_names)]
        with written(path) as temporary:
            temporary.write_text("".join(lines), "utf-8")
