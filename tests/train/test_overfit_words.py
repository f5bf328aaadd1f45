"""``bench.overfit_words``: every recognition config can be shortened to learn the same 64 words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import overfit_words
from ocr_models.mmocr_config import load_config, parse_cli_options
from ocrserve.train.data.build import build_datasets
from ocrserve.train.data.datasets import prepared_sample
from ocrserve.train.settings import read_settings
from ocrserve.train.synth import WordSample

NAMES = {
    path.stem: path
    for path in sorted(overfit_words.CONFIGS.glob("*/*.py"))
    if path.stem != overfit_words.OURS_ALONE
}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overfit") / "words"
    overfit_words.write_words(folder)
    return folder


def test_number_of_configs() -> None:
    assert len(NAMES) == 20


@pytest.mark.parametrize(
    ("distance", "width", "separable"),
    [(60, 40, True), (22, 40, False), (60, 4, False)],
    ids=["apart", "two pixels between their regions", "narrow"],
)
def test_words_that_a_map_can_hold(distance: int, width: int, separable: bool) -> None:
    corners = np.array([[40, 8], [40 + width, 8], [40 + width, 56], [40, 56]], np.float32)
    quads = np.stack([corners, corners + np.array([distance, 0], np.float32)])
    image = np.zeros((64, 256, 3), np.uint8)
    assert overfit_words.separable(WordSample(image, "ff", quads, corners)) is separable


def test_stages_come_in_order(tmp_path: Path) -> None:
    vision = "abinet_vision_only_academic"
    assert overfit_words.in_order(["abinet_academic", vision], tmp_path) == [
        vision, "abinet_academic",
    ]  # fmt: skip
    assert overfit_words.in_order(["abinet_academic"], tmp_path) == [vision, "abinet_academic"]
    trained = overfit_words.weights_of(vision, tmp_path)
    trained.parent.mkdir()
    trained.touch()
    assert overfit_words.in_order(["abinet_academic"], tmp_path) == ["abinet_academic"]


@pytest.mark.parametrize("name", NAMES)
def test_shortened_configs(name: str, words: Path) -> None:
    recipe = overfit_words.recipe_of(name)
    options, iterations = overfit_words.options(load_config(NAMES[name]), words, recipe)
    config = load_config(NAMES[name], parse_cli_options(options))
    settings = read_settings(config)
    data = config["data"]
    sets = len(data["train"]["datasets"])
    assert settings.max_epochs == iterations / np.ceil(64 * sets / recipe.batch_size)
    assert (
        recipe.iterations <= iterations < recipe.iterations + np.ceil(64 * sets / recipe.batch_size)
    )
    assert settings.optimizer["lr"] == recipe.learning_rate
    tested, _ = build_datasets(data["test"], training=False, seed=0)
    texts = [[part.sample(0, i).text for i in range(len(part))] for part in tested]
    assert texts == [texts[0]] * len(tested)
    assert len(texts[0]) == len(set(texts[0])) == 64
    trained, notes = build_datasets(data["train"], training=True, seed=0)
    assert notes == []
    assert sum(map(len, trained)) == 64 * sets
    for number in (0, 63):
        first, second = (
            prepared_sample(trained[-1], lambda _: None, seed=seed, epoch=0, number=number)[0]
            for seed in (0, 1)
        )
        assert first.text == texts[0][number]
        np.testing.assert_allclose(first.pixels(), second.pixels(), atol=1e-6)
