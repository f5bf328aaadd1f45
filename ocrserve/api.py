"""The Python API: models by name or file, and photos to text in one call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

import ocr_models.ocr
from ocr_models import predictors
from ocr_models.entities import EntityOptions
from ocr_models.errors import ConfigError, InputError
from ocr_models.images import ImageLimits, decode_image, read_image
from ocr_models.ocr import OcrOptions
from ocr_models.predictors import Part, Predictor
from ocr_models.results import PageResult
from ocr_models.runtime import RuntimeOptions
from ocrserve.archives.build import load_models
from ocrserve.model_names import DEFAULT, ModelName, Role, model_sources

Photo = str | Path | bytes | np.ndarray


class OCR:
    """Reads photos: finds the words, reads them, and puts them in order.

    Args:
        det: the detector: ``"default"``, a model folder, one of our checkpoints, or
            ``(config, checkpoint)``.
        recog: the recogniser, likewise.
        kie: an extractor of key information, likewise; without one, words have no labels.
        options: what to keep of a page.
        runtime: how the networks run.
        limits: larger photos are refused before they are decoded.
        exif: turn photos upright by their EXIF orientation.

    Raises:
        ConfigError: no such model, or not of that kind.
        WeightsError: its weights are unreadable or do not fit.
    """

    def __init__(
        self,
        det: ModelName = DEFAULT,
        recog: ModelName = DEFAULT,
        kie: ModelName | None = None,
        *,
        options: OcrOptions | None = None,
        runtime: RuntimeOptions | None = None,
        limits: ImageLimits | None = None,
        exif: bool = True,
    ) -> None:
        names: dict[Role, ModelName] = {"detector": det, "recognizer": recog}
        if kie is not None:
            names["extractor"] = kie
        predictor = make_predictor(names, runtime=runtime, options=options)
        assert isinstance(predictor, ocr_models.ocr.OCR), "it was given both models"
        self.predictor = predictor
        self._limits = limits if limits is not None else ImageLimits()
        self._exif = exif

    def read(self, photo: Photo) -> PageResult:
        """Reads one photo.

        Args:
            photo: a path, the bytes of an image file, or uint8 (H, W, 3) BGR pixels.

        Returns:
            Words in reading order, boxes in pixels of the upright photo; with an extractor, what
            they mean as ``info``.

        Raises:
            InputError: not a photo, damaged, or above the limits.
        """
        return self.predictor.predict([to_pixels(photo, self._limits, exif=self._exif)])[0]


def load(
    model: ModelName,
    *,
    runtime: RuntimeOptions | None = None,
    options: OcrOptions | EntityOptions | None = None,
) -> Predictor:
    """The predictor of a model.

    Args:
        model: as for :class:`OCR`; ``"default"`` is the chain of both default models.
        runtime: how the networks run.
        options: of a chain, or of an entity recogniser.

    Returns:
        A ``TextDetector``, a ``TextRecognizer``, or a chain; each has ``predict(images)``. Or a
        ``KeyInfoExtractor``, which has ``predict(pages)``, or an ``EntityRecognizer``, which has
        ``predict(texts)``.
    """
    parts: dict[str, Part] = {}
    for source in model_sources(model):
        models = load_models([source])
        for role, (spec, state) in models.by_role.items():
            parts[role] = Part(spec, state, str(source.weights))
    return predictors.make_predictor(parts, runtime, options)


def make_predictor(
    names: Mapping[Role, ModelName],
    *,
    runtime: RuntimeOptions | None = None,
    options: OcrOptions | EntityOptions | None = None,
) -> Predictor:
    """The predictor of a detector, a recogniser, an extractor, a chain, or an entity recogniser.

    Args:
        names: as for :class:`OCR`, by role; of a folder that holds several models one is taken.
        runtime: how the networks run.
        options: of a chain, or of an entity recogniser.
    """
    parts: dict[str, Part] = {}
    for role, name in names.items():
        (source,) = model_sources(name, role)
        models = load_models([source])
        if role not in models.by_role:
            article = "an" if role[0] in "aeiou" else "a"
            raise ConfigError(
                f"{source.weights} is not {article} {role.replace('_', ' ')}, "
                f"but a {models.task} model"
            )
        spec, state = models.by_role[role]
        parts[role] = Part(spec, state, str(source.weights))
    return predictors.make_predictor(parts, runtime, options)


def to_pixels(photo: Photo, limits: ImageLimits, *, exif: bool) -> np.ndarray:
    """Any kind of photo as uint8 (H, W, 3) BGR; raises ``InputError``."""
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
            raise InputError(
                422,
                "not_an_image",
                f"pixels are uint8 of shape (H, W, 3), BGR; got {photo.dtype} {photo.shape}",
            )
        return photo
    if isinstance(photo, bytes):
        return decode_image(photo, limits, apply_exif=exif)
    return read_image(photo, limits, apply_exif=exif)
