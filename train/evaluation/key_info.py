"""Metrics of key information extraction, with MMOCR 0.6.1's numbers.

* Macro F1 of closed-set models: classes that are ignored leave the mean, but their words still
  count as false alarms of other classes.
* Open-set F1 of words that are keys or values, and of links. MMOCR divides by max(1, recall +
  precision) there, so low scores come out lower than an F1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_models.errors import ConfigError
from ocr_models.kie.links import LinkSettings
from ocr_models.results import Link

KIE_METRICS = ("macro_f1", "openset_f1")


def f1_of_classes(
    predicted: NDArray[np.integer], truth: NDArray[np.integer], num_classes: int
) -> NDArray[np.float64]:
    """(K,) F1 of every class, 0 for classes that never occur.

    Args:
        predicted: (N,) class of every word.
        truth: (N,) likewise.
        num_classes: K.
    """
    counts = np.bincount(truth * num_classes + predicted, minlength=num_classes**2)
    table = counts.reshape(num_classes, num_classes).astype(np.float64)
    hits = np.diag(table)
    recall = hits / table.sum(axis=1).clip(min=1)
    precision = hits / table.sum(axis=0).clip(min=1)
    return 2 * recall * precision / (recall + precision).clip(min=1e-8)


def macro_f1(
    predicted: NDArray[np.integer],
    truth: NDArray[np.integer],
    num_classes: int,
    ignores: Collection[int] = (),
) -> float:
    """Mean F1 of the classes that are not ignored.

    Raises:
        ConfigError: ``ignores`` names a class that is not there, or leaves none.
    """
    kept = [number for number in range(num_classes) if number not in ignores]
    unknown = sorted(set(ignores) - set(range(num_classes)))
    if unknown or not kept:
        raise ConfigError(
            f"macro_f1 ignores {sorted(ignores)}; the model has classes 0 to {num_classes - 1}, "
            "and at least one must be left"
        )
    return float(f1_of_classes(predicted, truth, num_classes)[kept].mean())


@dataclass(frozen=True, eq=False)
class OpensetPage:
    """One page: classes and links as predicted, and as they are."""

    classes: NDArray[np.integer]
    links: Sequence[Link]
    true_classes: NDArray[np.integer]
    true_pairs: Sequence[tuple[int, int]]


def true_links(
    labels_N: NDArray[np.integer], groups_N: NDArray[np.integer], settings: LinkSettings
) -> list[tuple[int, int]]:
    """All pairs of a key and a value of one group (``edge`` of the annotation), in order."""
    pairs = (
        (labels_N == settings.key_class)[:, None]
        & (labels_N == settings.value_class)
        & (groups_N[:, None] == groups_N)
    )
    keys, values = pairs.nonzero()
    return list(zip(keys.tolist(), values.tolist(), strict=True))


def openset_f1(pages: Sequence[OpensetPage], settings: LinkSettings) -> dict[str, float]:
    """``edge_openset_f1``, ``node_openset_micro_f1``, ``node_openset_macro_f1`` of all pages."""
    edge_hits = sum(
        len({(link.key, link.value) for link in page.links} & set(page.true_pairs))
        for page in pages
    )
    found = sum(len(page.links) for page in pages)
    wanted = sum(len(page.true_pairs) for page in pages)
    predicted = np.concatenate([page.classes for page in pages])
    truth = np.concatenate([page.true_classes for page in pages])
    counts = np.array(
        [
            [
                ((predicted == number) & (truth == number)).sum(),
                (predicted == number).sum(),
                (truth == number).sum(),
            ]
            for number in (settings.key_class, settings.value_class)
        ]
    )
    return {
        "edge_openset_f1": _lowered_f1(edge_hits, found, wanted),
        "node_openset_micro_f1": _lowered_f1(*counts.sum(axis=0).tolist()),
        "node_openset_macro_f1": sum(_lowered_f1(*row) for row in counts.tolist()) / len(counts),
    }


def _lowered_f1(hits: int, found: int, wanted: int) -> float:
    recall, precision = hits / max(1, wanted), hits / max(1, found)
    return 2 * recall * precision / max(1, recall + precision)
