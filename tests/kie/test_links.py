"""Links and fields; ``test_conformance.py`` has MMOCR's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from ocr_models.errors import ConfigError
from ocr_models.kie.links import LinkSettings, class_fields, find_links, linked_fields
from ocr_models.results import InfoField, Link

# Two keys (0, 1), three values (2, 3, 4), and a word that is neither (5).
CLASSES = np.array([1, 1, 2, 2, 2, 0])
SCORES = {(0, 2): 0.9, (1, 2): 0.8, (3, 1): 0.7, (0, 4): 0.6, (1, 4): 0.4, (0, 5): 1.0, (2, 3): 1.0}


def edges() -> np.ndarray:
    result = np.zeros((6, 6))
    for pair, score in SCORES.items():
        result[pair] = score
    return result


LINKS = {
    "one-to-one": [(0, 2), (1, 3)],
    "one-to-many": [(0, 2), (1, 3), (0, 4)],
    "many-to-one": [(0, 2), (1, 2)],
    "many-to-many": [(0, 2), (0, 4), (1, 2), (1, 3)],
    "none": [(0, 2), (0, 4), (1, 2), (1, 3)],
}


@pytest.mark.parametrize("link_type", LINKS)
def test_link_types(link_type: str) -> None:
    links = find_links(CLASSES, edges(), LinkSettings(link_type))  # type: ignore[arg-type]
    assert [(link.key, link.value) for link in links] == LINKS[link_type]
    assert all(link.score == max(edges()[link.key, link.value], edges()[link.value, link.key])
               for link in links)  # fmt: skip


def test_threshold_is_strict_and_classes_are_chosen() -> None:
    few = find_links(CLASSES, edges(), LinkSettings("many-to-many", min_score=0.8))
    assert few == (Link(0, 2, 0.9),)
    turned = find_links(CLASSES, edges(), LinkSettings(key_class=2, value_class=1))
    assert [(link.key, link.value) for link in turned] == [(2, 0), (3, 1)]
    assert find_links(np.zeros(0, int), np.zeros((0, 0)), LinkSettings()) == ()
    assert find_links(np.array([1]), np.ones((1, 1)), LinkSettings()) == ()


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="link_type is 'one'; allowed are one-to-one"):
        LinkSettings("one")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="same class, 2"):
        LinkSettings(key_class=2)


def test_fields_of_links() -> None:
    fields = linked_fields(["Total", "Tax", "12.50"], [Link(0, 2, 0.75)])
    assert fields == (InfoField("Total", "12.50", 0.75),)


def test_fields_of_classes() -> None:
    def box(left: float, top: float, width: float = 40) -> list[list[float]]:
        right, bottom = left + width, top + 10
        return [[left, top], [right, top], [right, bottom], [left, bottom]]

    words = [
        (box(10, 10), "The", "Store_name_value", 0.9),
        (box(55, 11), "Kettle", "Store_name_value", 0.8),
        (box(10, 40), "Total", "Total_key", 0.9),
        (box(60, 40), "12.50", "Total_value", 0.7),
        (box(10, 70), "tea", "Prod_item_value", 0.6),
        (box(300, 70), "cake", "Prod_item_value", 0.5),
        (box(10, 100), "soup", "Prod_item_value", 0.4),
        (box(10, 130), "thanks", "Others", 0.9),
        (box(60, 130), "...", "Ignore", 0.9),
    ]
    quads, texts, labels, scores = zip(*words, strict=True)
    assert class_fields(np.array(quads), texts, labels, scores) == (
        InfoField("Store_name", "The Kettle", 0.8),
        InfoField("Total", "12.50", 0.7),
        InfoField("Prod_item", "tea", 0.6),
        InfoField("Prod_item", "cake", 0.5),
        InfoField("Prod_item", "soup", 0.4),
    )
    assert class_fields(np.zeros((0, 4, 2)), (), (), ()) == ()
