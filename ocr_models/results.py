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
        score: sum of ``char_scores`` over max(1, len(text)), 0..1; more where SegOCR saw unknown
            characters, which have a score and no letter.
        char_scores: one per decoded character, 0..1. Models of MMOCR's that apply softmax twice
            (SAR, NRTR, SATRN) can only reach a small part of 1.
        char_probabilities: one per decoded character, the network's probability of it, 0..1; equal
            to ``char_scores`` for models that apply softmax once.
        rotation: degrees anticlockwise by which a tall crop was turned before it read best.
    """

    text: str
    score: float
    char_scores: tuple[float, ...]
    char_probabilities: tuple[float, ...]
    rotation: int = 0

    @property
    def probability(self) -> float:
        """Mean of ``char_probabilities``, 0 without any: fit for thresholds with every model."""
        return math.fsum(self.char_probabilities) / max(1, len(self.char_probabilities))

    def to_json(self) -> dict[str, object]:
        """``{"text", "score", "char_scores", "probability", "char_probabilities"}``."""
        return {
            "text": self.text,
            "score": self.score,
            "char_scores": list(self.char_scores),
            "probability": self.probability,
            "char_probabilities": list(self.char_probabilities),
        }


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
            "text_probability": self.recognition.probability,
            "char_probabilities": list(self.recognition.char_probabilities),
        }


@dataclass(frozen=True)
class Link:
    """A key and its value: numbers of two words of a page, and how sure the link is, 0..1."""

    key: int
    value: int
    score: float


@dataclass(frozen=True)
class InfoField:
    """Something that a page says, e.g. ``Total``: ``12.50``, and how sure that is, 0..1."""

    key: str
    value: str
    score: float


@dataclass(frozen=True, eq=False)
class KeyInfoResult:
    """What the N words of one page mean.

    Args:
        boxes: (N, 4, 2) corners, as they were given.
        texts: as they were given.
        classes: numbers of the classes.
        labels: their names.
        label_scores: probabilities, 0..1.
        fields: what the page says.
        links: keys and their values; None from closed-set models, which know no links.
    """

    boxes: np.ndarray
    texts: tuple[str, ...]
    classes: tuple[int, ...]
    labels: tuple[str, ...]
    label_scores: tuple[float, ...]
    fields: tuple[InfoField, ...]
    links: tuple[Link, ...] | None

    def label_json(self, word: int) -> dict[str, object]:
        """``{"label", "label_score"}`` of one word."""
        return {"label": self.labels[word], "label_score": self.label_scores[word]}

    def page_json(self) -> dict[str, object]:
        """``{"edges": [{"key", "value", "score"}], "fields": [{"key", "value", "score"}]}``: edges
        by the numbers of words (open-set models only), fields by their texts."""
        edges = {} if self.links is None else {"edges": [vars(link) for link in self.links]}
        return {**edges, "fields": [vars(field) for field in self.fields]}

    def to_json(self) -> dict[str, object]:
        """``{"result": [{"box", "text", "label", "label_score"}], "edges"?, "fields"}``."""
        words = [
            {"box": box.ravel().tolist(), "text": text, **self.label_json(i)}
            for i, (box, text) in enumerate(zip(self.boxes, self.texts, strict=True))
        ]
        return {"result": words, **self.page_json()}


@dataclass(frozen=True, eq=False)
class PageResult:
    """All words of one image in reading order.

    Args:
        words: in reading order.
        lines: indices into ``words`` for every text line, top to bottom.
        info: what the words mean, from chains that extract key information.
    """

    words: tuple[Word, ...]
    lines: tuple[tuple[int, ...], ...]
    width: int
    height: int
    info: KeyInfoResult | None = None

    @property
    def text(self) -> str:
        """The page as text: words joined by spaces, lines by newlines."""
        return "\n".join(" ".join(self.words[i].text for i in line) for line in self.lines)

    def to_json(self) -> dict[str, object]:
        """``{"result": [...], "width", "height"}``, and what ``KeyInfoResult`` adds."""
        words = [word.to_json() for word in self.words]
        size: dict[str, object] = {"width": self.width, "height": self.height}
        if self.info is None:
            return {"result": words, **size}
        labelled = [word | self.info.label_json(i) for i, word in enumerate(words)]
        return {"result": labelled, **self.info.page_json(), **size}


@dataclass(frozen=True)
class Entity:
    """One named entity of a text.

    Args:
        label: its category.
        start: index of its first character in the text, 0-based.
        end: index of its last character, as in MMOCR; ``text[start : end + 1]`` is the entity.
        text: the entity itself.
        score: mean probability of its characters' labels, 0..1.
    """

    label: str
    start: int
    end: int
    text: str
    score: float

    def to_json(self) -> dict[str, object]:
        """``{"label", "start", "end", "text"}``."""
        return {"label": self.label, "start": self.start, "end": self.end, "text": self.text}


@dataclass(frozen=True)
class EntityResult:
    """All entities of one text, in order."""

    entities: tuple[Entity, ...]

    def to_json(self) -> dict[str, object]:
        """``{"entities": [{"label", "start", "end", "text"}, ...]}``."""
        return {"entities": [entity.to_json() for entity in self.entities]}


def mean_char_score(char_scores: tuple[float, ...], text: str) -> float:
    """MMOCR's text score: the sum of character scores over max(1, text length)."""
    return math.fsum(char_scores) / max(1, len(text))
