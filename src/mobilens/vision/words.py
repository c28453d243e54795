"""What people are told about a task where tasks differ: words, and what drawn lines mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mobilens.vision.tasks import Mistake


@dataclass(frozen=True)
class Stroke:
    """A kind of line in the picture of a mistake.

    Attributes:
        name: What it looks like, such as ``"dashed purple"``.
        colour: RGB, 0 to 255.
        dashed: Whether it is.
        meaning: What it is drawn around.
    """

    name: str
    colour: tuple[int, int, int]
    dashed: bool
    meaning: str


@dataclass(frozen=True)
class Words:
    """How people are told about a task.

    Attributes:
        use: What a model does with a photo; stands before the command that does it.
        classes: What the names of a model are of.
        counted: What is counted of each class.
        mistakes: What stands after "3 of 20 images are" over the worst mistakes.
        answer: What stands before the answer of a mistake.
        truth: What stands before its truth.
        severity: What its severity is, as the head of a column.
        severity_text: The same beside the answer, ``{}`` for per cent.
        strokes: What the lines in its picture mean.
    """

    use: str = "Answer for a photo"
    classes: str = "classes"
    counted: str = "Images of each class"
    mistakes: str = "answered wrong; the worst come first. Look for wrong labels first."
    answer: str = ""
    truth: str = "is"
    severity: str = "severity"
    severity_text: str = "{} %"
    strokes: tuple[Stroke, ...] = ()

    def answer_of(self, mistake: Mistake) -> str:
        """Say what a model answered."""
        return f"{self.answer} {mistake.answered}".strip()

    def truth_of(self, mistake: Mistake) -> str:
        """Say what is true instead."""
        return f"{self.truth} {mistake.expected}"

    def severity_of(self, mistake: Mistake) -> str:
        """Say how wrong an answer is."""
        return self.severity_text.format(f"{100 * mistake.severity:.0f}")

    def legend(self) -> str:
        """Say in a line what the lines in a picture mean; empty where there are none."""
        return "; ".join(f"{one.name}: {one.meaning}" for one in self.strokes)


def sentence_start(title: str) -> str:
    """Let a title begin a sentence: ``"Top-1"``, but ``"mAP"``, whose capitals are its own."""
    return title if any(map(str.isupper, title)) else title[:1].upper() + title[1:]
