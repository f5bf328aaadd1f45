import cv2
import numpy as np
import pytest

from ocr_models.errors import ConfigError
from ocrserve.train.synth import FontFace, SceneRenderConfig, SceneRenderer
from ocrserve.train.synth.corpus import Corpus
from ocrserve.train.synth.geometry import Bend, apply_homography, quad_to_quad, rectangle
from ocrserve.train.synth.lettering import Lettering
from ocrserve.train.synth.panels import PANEL_KINDS, Panel, PanelPainter
from ocrserve.train.synth.scenes import _paste
from ocrserve.train.synth.words import group_by_family


def _painter(fonts: tuple[FontFace, ...]) -> PanelPainter:
    return PanelPainter(group_by_family(fonts), Corpus(), Lettering())


@pytest.mark.parametrize("bend", [None, Bend(160.0, 50.0, 190.0), Bend(160.0, 50.0, -240.0)])
def test_words_lie_where_they_are_labelled(
    pip_fonts: tuple[FontFace, ...], bend: Bend | None
) -> None:
    """White words written on a black board, placed in perspective, one word at a time."""
    painter = _painter(pip_fonts)
    quad = np.array([[30, 40], [420, 10], [440, 230], [10, 260]], dtype=np.float32)
    homography = quad_to_quad(rectangle(0, 0, 399, 199), quad)
    white = np.full(3, 255, dtype=np.float32)
    for text in ("Right", "here,", "no-where"):
        panel = Panel(np.zeros((200, 400, 3), np.float32), np.ones((200, 400), np.float32))
        line = painter.set_words([text], pip_fonts[2], 44.0)
        painter.write(panel, line, 60.0, 110.0, white, bend=bend)
        (word,) = panel.words
        assert word.text == text
        canvas = np.zeros((280, 460, 3), dtype=np.float32)
        _paste(np.random.default_rng(0), canvas, panel, homography, quad, board=False)
        ink = canvas[..., 0] > 100
        rows, columns = np.nonzero(ink)
        polygon = apply_homography(homography, word.polygon)
        contour = polygon.reshape(-1, 1, 2)
        inside = [
            cv2.pointPolygonTest(contour, (float(x), float(y)), True)
            for x, y in zip(columns, rows, strict=True)
        ]
        assert min(inside) > -1.5
        chars = apply_homography(homography, word.char_polygons.reshape(-1, 2)).reshape(-1, 4, 2)
        cover = np.zeros(ink.shape, dtype=np.uint8)
        for char in chars:
            single = np.zeros_like(cover)
            cv2.fillPoly(single, [np.round(char).astype(np.int32)], (1,))
            assert ink[single > 0].mean() > 0.12, "a character's box without its ink"
            cover |= single
        grown = cv2.dilate(cover, np.ones((3, 3), np.uint8))
        assert not (ink & (grown == 0)).any()


def test_scenes_keep_their_promises(pip_fonts: tuple[FontFace, ...]) -> None:
    config = SceneRenderConfig(size=(320, 416))
    renderer = SceneRenderer(pip_fonts, config)
    heights, points, total, ignored, many_sided = [], [], 0, 0, 0
    for seed in range(20):
        scene = renderer.render(seed)
        assert scene.image.shape == (320, 416, 3)
        assert scene.image.dtype == np.uint8
        for word in scene.words:
            total += 1
            ignored += word.ignore
            assert word.text
            assert " " not in word.text
            assert word.char_polygons.shape == (len(word.text), 4, 2)
            assert word.polygon.dtype == np.float32
            assert len(word.polygon) >= 4
            assert len(word.polygon) % 2 == 0
            assert cv2.contourArea(word.polygon, oriented=True) > 0
            many_sided += len(word.polygon) > 4
            if not word.ignore:
                half = len(word.polygon) // 2
                heights.append(np.linalg.norm(word.polygon[0] - word.polygon[-1]))
                points.append(word.polygon)
                assert np.linalg.norm(word.polygon[half - 1] - word.polygon[half]) >= 7.9
    assert total > 100
    assert many_sided >= 3
    assert 0 < ignored < 0.4 * total
    assert min(heights) >= 7.9
    assert max(heights) > 40
    everywhere = np.concatenate(points)
    assert (everywhere.min(axis=0) > -5).all()
    assert (everywhere.max(axis=0) < [421, 325]).all()


def test_words_do_not_cover_each_other(pip_fonts: tuple[FontFace, ...]) -> None:
    """Outlines may touch where ascenders and descenders meet; more is a word painted over."""
    renderer = SceneRenderer(pip_fonts, SceneRenderConfig(size=(320, 320)))
    pairs = overlaps = 0
    for seed in range(12):
        masks = []
        for word in renderer.render(seed).words:
            mask = np.zeros((320, 320), dtype=np.uint8)
            cv2.fillPoly(mask, [np.round(word.polygon).astype(np.int32)], (1,))
            masks.append(mask.astype(bool))
        for i, first in enumerate(masks):
            for second in masks[i + 1 :]:
                smaller = min(first.sum(), second.sum())
                if smaller:
                    pairs += 1
                    overlaps += (first & second).sum() > 0.5 * smaller
    assert pairs > 300
    assert overlaps <= 0.005 * pairs


def test_the_same_seed_gives_the_same_bytes(pip_fonts: tuple[FontFace, ...]) -> None:
    config = SceneRenderConfig(size=(256, 256))
    first, second = SceneRenderer(pip_fonts, config), SceneRenderer(pip_fonts[::-1], config)
    second.render(77)
    for seed in range(4):
        a, b = first.render(seed), second.render(seed)
        assert a.image.tobytes() == b.image.tobytes()
        assert [w.text for w in a.words] == [w.text for w in b.words]
        assert all(
            v.polygon.tobytes() == w.polygon.tobytes()
            for v, w in zip(a.words, b.words, strict=True)
        )


@pytest.mark.parametrize("kind", [kind for _, kind in PANEL_KINDS], ids=lambda kind: kind.__name__)
def test_every_kind_of_panel_writes(pip_fonts: tuple[FontFace, ...], kind) -> None:  # type: ignore[no-untyped-def]
    painter = _painter(pip_fonts)
    written = 0
    for seed in range(4):
        panel = kind(painter, np.random.default_rng(seed), 300, 240)
        assert panel.image.shape[:2] == panel.alpha.shape
        assert np.isfinite(panel.image).all()
        assert panel.alpha.min() >= 0
        assert panel.alpha.max() <= 1
        written += len(panel.words)
    assert written >= 4


def test_there_are_six_kinds_of_panel() -> None:
    assert len(PANEL_KINDS) == 6


def test_some_scenes_are_empty(pip_fonts: tuple[FontFace, ...]) -> None:
    renderer = SceneRenderer(pip_fonts, SceneRenderConfig(size=(128, 128), empty_ratio=1.0))
    assert renderer.render(0).words == ()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"size": (32, 640)}, "at least 64"),
        ({"max_panels": 0}, "max_panels is 0"),
        ({"max_difficulty": -0.1}, "max_difficulty is -0.1"),
    ],
)
def test_bad_configurations_are_refused(changes: dict[str, object], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        SceneRenderConfig(**changes)  # type: ignore[arg-type]
