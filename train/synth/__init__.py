"""Rendered text for training: words and scenes with exact labels, from fonts and a seed."""

from .corpus import CHARSET, Corpus, CorpusConfig
from .fonts import (
    DEBIAN_FONT_PACKAGES,
    HELDOUT_FAMILIES,
    PIP_FONT_PACKAGES,
    FontError,
    FontFace,
    find_fonts,
)
from .receipts import Receipt, ReceiptBox, ReceiptConfig, ReceiptRenderer
from .scenes import SceneRenderConfig, SceneRenderer, SceneSample, SceneWord
from .words import WordRenderConfig, WordRenderer, WordSample

__all__ = [
    "CHARSET",
    "DEBIAN_FONT_PACKAGES",
    "HELDOUT_FAMILIES",
    "PIP_FONT_PACKAGES",
    "Corpus",
    "CorpusConfig",
    "FontError",
    "FontFace",
    "Receipt",
    "ReceiptBox",
    "ReceiptConfig",
    "ReceiptRenderer",
    "SceneRenderConfig",
    "SceneRenderer",
    "SceneSample",
    "SceneWord",
    "WordRenderConfig",
    "WordRenderer",
    "WordSample",
    "find_fonts",
]
