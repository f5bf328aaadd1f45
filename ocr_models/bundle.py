"""A model folder: everything a predictor needs, and nothing that can run code.

Layout::

    model.json                what the models are, hashes, limits, who made it
    detector.safetensors      weights of the detector, when there is one
    recognizer.safetensors    weights of the recogniser, when there is one

The weights that ship with the package are such folders, ``ocrserve convert`` makes them, and an
archive carries one at its root. The same models give the same bytes, so folders can be compared by
hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from ocr_models.detector import TextDetector
from ocr_models.errors import ConfigError, WeightsError
from ocr_models.images import ImageLimits
from ocr_models.ocr import OCR, OcrOptions
from ocr_models.recognizer import TextRecognizer
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec, RecognizerSpec, from_json_dict, to_json_dict
from ocr_models.weights import read_safetensors, save_safetensors, sha256_of

FORMAT = 1
MANIFEST_NAME = "model.json"
WEIGHTS_NAMES = {"detector": "detector.safetensors", "recognizer": "recognizer.safetensors"}

Task = Literal["detection", "recognition", "ocr"]
TASKS: tuple[Task, ...] = get_args(Task)
Predictor = TextDetector | TextRecognizer | OCR

_BATCH_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class ModelEntry:
    """One model of a folder.

    Args:
        spec: network, preprocessing, post-processing or codec.
        sha256: hash of its weight file, hexadecimal.
        parameters: trained numbers, without the statistics of batch normalisation.
    """

    spec: DetectorSpec | RecognizerSpec
    sha256: str
    parameters: int


@dataclass(frozen=True)
class Manifest:
    """What ``model.json`` says.

    Args:
        format: version of this layout; other versions are refused.
        task: ``"detection"``, ``"recognition"``, or ``"ocr"`` for the chain of both.
        created_by: program and version, for people.
        limits: images above these are refused before they are decoded.
        detector: given for detection and ocr.
        recognizer: given for recognition and ocr.
    """

    format: int
    task: Task
    created_by: str
    limits: ImageLimits
    detector: ModelEntry | None
    recognizer: ModelEntry | None

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ConfigError(
                f"the model folder has format {self.format}, this version reads format {FORMAT}; "
                "convert the model again, or use the version that made it "
                f"({self.created_by})"
            )
        expected = task_of(self.detector is not None, self.recognizer is not None)
        if self.task != expected:
            raise ConfigError(f"task is {self.task!r}, but the models in it make {expected!r}")
        if self.detector is not None and not isinstance(self.detector.spec, DetectorSpec):
            raise ConfigError("detector: the spec is not that of a detector")
        if self.recognizer is not None and not isinstance(self.recognizer.spec, RecognizerSpec):
            raise ConfigError("recognizer: the spec is not that of a recogniser")

    @property
    def entries(self) -> dict[str, ModelEntry]:
        """The models that are there, by role (``"detector"``, ``"recognizer"``)."""
        named = {"detector": self.detector, "recognizer": self.recognizer}
        return {role: entry for role, entry in named.items() if entry is not None}


@dataclass(frozen=True)
class Bundle:
    """A checked model folder."""

    folder: Path
    manifest: Manifest

    def weights_path(self, role: str) -> Path:
        """Weight file of ``"detector"`` or ``"recognizer"``."""
        return self.folder / WEIGHTS_NAMES[role]

    def describe(self) -> dict[str, object]:
        """Summary for people and monitoring: models, charset size, limits, hashes."""
        return {
            "task": self.manifest.task,
            "created_by": self.manifest.created_by,
            "models": {role: _summary(entry) for role, entry in self.manifest.entries.items()},
            "limits": {
                "max_bytes": self.manifest.limits.max_bytes,
                "max_pixels": self.manifest.limits.max_pixels,
            },
        }


def task_of(has_detector: bool, has_recognizer: bool) -> Task:
    """The task that a set of models makes; raises ``ConfigError`` when there is none."""
    if has_detector and has_recognizer:
        return "ocr"
    if has_detector:
        return "detection"
    if has_recognizer:
        return "recognition"
    raise ConfigError("a model folder needs a detector, a recogniser, or both; got neither")


def write_bundle(
    folder: Path,
    *,
    created_by: str,
    detector: tuple[DetectorSpec, Mapping[str, Tensor]] | None = None,
    recognizer: tuple[RecognizerSpec, Mapping[str, Tensor]] | None = None,
    limits: ImageLimits | None = None,
) -> Bundle:
    """Writes a model folder and returns it.

    Args:
        folder: made when missing; the files of the layout above are overwritten, others are kept.
        created_by: program and version, e.g. ``"ocrserve 0.1.0"``.
        detector: spec and state dict.
        recognizer: spec and state dict.
        limits: image limits; those of ``ImageLimits()`` when not given.
    """
    task = task_of(detector is not None, recognizer is not None)
    folder.mkdir(parents=True, exist_ok=True)
    entries: dict[str, ModelEntry | None] = {"detector": None, "recognizer": None}
    for role, model in (("detector", detector), ("recognizer", recognizer)):
        if model is None:
            continue
        spec, state = model
        path = folder / WEIGHTS_NAMES[role]
        save_safetensors(path, dict(state))
        entries[role] = ModelEntry(spec, sha256_of(path), _count_parameters(state))
    manifest = Manifest(
        format=FORMAT,
        task=task,
        created_by=created_by,
        limits=limits if limits is not None else ImageLimits(),
        detector=entries["detector"],
        recognizer=entries["recognizer"],
    )
    text = json.dumps(to_json_dict(manifest), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")
    return Bundle(folder, manifest)


def read_bundle(folder: Path, *, check_hashes: bool = True) -> Bundle:
    """Reads and checks a model folder.

    Raises:
        ConfigError: no such folder, or ``model.json`` is missing, broken, or of another format.
        WeightsError: a weight file is missing, or not the one that ``model.json`` describes.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise ConfigError(f"{folder} is not a model folder: it has no {MANIFEST_NAME}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    version = data.get("format") if isinstance(data, dict) else None
    if version != FORMAT:
        raise ConfigError(
            f"{path} has format {version!r}, this version reads format {FORMAT}; convert the model "
            "again, or use the version that made it"
        )
    try:
        bundle = Bundle(folder, from_json_dict(Manifest, data))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if check_hashes:
        check_weights(bundle)
    return bundle


def check_weights(bundle: Bundle) -> None:
    """Raises ``WeightsError`` when a weight file is missing or has another hash."""
    for role, entry in bundle.manifest.entries.items():
        path = bundle.weights_path(role)
        if not path.is_file():
            raise WeightsError(f"{path} is missing; copy the whole model folder, or convert again")
        actual = sha256_of(path)
        if actual != entry.sha256:
            raise WeightsError(
                f"{path} has sha256 {actual[:16]}..., but {MANIFEST_NAME} expects "
                f"{entry.sha256[:16]}...; the file is damaged or belongs to another model"
            )


def load_predictor(
    bundle: Bundle, runtime: RuntimeOptions | None = None, ocr: OcrOptions | None = None
) -> Predictor:
    """The predictor of a model folder.

    Args:
        bundle: a checked folder, from :func:`read_bundle`.
        runtime: how the networks run; the defaults of ``RuntimeOptions`` when not given.
        ocr: how the chain puts its models together; must be None for a single model.
    """
    runtime = runtime if runtime is not None else RuntimeOptions()
    task = bundle.manifest.task
    if ocr is not None and task != "ocr":
        raise ConfigError(f"chain options were given, but the folder holds a {task} model only")
    detector = recognizer = None
    for role, entry in bundle.manifest.entries.items():
        path = bundle.weights_path(role)
        state = read_safetensors(path)
        if isinstance(entry.spec, DetectorSpec):
            detector = TextDetector(entry.spec, state, runtime, source=str(path))
        else:
            recognizer = TextRecognizer(entry.spec, state, runtime, source=str(path))
    if detector is not None and recognizer is not None:
        return OCR(detector, recognizer, ocr if ocr is not None else OcrOptions())
    predictor = detector if detector is not None else recognizer
    assert predictor is not None, "Manifest guarantees at least one model"
    return predictor


def _count_parameters(state: Mapping[str, Tensor]) -> int:
    return sum(t.numel() for name, t in state.items() if not name.endswith(_BATCH_STATISTICS))


def _summary(entry: ModelEntry) -> dict[str, object]:
    summary: dict[str, object] = {
        "network": type(entry.spec.network).__name__.removesuffix("Config"),
        "parameters": entry.parameters,
        "sha256": entry.sha256,
    }
    if isinstance(entry.spec, RecognizerSpec):
        summary["charset_size"] = len(entry.spec.codec.charset)
    return summary
