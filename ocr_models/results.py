"""What predictors return: frozen dataclasses, and the JSON that clients receive.

Coordinates are (x, y) in pixels of the image that was handed in (after its EXIF orientation was
applied, when it was), x to the right, y down, and polygons run clockwise on the screen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Boundary:
    """Outline of one text instance.

    Args:
        points: (K, 2) float, K = 4 for quads and at least 4 for polygons.
        score: mean text probability, 0..1.
    """

    points: np.ndarray
    score: float

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[0] < 4 or self.points.shape[1] != 2:
            raise ValueError(f"a boundary has (K, 2) points, K >= 4; got shape {self.points.shape}")

    def flat(self) -> list[float]:
        """``[x1, y1, ..., xK, yK, score]``."""
        return [*self.points.ravel().tolist(), float(self.score)]


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """All text instances of one image of ``width`` x ``height`` pixels."""

    boundaries: tuple[Boundary, ...]
    width: int
    height: int

    def to_json(self) -> dict[str, object]:
        """``{"boundary_result": [[x1, y1, ..., score], ...]}``."""
        return {"boundary_result": [boundary.flat() for boundary in self.boundaries]}


@dataclass(frozen=True)
class RecognitionResult:
    """Text of one crop.

    Args:
        text: what was read.
        score: sum of ``char_scores`` over max(1, len(text)), 0..1.
        char_scores: one per decoded character, 0..1.
        rotation: degrees anticlockwise by which a tall crop was turned before it read best.
    """

    text: str
    score: float
    char_scores: tuple[float, ...]
    rotation: int = 0

    def to_json(self) -> dict[str, object]:
        """``{"text", "score", "char_scores"}``."""
        return {"text": self.text, "score": self.score, "char_scores": list(self.char_scores)}


@dataclass(frozen=True, eq=False)
class Word:
    """One detected and recognised word (or line, after merging)."""

    boundary: Boundary
    recognition: RecognitionResult

    @property
    def text(self) -> str:
        """What was read."""
        return self.recognition.text

    def to_json(self) -> dict[str, object]:
        """One entry of a chain's ``result`` list."""
        return {
            "box": self.boundary.points.ravel().tolist(),
            "box_score": float(self.boundary.score),
            "text": self.recognition.text,
            "text_score": self.recognition.score,
            "char_scores": list(self.recognition.char_scores),
        }


@dataclass(frozen=True, eq=False)
class PageResult:
    """All words of one image in reading order.

    Args:
        words: in reading order.
        lines: indices into ``words`` for every text line, top to bottom.
    """

    words: tuple[Word, ...]
    lines: tuple[tuple[int, ...], ...]
    width: int
    height: int

    @property
    def text(self) -> str:
        """The page as text: words joined by spaces, lines by newlines."""
        return "\n".join(" ".join(self.words[i].text for i in line) for line in self.lines)

    def to_json(self) -> dict[str, object]:
        """``{"result": [...], "width", "height"}``."""
        return {
            "result": [word.to_json() for word in self.words],
            "width": self.width,
            "height": self.height,
        }


def mean_char_score(char_scores: tuple[float, ...], text: str) -> float:
    """MMOCR's text score: the sum of character scores over max(1, text length)."""
    return math.fsum(char_scores) / max(1, len(text))
