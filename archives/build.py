"""From models, wherever they come from, to an archive.

A model comes as

* a model folder (``model.json`` and safetensors), which may hold several models,
* a checkpoint of ours, which knows its own architecture, or
* an MMOCR config and a checkpoint.

One model makes an archive of its own task (detection, recognition, kie or ner); a detector and a
recogniser make a chain, which an extractor of key information may join.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from torch import Tensor

from ocr_models.bundle import Bundle, Model, load_predictor, read_bundle, write_bundle
from ocr_models.errors import ConfigError
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.images import ImageLimits
from ocr_models.mmocr_config import load_config
from ocr_models.predictors import ROLES, Task, task_of
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import (
    DetectorSpec,
    KieSpec,
    NerSpec,
    RecognizerSpec,
    Spec,
    from_json_dict,
)
from ocr_models.weights import Checkpoint, load_checkpoint, read_safetensors
from ocrserve import __version__

from .model_config import ModelConfig, default_model_config, load_model_config
from .package import write_archive

CREATED_BY = f"ocrserve {__version__}"


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from.

    Args:
        weights: a checkpoint file, or a model folder.
        config: MMOCR config of the checkpoint; not needed for our own checkpoints and folders.
        options: dotted keys and values laid over the config (``--cfg-options``).
    """

    weights: Path
    config: Path | None = None
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedModels:
    """Specs and weights by role; at least one of them."""

    detector: tuple[DetectorSpec, Mapping[str, Tensor]] | None = None
    recognizer: tuple[RecognizerSpec, Mapping[str, Tensor]] | None = None
    extractor: tuple[KieSpec, Mapping[str, Tensor]] | None = None
    entity_recognizer: tuple[NerSpec, Mapping[str, Tensor]] | None = None

    @property
    def by_role(self) -> dict[str, Model]:
        """The models that are there."""
        named = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {role: model for role, model in named.items() if model is not None}

    @property
    def task(self) -> Task:
        """The task they make together."""
        return task_of(self.by_role)


def build_archive(
    sources: Sequence[ModelSource],
    output_folder: Path,
    *,
    model_name: str,
    model_version: str = "1.0",
    model_config: Path | ModelConfig | None = None,
    limits: ImageLimits | None = None,
    force: bool = False,
) -> Path:
    """Builds ``output_folder/model_name.mar`` and returns its path.

    The weights are loaded into the network once before anything is written, so an archive that
    exists is one that loads. Nothing of a source is executed.

    Args:
        sources: one model, or those of a chain, in any order.
        output_folder: made when missing.
        model_name: name in TorchServe and of the file.
        model_version: for TorchServe.
        model_config: settings, or a ``model-config.yaml`` file with them; good defaults otherwise.
        limits: image limits; those of ``ImageLimits()`` when not given.
        force: replace an existing archive.

    Raises:
        ConfigError: a config, setting, name, or combination of models is wrong.
        WeightsError: a checkpoint is unreadable, unsafe, or does not fit its config.
    """
    models = load_models(sources)
    if model_config is None:
        settings = default_model_config(models.task)
    elif isinstance(model_config, Path):
        settings = load_model_config(model_config, models.task)
    else:
        settings = model_config
    with tempfile.TemporaryDirectory(prefix="ocrserve-build-") as scratch:
        bundle = build_bundle(models, Path(scratch), limits)
        return write_archive(
            output_folder,
            bundle,
            settings,
            model_name=model_name,
            model_version=model_version,
            force=force,
        )


def build_bundle(models: LoadedModels, folder: Path, limits: ImageLimits | None = None) -> Bundle:
    """Writes a model folder and proves that its weights fit their networks."""
    bundle = write_bundle(
        folder,
        created_by=CREATED_BY,
        detector=models.detector,
        recognizer=models.recognizer,
        extractor=models.extractor,
        entity_recognizer=models.entity_recognizer,
        limits=limits,
    )
    load_predictor(bundle, RuntimeOptions(kind="torch", device="cpu"))
    return bundle


def load_models(sources: Sequence[ModelSource]) -> LoadedModels:
    """Reads all sources and puts them together.

    Raises:
        ConfigError, WeightsError: as for :func:`build_archive`.
    """
    if not sources:
        raise ConfigError(
            "give a model: a checkpoint, a config and a checkpoint, or a model folder"
        )
    together: dict[str, Model] = {}
    for source in sources:
        for role, model in load_source(source).by_role.items():
            if role in together:
                raise ConfigError(
                    f"two {role}s were given, the second is {source.weights}; an archive holds one "
                    "detector, one recogniser, one extractor (kie), or a chain of them"
                )
            together[role] = model
    return _models(together)


def load_source(source: ModelSource) -> LoadedModels:
    """Reads one source; raises ``ConfigError`` or ``WeightsError``."""
    if source.weights.is_dir():
        return _from_folder(source)
    checkpoint = load_checkpoint(source.weights)
    if source.config is not None:
        spec = model_from_mmocr(load_config(source.config, source.options))
    else:
        spec = stored_spec(checkpoint, source.weights)
    return _models({ROLES[type(spec)]: (spec, checkpoint.state_dict)})


def stored_spec(checkpoint: Checkpoint, path: Path) -> Spec:
    """What one of our own checkpoints says about its model (the trainer writes it as JSON).

    Raises:
        ConfigError: it says nothing, or what it says is of another version.
    """
    text = checkpoint.meta.get("spec")
    if not isinstance(text, str):
        raise ConfigError(
            f"{path} does not say what model it is for; give its config as well: "
            "ocrserve convert CONFIG CHECKPOINT"
        )
    try:
        stored = json.loads(text)
        kind = stored.get("kind") if isinstance(stored, dict) else None
        classes = {cls.__name__: cls for cls in ROLES}
        return from_json_dict(classes.get(str(kind), RecognizerSpec), stored)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _from_folder(source: ModelSource) -> LoadedModels:
    if source.config is not None or source.options:
        raise ConfigError(
            f"{source.weights} is a model folder, which has its own config; give it alone"
        )
    bundle = read_bundle(source.weights)
    return _models(
        {
            role: (entry.spec, read_safetensors(bundle.weights_path(role)))
            for role, entry in bundle.manifest.entries.items()
        }
    )


def _models(by_role: Mapping[str, Model]) -> LoadedModels:
    return LoadedModels(**by_role)  # type: ignore[arg-type]  # ROLES pairs them with their specs
