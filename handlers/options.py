"""Options of a handler: the ``handler:`` section of an archive's ``model-config.yaml``.

They are checked when the archive is built and again when it is loaded. ``None`` always means "not
set": the limit of the model folder, the default of the predictor, or what the machine has.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ocr_models.entities import EntityOptions
from ocr_models.errors import ConfigError
from ocr_models.images import ImageLimits
from ocr_models.ocr import OcrOptions
from ocr_models.predictors import IMAGE_TASKS, TASKS, Task
from ocr_models.runtime import RuntimeOptions

from .bodies import MAX_BYTES_CEILING

_CHAIN: tuple[Task, ...] = ("ocr",)
_FINDS_BOXES: tuple[Task, ...] = ("detection", "ocr")
_TAKES_BOXES: tuple[Task, ...] = ("kie",)
_IMAGES: tuple[Task, ...] = (*IMAGE_TASKS, "kie")
_TEXTS: tuple[Task, ...] = ("ner",)


def _option(
    help: str,
    *,
    tasks: tuple[Task, ...] = TASKS,
    low: float | None = None,
    high: float | None = None,
    default: object = None,
) -> typing.Any:
    metadata = {"help": help, "tasks": tasks, "low": low, "high": high}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class HandlerOptions:
    """Checked options of one handler; see the metadata of each field for tasks and ranges."""

    min_score: float | None = _option(
        "leave out results that score lower: boundaries of a detector, words of a chain (by their "
        "text score)",
        tasks=_FINDS_BOXES,
        low=0.0,
        high=1.0,
    )
    min_probability: float | None = _option(
        "leave out words whose mean character probability is lower; unlike scores it means the "
        "same with every recogniser",
        tasks=_CHAIN,
        low=0.0,
        high=1.0,
    )
    min_box_score: float | None = _option(
        "leave out boxes that score lower, before they are read", tasks=_CHAIN, low=0.0, high=1.0
    )
    max_crops: int | None = _option(
        "read at most this many boxes of an image, those with the highest scores",
        tasks=_CHAIN,
        low=1,
        high=100_000,
    )
    merge_lines: bool | None = _option("merge the words of a line into one result", tasks=_CHAIN)
    max_boxes: int = _option(
        "refuse pages with more boxes; memory grows with their square, 2.2 GB for 1000",
        tasks=_TAKES_BOXES,
        low=1,
        high=10_000,
        default=1000,
    )
    max_pixels: int | None = _option(
        "refuse images with more pixels (width x height), before they are decoded",
        tasks=_IMAGES,
        low=1,
        high=1_000_000_000,
    )
    max_bytes: int | None = _option(
        "refuse images that are larger as a file (after base64)",
        tasks=_IMAGES,
        low=1,
        high=MAX_BYTES_CEILING,
    )
    long_text: Literal["refuse", "windows"] | None = _option(
        "refuse texts longer than the model reads at once, or read them in overlapping windows",
        tasks=_TEXTS,
    )
    max_characters: int | None = _option(
        "refuse texts with more characters in any case", tasks=_TEXTS, low=1, high=10_000_000
    )
    details: bool = _option(
        "add `width`, `height` (detection), `rotation` (recognition), `text`, `lines` (ocr), "
        "`score` (ner)",
        tasks=(*IMAGE_TASKS, *_TEXTS),
        default=False,
    )
    threads: int | None = _option(
        "CPU threads of a worker; not set: `OMP_NUM_THREADS`, else cores / maxWorkers",
        low=1,
        high=1024,
    )
    runtime: Literal["auto", "torch", "onnxruntime", "openvino"] = _option(
        "what runs the networks", default="auto"
    )
    precision: Literal["auto", "float32", "bfloat16"] = _option(
        "number format of the networks", default="auto"
    )

    def image_limits(self, folder_limits: ImageLimits) -> ImageLimits:
        """Limits of the model folder, where no option sets another."""
        chosen = {"max_pixels": self.max_pixels, "max_bytes": self.max_bytes}
        given = {name: limit for name, limit in chosen.items() if limit is not None}
        return dataclasses.replace(folder_limits, **given)

    def ocr_options(self) -> OcrOptions:
        """Options of the chain."""
        chosen = {
            "min_box_score": self.min_box_score,
            "min_text_score": self.min_score,
            "min_text_probability": self.min_probability,
            "max_crops": self.max_crops,
            "merge_lines": self.merge_lines,
        }
        given: dict[str, typing.Any] = {k: v for k, v in chosen.items() if v is not None}
        return dataclasses.replace(OcrOptions(), **given)

    def entity_options(self) -> EntityOptions:
        """What an entity recogniser does with long texts."""
        chosen = {"long_text": self.long_text, "max_characters": self.max_characters}
        given: dict[str, typing.Any] = {k: v for k, v in chosen.items() if v is not None}
        return dataclasses.replace(EntityOptions(), **given)

    def runtime_options(self, *, device: str, threads: int) -> RuntimeOptions:
        """How the networks run on ``device`` with ``threads`` CPU threads."""
        return RuntimeOptions(self.runtime, device, self.precision, threads)


def option_fields(task: Task) -> list[dataclasses.Field]:
    """The options that mean something for ``task``, in documented order."""
    fields = dataclasses.fields(HandlerOptions)
    return [field for field in fields if task in field.metadata["tasks"]]


def parse_options(section: object, task: Task) -> HandlerOptions:
    """Checks the ``handler:`` section of a ``model-config.yaml``.

    Raises:
        ConfigError: unknown or unsuitable key (with a suggestion), wrong type, out of range.
    """
    if section is None:
        return HandlerOptions()
    if not isinstance(section, Mapping):
        raise ConfigError(f"handler: expected a mapping of options, got {section!r:.80}")
    known = {field.name: field for field in option_fields(task)}
    everywhere = {field.name for field in dataclasses.fields(HandlerOptions)}
    for key, value in section.items():
        if key not in known:
            raise ConfigError(_unknown_option(str(key), task, sorted(known), everywhere))
        _check_value(known[key], value)
    return HandlerOptions(**section)


def _unknown_option(key: str, task: Task, known: list[str], everywhere: set[str]) -> str:
    if key in everywhere:
        return f"handler: option {key!r} means nothing for {task}. Options: {', '.join(known)}"
    near = difflib.get_close_matches(key, known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"handler: unknown option {key!r}.{hint} Options: {', '.join(known)}"


def _check_value(field: dataclasses.Field, value: object) -> None:
    hint = typing.get_type_hints(HandlerOptions)[field.name]
    if not _fits(hint, value):
        raise ConfigError(f"handler: {field.name} must be {describe_type(hint)}; got {value!r:.80}")
    low, high = field.metadata["low"], field.metadata["high"]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if low is not None and is_number and not low <= value <= high:
        raise ConfigError(f"handler: {field.name} must be {low} to {high}; got {value!r}")


def _fits(hint: object, value: object) -> bool:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(_fits(option, value) for option in typing.get_args(hint))
    if typing.get_origin(hint) is Literal:
        return isinstance(value, str) and value in typing.get_args(hint)
    if hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is hint


def describe_type(hint: object) -> str:
    """A type hint in words: ``"a whole number"``, ``"one of auto, torch"``."""
    words = {bool: "true or false", int: "a whole number", float: "a number"}
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(typing.get_args(hint))
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        options = [o for o in typing.get_args(hint) if o is not type(None)]
        return " or ".join(describe_type(option) for option in options)
    if isinstance(hint, type) and hint in words:
        return words[hint]
    raise TypeError(f"no words for the type {hint}")
