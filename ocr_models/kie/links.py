"""Which key belongs to which value, and the fields of a page that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import ConfigError
from ocr_models.geometry import text_lines
from ocr_models.results import InfoField, Link

LinkType = Literal["one-to-one", "one-to-many", "many-to-one", "many-to-many", "none"]

NO_FIELDS = ("ignore", "others")
"""Classes (in lower case) of words that say nothing, in WildReceipt and in data like it."""
KEY_SUFFIX, VALUE_SUFFIX = "_key", "_value"

# Words of one class and line that are farther apart, in heights of the lower one, are two values.
_MAX_GAP_RATIO = 2.0


@dataclass(frozen=True)
class LinkSettings:
    """How links are read from an open-set model.

    Args:
        link_type: from keys to values: ``"one-to-many"`` lets a key have several values, but a
            value only one key. ``"many-to-many"`` and ``"none"`` keep all links.
        min_score: links must score higher, 0..1.
        key_class: number of the class of keys.
        value_class: number of the class of values.
    """

    link_type: LinkType = "one-to-one"
    min_score: float = 0.5
    key_class: int = 1
    value_class: int = 2

    def __post_init__(self) -> None:
        if self.link_type not in get_args(LinkType):
            raise ConfigError(
                f"link_type is {self.link_type!r}; allowed are {', '.join(get_args(LinkType))}"
            )
        if self.key_class == self.value_class:
            raise ConfigError(f"keys and values have the same class, {self.key_class}")


def find_links(
    classes_N: NDArray[np.integer], edges_NN: NDArray[np.floating], settings: LinkSettings
) -> tuple[Link, ...]:
    """Links from keys to values (MMOCR's ``OpensetKIEDataset``).

    A pair scores as the better of its two directions. Where a word may have only one link, pairs
    are taken best first, each that is still free.

    Args:
        classes_N: class of every word.
        edges_NN: probability of a link from word i to word j.
        settings: see there.
    """
    scores = np.maximum(edges_NN, edges_NN.T)
    possible = (
        (classes_N == settings.key_class)[:, None]
        & (classes_N == settings.value_class)
        & (scores > settings.min_score)
    )
    keys, values = possible.nonzero()
    found = scores[keys, values]
    if settings.link_type in ("many-to-many", "none"):
        order = np.lexsort((np.maximum(keys, values), np.minimum(keys, values)))
        one_value = one_key = False
    else:
        order = np.argsort(-found, kind="stable")
        one_value = settings.link_type in ("one-to-one", "many-to-one")
        one_key = settings.link_type in ("one-to-one", "one-to-many")
    taken_keys: set[int] = set()
    taken_values: set[int] = set()
    links = []
    for i in order.tolist():
        key, value = int(keys[i]), int(values[i])
        if (one_value and key in taken_keys) or (one_key and value in taken_values):
            continue
        taken_keys.add(key)
        taken_values.add(value)
        links.append(Link(key, value, float(found[i])))
    return tuple(links)


def linked_fields(texts: Sequence[str], links: Sequence[Link]) -> tuple[InfoField, ...]:
    """One field per link, as the words say."""
    return tuple(InfoField(texts[link.key], texts[link.value], link.score) for link in links)


def class_fields(
    quads_N42: NDArray[np.floating],
    texts: Sequence[str],
    labels: Sequence[str],
    scores: Sequence[float],
) -> tuple[InfoField, ...]:
    """What a closed-set model knows, by class.

    The key is the class, without ``_value`` at its end; words that only name something
    (``..._key``) or say nothing (``NO_FIELDS``) make no field. Neighbours of one class on one line
    are one value, whose score is the lowest of theirs.

    Args:
        quads_N42: corners.
        texts: one per word.
        labels: names of the classes.
        scores: of the labels, 0..1.
    """
    kept = [
        i
        for i, label in enumerate(labels)
        if label.lower() not in NO_FIELDS and not label.endswith(KEY_SUFFIX)
    ]
    groups: list[list[int]] = []
    for line in text_lines([quads_N42[i] for i in kept]):
        last: int | None = None
        for i in (kept[position] for position in line):
            if last is not None and labels[i] == labels[last] and _near(quads_N42, last, i):
                groups[-1].append(i)
            else:
                groups.append([i])
            last = i
    return tuple(
        InfoField(
            key=labels[group[0]].removesuffix(VALUE_SUFFIX),
            value=" ".join(texts[i] for i in group),
            score=min(scores[i] for i in group),
        )
        for group in groups
    )


def _near(quads_N42: NDArray[np.floating], left: int, right: int) -> bool:
    gap = quads_N42[right, :, 0].min() - quads_N42[left, :, 0].max()
    height = np.ptp(quads_N42[[left, right], :, 1], axis=1).min()
    return bool(gap <= _MAX_GAP_RATIO * height)
