"""Data sets that are rendered while they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ocr_models.errors import ConfigError

from ..augment.sample import Character, Sample
from .context import Context, Steps
from .datasets import Dataset, SyntheticDataset


def synthetic_words(
    context: Context,
    size: int,
    seed: int | None = None,
    split: str = "train",
    fonts: str = "all",
    renderer: Mapping[str, Any] | None = None,
    pipeline: Steps | None = None,
    test_mode: bool = False,
) -> list[Dataset]:
    """``SyntheticWords``: rendered word crops; ``size`` of them are an epoch."""
    from ..synth.fonts import find_fonts
    from ..synth.words import WordRenderConfig, WordRenderer

    _check_fonts(fonts, split)
    made = WordRenderer(
        find_fonts(source=fonts, split=split),  # type: ignore[arg-type]
        _dataclass_from(WordRenderConfig, renderer or {}, "renderer"),
    )
    return [_synthetic(context, made, _word_sample, size, seed, pipeline)]


def synthetic_scenes(
    context: Context,
    size: int,
    seed: int | None = None,
    split: str = "train",
    fonts: str = "all",
    renderer: Mapping[str, Any] | None = None,
    pipeline: Steps | None = None,
    test_mode: bool = False,
) -> list[Dataset]:
    """``SyntheticScenes``: rendered pictures; ``size`` of them are an epoch."""
    from ..synth.fonts import find_fonts
    from ..synth.scenes import SceneRenderConfig, SceneRenderer

    _check_fonts(fonts, split)
    made = SceneRenderer(
        find_fonts(source=fonts, split=split),  # type: ignore[arg-type]
        _dataclass_from(SceneRenderConfig, renderer or {}, "renderer"),
    )
    return [_synthetic(context, made, _scene_sample, size, seed, pipeline)]


def _check_fonts(fonts: str, split: str) -> None:
    if fonts not in ("pip", "debian", "all"):
        raise ConfigError(f"fonts must be 'pip', 'debian' or 'all', got {fonts!r}")
    if split not in ("train", "heldout", "all"):
        raise ConfigError(f"split must be 'train', 'heldout' or 'all', got {split!r}")


def _dataclass_from(cls: type[Any], settings: Mapping[str, Any], name: str) -> Any:
    """A frozen dataclass of a renderer from a config's dictionary, nested ones likewise."""
    known = {entry.name: entry for entry in dataclasses.fields(cls)}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ConfigError(f"{name} does not read {', '.join(unknown)}; it reads {', '.join(known)}")
    values: dict[str, Any] = {}
    for key, value in settings.items():
        default = known[key].default
        if dataclasses.is_dataclass(default) and isinstance(value, Mapping):
            value = _dataclass_from(type(default), value, f"{name}.{key}")
        values[key] = tuple(value) if isinstance(value, list) else value
    return cls(**values)


def _synthetic(
    context: Context,
    renderer: Any,
    to_sample: Callable[[str, Any], Sample],
    size: int,
    seed: int | None,
    pipeline: Steps | None,
) -> Dataset:
    if size < 1:
        raise ConfigError(f"size of a rendered data set must be at least 1, got {size}")
    return SyntheticDataset(
        renderer=renderer,
        to_sample=to_sample,
        size=size,
        seed=context.seed if seed is None else seed,
        fixed=not context.training,
        pipeline=context.steps(pipeline),
    )


def _word_sample(source: str, word: Any) -> Sample:
    # The renderer counts from the centre of the first pixel, samples from its corner.
    quads = np.asarray(word.char_polygons, np.float64) + 0.5
    characters = [Character(text, quad) for text, quad in zip(word.text, quads, strict=True)]
    return Sample(source=source, image=word.image, text=word.text, characters=characters)


def _scene_sample(source: str, scene: Any) -> Sample:
    return Sample(
        source=source,
        image=scene.image,
        polygons=[np.asarray(w.polygon, np.float64) for w in scene.words if not w.ignore],
        ignored=[np.asarray(w.polygon, np.float64) for w in scene.words if w.ignore],
    )
