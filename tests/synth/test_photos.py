"""Photographs behind scenes: found, split, and without effect where there are none."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ocr_models.errors import ConfigError
from ocrserve.train.synth import FontFace, SceneRenderConfig, SceneRenderer
from ocrserve.train.synth import photos as photos_module
from ocrserve.train.synth.export import export_scenes
from ocrserve.train.synth.photos import (
    HELDOUT_PHOTOS,
    PHOTO_PACKAGES,
    PHOTOS,
    PhotoError,
    find_photos,
    photo_window,
)


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stand-ins for every listed picture, each of one colour of its own."""
    files = [file for group in PHOTOS.values() for file in group]
    for index, file in enumerate(files):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((90, 160, 3), 10 * index, np.uint8))
    monkeypatch.setattr(photos_module, "_ROOT", tmp_path)
    return tmp_path


def test_pictures_are_split_by_name(pictures: Path) -> None:
    train, heldout = set(find_photos("train")), set(find_photos("heldout"))
    assert {str(path.relative_to(pictures)) for path in heldout} == HELDOUT_PHOTOS
    assert not train & heldout
    assert len(train | heldout) == sum(len(files) for files in PHOTOS.values())


def test_missing_packages_are_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(photos_module, "_ROOT", tmp_path)
    with pytest.raises(PhotoError) as error:
        find_photos("train")
    message = str(error.value)
    assert "apt-get install" in message
    assert all(package in message for package in PHOTO_PACKAGES)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(PhotoError, match="'test'"):
        find_photos("test")  # type: ignore[arg-type]


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    with pytest.raises(PhotoError, match=r"broken\.jpg"):
        photo_window(np.random.default_rng(0), [broken], 64, 64)


@pytest.mark.parametrize("size", [(64, 200), (200, 64), (640, 480)])
def test_windows_have_the_size_asked_for(pictures: Path, size: tuple[int, int]) -> None:
    width, height = size
    for seed in range(5):
        window = photo_window(np.random.default_rng(seed), find_photos("train"), width, height)
        assert window.shape == (height, width, 3)
        assert window.dtype == np.float32
        assert window.min() >= 0
        assert window.max() <= 255


def test_a_photograph_is_the_background(
    pip_fonts: tuple[FontFace, ...], pictures: Path, tmp_path: Path
) -> None:
    green = tmp_path / "green.png"
    cv2.imwrite(str(green), np.full((90, 160, 3), (0, 200, 0), np.uint8))
    config = SceneRenderConfig(size=(128, 128), empty_ratio=1.0, max_difficulty=0.0, photo_ratio=1)
    scene = SceneRenderer(pip_fonts, config, [green]).render(3)
    blue, level, red = np.median(scene.image.reshape(-1, 3), axis=0)
    assert level > 80
    assert max(blue, red) < 10


def test_poor_light_is_dark(pip_fonts: tuple[FontFace, ...]) -> None:
    size = (160, 160)
    day = SceneRenderer(pip_fonts, SceneRenderConfig(size=size))
    night = SceneRenderer(pip_fonts, SceneRenderConfig(size=size, dark_ratio=1.0))
    seeds = range(6)
    bright = np.mean([day.render(seed).image.mean() for seed in seeds])
    dark = np.mean([night.render(seed).image.mean() for seed in seeds])
    assert dark < 0.7 * bright


@pytest.mark.parametrize(
    "values", [{"dark_ratio": 1.5}, {"photo_ratio": -0.1}, {"smallest_panel_ratio": 0.01}]
)
def test_wrong_settings_are_named(values: dict[str, float]) -> None:
    (name,) = values
    with pytest.raises(ConfigError, match=name):
        SceneRenderConfig(**values)  # type: ignore[arg-type]


def test_street_scenes_are_exported(pictures: Path, tmp_path: Path) -> None:
    arguments = {"split": "train", "count": 2, "size": (128, 128), "fonts": "pip"}
    plain = export_scenes(tmp_path / "plain", **arguments)  # type: ignore[arg-type]
    street = export_scenes(tmp_path / "street", **arguments, style="street")  # type: ignore[arg-type]
    assert plain.name == street.name == "instances_train.json"
    names = sorted(path.name for path in (tmp_path / "street/imgs").iterdir())
    assert names == ["train_000000.jpg", "train_000001.jpg"]
    assert any(
        (tmp_path / "plain/imgs" / name).read_bytes()
        != (tmp_path / "street/imgs" / name).read_bytes()
        for name in names
    )
