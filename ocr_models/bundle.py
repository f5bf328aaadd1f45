"""A model folder: everything a predictor needs, and nothing that can run code.

Layout::

    model.json                what the models are, hashes, limits, who made it
    detector.safetensors      weights of the detector, when there is one
    recognizer.safetensors    weights of the recogniser, when there is one
    extractor.safetensors     weights of the extractor of key information, when there is one
    entity_recognizer.safetensors    weights of the entity recogniser, when there is one

The weights that ship with the package are such folders, ``ocrserve convert`` makes them, and an
archive carries one at its root. The same models give the same bytes, so folders can be compared by
hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ocr_models.entities import EntityOptions
from ocr_models.errors import ConfigError, WeightsError
from ocr_models.images import ImageLimits
from ocr_models.ocr import OcrOptions
from ocr_models.predictors import ROLES, Part, Predictor, Task, make_predictor, task_of
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import (
    DetectorSpec,
    KieSpec,
    NerSpec,
    RecognizerSpec,
    Spec,
    from_json_dict,
    to_json_dict,
)
from ocr_models.weights import read_safetensors, save_safetensors, sha256_of

FORMAT = 1
MANIFEST_NAME = "model.json"
Model = tuple[Spec, Mapping[str, Tensor]]
"""A model's description and weights."""

_BATCH_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class ModelEntry:
    """One model of a folder.

    Args:
        spec: network, preprocessing, post-processing or codec.
        sha256: hash of its weight file, hexadecimal.
        parameters: trained numbers, without the statistics of batch normalisation.
    """

    spec: Spec
    sha256: str
    parameters: int


@dataclass(frozen=True)
class Manifest:
    """What ``model.json`` says.

    Args:
        format: version of this layout; other versions are refused.
        task: ``"detection"``, ``"recognition"``, ``"ocr"`` for the chain of both, with or without
            an extractor, ``"kie"``, or ``"ner"``.
        created_by: program and version, for people.
        limits: images above these are refused before they are decoded.
        detector: given for detection and ocr.
        recognizer: given for recognition and ocr.
        extractor: given for kie, and for ocr where words are labelled.
        entity_recognizer: given for ner.
    """

    format: int
    task: Task
    created_by: str
    limits: ImageLimits
    detector: ModelEntry | None
    recognizer: ModelEntry | None
    extractor: ModelEntry | None
    entity_recognizer: ModelEntry | None

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ConfigError(
                f"the model folder has format {self.format}, this version reads format {FORMAT}; "
                "convert the model again, or use the version that made it "
                f"({self.created_by})"
            )
        expected = task_of(self.entries)
        if self.task != expected:
            raise ConfigError(f"task is {self.task!r}, but the models in it make {expected!r}")
        for role, entry in self.entries.items():
            if ROLES[type(entry.spec)] != role:
                raise ConfigError(f"{role}: the spec is that of a {ROLES[type(entry.spec)]}")

    @property
    def entries(self) -> dict[str, ModelEntry]:
        """The models that are there, by role (a value of ``ROLES``)."""
        named = {role: getattr(self, role) for role in ROLES.values()}
        return {role: entry for role, entry in named.items() if entry is not None}


@dataclass(frozen=True)
class Bundle:
    """A checked model folder."""

    folder: Path
    manifest: Manifest

    def weights_path(self, role: str) -> Path:
        """Weight file of the model with that role."""
        return self.folder / weights_name(role)

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


def weights_name(role: str) -> str:
    """Name of a role's weight file."""
    return f"{role}.safetensors"


def write_bundle(
    folder: Path,
    *,
    created_by: str,
    detector: tuple[DetectorSpec, Mapping[str, Tensor]] | None = None,
    recognizer: tuple[RecognizerSpec, Mapping[str, Tensor]] | None = None,
    extractor: tuple[KieSpec, Mapping[str, Tensor]] | None = None,
    entity_recognizer: tuple[NerSpec, Mapping[str, Tensor]] | None = None,
    limits: ImageLimits | None = None,
) -> Bundle:
    """Writes a model folder and returns it.

    Args:
        folder: made when missing; the files of the layout above are overwritten, others are kept.
        created_by: program and version, e.g. ``"ocrserve 0.1.0"``.
        detector: spec and state dict.
        recognizer: spec and state dict.
        extractor: spec and state dict.
        entity_recognizer: spec and state dict.
        limits: image limits; those of ``ImageLimits()`` when not given.
    """
    models: dict[str, Model | None] = {
        "detector": detector,
        "recognizer": recognizer,
        "extractor": extractor,
        "entity_recognizer": entity_recognizer,
    }
    task = task_of(role for role, model in models.items() if model is not None)
    folder.mkdir(parents=True, exist_ok=True)
    entries: dict[str, ModelEntry | None] = dict.fromkeys(models)
    for role, model in models.items():
        if model is None:
            continue
        spec, state = model
        path = folder / weights_name(role)
        save_safetensors(path, dict(state))
        entries[role] = ModelEntry(spec, sha256_of(path), _count_parameters(state))
    manifest = Manifest(
        format=FORMAT,
        task=task,
        created_by=created_by,
        limits=limits if limits is not None else ImageLimits(),
        **entries,
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
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    version = data.get("format") if isinstance(data, dict) else None
    if version != FORMAT:
        raise ConfigError(
            f"{path} has format {version!r}, this version reads format {FORMAT}; convert the model "
            "again, or use the version that made it"
        )
    try:
        # Folders that were written before a role existed do not name it.
        bundle = Bundle(folder, from_json_dict(Manifest, dict.fromkeys(ROLES.values()) | data))
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
    bundle: Bundle,
    runtime: RuntimeOptions | None = None,
    ocr: OcrOptions | None = None,
    entities: EntityOptions | None = None,
) -> Predictor:
    """The predictor of a model folder.

    Args:
        bundle: a checked folder, from :func:`read_bundle`.
        runtime: how the networks run; the defaults of ``RuntimeOptions`` when not given.
        ocr: how the chain puts its models together; must be None for a single model.
        entities: what an entity recogniser does with long texts; must be None for other models.
    """
    task = bundle.manifest.task
    if ocr is not None and task != "ocr":
        raise ConfigError(f"chain options were given, but the folder holds a {task} model only")
    if entities is not None and task != "ner":
        raise ConfigError(f"options of ner were given, but the folder holds a model for {task}")
    parts = {}
    for role, entry in bundle.manifest.entries.items():
        path = bundle.weights_path(role)
        parts[role] = Part(entry.spec, read_safetensors(path), str(path))
    return make_predictor(parts, runtime, ocr if ocr is not None else entities)


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
    if isinstance(entry.spec, KieSpec):
        summary["charset_size"] = len(entry.spec.characters)
        summary["classes"] = list(entry.spec.class_names)
        summary["links"] = entry.spec.links is not None
    if isinstance(entry.spec, NerSpec):
        codec = entry.spec.codec
        summary["vocabulary_size"] = len(codec.vocabulary)
        summary["categories"] = list(codec.categories)
        summary["max_characters"] = codec.max_characters
    return summary
