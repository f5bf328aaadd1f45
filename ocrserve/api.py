"""The Python API: models by name or file, and photos to text in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

import ocr_models.ocr
from ocr_models.bundle import Predictor
from ocr_models.detector import TextDetector
from ocr_models.errors import ConfigError, InputError
from ocr_models.images import ImageLimits, decode_image, read_image
from ocr_models.ocr import OcrOptions
from ocr_models.recognizer import TextRecognizer
from ocr_models.results import PageResult
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec, Spec
from ocrserve.archives.build import load_models
from ocrserve.model_names import DEFAULT, ROLES, ModelName, Role, model_sources

Photo = str | Path | bytes | np.ndarray


class OCR:
    """Reads photos: finds the words, reads them, and puts them in order.

    Args:
        det: the detector: ``"default"``, a model folder, one of our checkpoints, or
            ``(config, checkpoint)``.
        recog: the recogniser, likewise.
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
        *,
        options: OcrOptions | None = None,
        runtime: RuntimeOptions | None = None,
        limits: ImageLimits | None = None,
        exif: bool = True,
    ) -> None:
        names: dict[Role, ModelName] = {"detector": det, "recognizer": recog}
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
            Words in reading order, boxes in pixels of the upright photo.

        Raises:
            InputError: not a photo, damaged, or above the limits.
        """
        return self.predictor.predict([to_pixels(photo, self._limits, exif=self._exif)])[0]


def load(
    model: ModelName,
    *,
    runtime: RuntimeOptions | None = None,
    options: OcrOptions | None = None,
) -> Predictor:
    """The predictor of a model.

    Args:
        model: as for :class:`OCR`; ``"default"`` is the chain of both default models.
        runtime: how the networks run.
        options: of a chain.

    Returns:
        A ``TextDetector``, a ``TextRecognizer``, or the chain of both; each has
        ``predict(images)``.
    """
    parts: dict[Role, _Part] = {}
    for source in model_sources(model):
        models = load_models([source])
        for role in ROLES:
            if (found := getattr(models, role)) is not None:
                spec, state = found
                parts[role] = _Part(spec, state, str(source.weights))
    return _assemble(parts, runtime, options)


def make_predictor(
    names: Mapping[Role, ModelName],
    *,
    runtime: RuntimeOptions | None = None,
    options: OcrOptions | None = None,
) -> Predictor:
    """The predictor of a detector, a recogniser, or the chain of both.

    Args:
        names: as for :class:`OCR`, by role; of a folder that holds both models one is taken.
        runtime: how the networks run.
        options: of a chain.
    """
    parts: dict[Role, _Part] = {}
    for role, name in names.items():
        (source,) = model_sources(name, role)
        models = load_models([source])
        found = getattr(models, role)
        if found is None:
            raise ConfigError(f"{source.weights} is not a {role}, but a {models.task} model")
        spec, state = found
        parts[role] = _Part(spec, state, str(source.weights))
    return _assemble(parts, runtime, options)


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


@dataclass(frozen=True, eq=False)
class _Part:
    """One model, and the file to name when its weights do not fit."""

    spec: Spec
    state: Mapping[str, Tensor]
    source: str


def _assemble(
    parts: Mapping[Role, _Part], runtime: RuntimeOptions | None, options: OcrOptions | None
) -> Predictor:
    runtime = runtime if runtime is not None else RuntimeOptions()
    detector = recognizer = None
    for part in parts.values():
        if isinstance(part.spec, DetectorSpec):
            detector = TextDetector(part.spec, part.state, runtime, source=part.source)
        else:
            recognizer = TextRecognizer(part.spec, part.state, runtime, source=part.source)
    if detector is not None and recognizer is not None:
        chain_options = options if options is not None else OcrOptions()
        return ocr_models.ocr.OCR(detector, recognizer, chain_options)
    if options is not None:
        raise ConfigError("options of a chain were given, but there is one model only")
    predictor = detector if detector is not None else recognizer
    assert predictor is not None, "load_models() returns at least one"
    return predictor
