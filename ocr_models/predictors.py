"""What models do together: their roles, the task that these make, and the predictor for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor

from ocr_models.detector import TextDetector
from ocr_models.entities import EntityOptions, EntityRecognizer
from ocr_models.errors import ConfigError
from ocr_models.key_info import KeyInfoExtractor
from ocr_models.ocr import OCR, OcrOptions
from ocr_models.recognizer import TextRecognizer
from ocr_models.runtime import RuntimeOptions
from ocr_models.spec import DetectorSpec, KieSpec, NerSpec, RecognizerSpec, Spec

ROLES: Mapping[type, str] = {
    DetectorSpec: "detector",
    RecognizerSpec: "recognizer",
    KieSpec: "extractor",
    NerSpec: "entity_recognizer",
}
"""What a model does among others, by the kind of its description."""

Task = Literal["detection", "recognition", "ocr", "kie", "ner"]
TASKS: tuple[Task, ...] = get_args(Task)
TASK_OF_ROLES: Mapping[frozenset[str], Task] = {
    frozenset({"detector"}): "detection",
    frozenset({"recognizer"}): "recognition",
    frozenset({"detector", "recognizer"}): "ocr",
    frozenset({"detector", "recognizer", "extractor"}): "ocr",
    frozenset({"extractor"}): "kie",
    frozenset({"entity_recognizer"}): "ner",
}
"""What models do together."""
IMAGE_TASKS: tuple[Task, ...] = ("detection", "recognition", "ocr")
"""Those whose predictors take images alone."""
ImagePredictor = TextDetector | TextRecognizer | OCR
Predictor = ImagePredictor | KeyInfoExtractor | EntityRecognizer


@dataclass(frozen=True, eq=False)
class Part:
    """One model of a predictor.

    Args:
        spec: what it is.
        state_dict: its weights.
        source: names them in error messages.
    """

    spec: Spec
    state_dict: Mapping[str, Tensor]
    source: str


def task_of(roles: Iterable[str]) -> Task:
    """The task that models of these roles make; raises ``ConfigError`` when they make none."""
    given = frozenset(roles)
    if given not in TASK_OF_ROLES:
        sets = [" and ".join(sorted(allowed)) for allowed in TASK_OF_ROLES]
        raise ConfigError(
            f"a model folder holds one of: {', '.join(sets)}; got "
            f"{' and '.join(sorted(given)) or 'none'}"
        )
    return TASK_OF_ROLES[given]


def make_predictor(
    parts: Mapping[str, Part],
    runtime: RuntimeOptions | None = None,
    options: OcrOptions | EntityOptions | None = None,
) -> Predictor:
    """The predictor that models make.

    Args:
        parts: the models by role.
        runtime: how their networks run; the defaults of ``RuntimeOptions`` when not given.
        options: of a chain, or of an entity recogniser.

    Raises:
        ConfigError: the models make no task, or the options are those of another.
        WeightsError: weights do not fit their network.
    """
    runtime = runtime if runtime is not None else RuntimeOptions()
    task = task_of(parts)
    needed = {"ocr": OcrOptions, "ner": EntityOptions}.get(task, type(None))
    if options is not None and not isinstance(options, needed):
        raise ConfigError(f"{type(options).__name__} were given, but the model is for {task}")
    entities = options if isinstance(options, EntityOptions) else EntityOptions()
    made: dict[str, Any] = {
        role: _of_one_model(part, runtime, entities) for role, part in parts.items()
    }
    if task == "ocr":
        chain = options if isinstance(options, OcrOptions) else OcrOptions()
        return OCR(made["detector"], made["recognizer"], chain, made.get("extractor"))
    (predictor,) = made.values()
    return predictor


def _of_one_model(
    part: Part, runtime: RuntimeOptions, entities: EntityOptions
) -> TextDetector | TextRecognizer | KeyInfoExtractor | EntityRecognizer:
    spec, state = part.spec, part.state_dict
    if isinstance(spec, DetectorSpec):
        return TextDetector(spec, state, runtime, source=part.source)
    if isinstance(spec, RecognizerSpec):
        return TextRecognizer(spec, state, runtime, source=part.source)
    if isinstance(spec, KieSpec):
        return KeyInfoExtractor(spec, state, runtime, source=part.source)
    return EntityRecognizer(spec, state, runtime, entities, source=part.source)
