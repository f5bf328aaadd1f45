"""``model-config.yaml``: how TorchServe runs an archive, checked when the archive is built.

TorchServe ignores what it does not understand: misspelt keys, numbers in quotes, ``minWorkers``
without ``maxWorkers``, and a ``maxBatchDelay`` of 0, which it takes for "not set" and turns into
100 ms. Here all of these are errors that say what is allowed.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from ocr_models.entities import EntityOptions
from ocr_models.errors import ConfigError
from ocr_models.images import ImageLimits
from ocr_models.ocr import OcrOptions
from ocr_models.predictors import TASKS, Task
from ocrserve.handlers.options import HandlerOptions, describe_type, parse_options

FILE_NAME = "model-config.yaml"
HANDLER_SECTION = "handler"
DEVICE_TYPES = ("cpu", "gpu")


def _setting(key: str, help: str, default: object, low: int = 0, high: int = 0) -> typing.Any:
    metadata = {"key": key, "help": help, "low": low, "high": high}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ModelConfig:
    """Settings of one archive.

    The metadata of each field has its key in ``model-config.yaml`` and its range. The batch size
    differs by task because a detector's images are large and gain nothing from sharing a batch on
    a CPU, while crops gain a lot; see :func:`default_model_config`.
    """

    batch_size: int = _setting("batchSize", "requests that a worker answers at once", 1, 1, 1024)
    max_batch_delay_ms: int = _setting(
        "maxBatchDelay",
        "milliseconds that a request waits for others to fill the batch (TorchServe cannot wait 0)",
        2,
        1,
        60_000,
    )
    min_workers: int = _setting("minWorkers", "workers at start", 1, 1, 256)
    max_workers: int = _setting("maxWorkers", "most workers; at least minWorkers", 1, 1, 256)
    response_timeout_s: int = _setting(
        "responseTimeout",
        "seconds after which a worker that does not answer is killed",
        120,
        1,
        3600,
    )
    startup_timeout_s: int = _setting(
        "startupTimeout", "seconds in which a worker must load its model", 300, 1, 3600
    )
    retry_timeout_s: int = _setting(
        "maxRetryTimeoutInSec",
        "seconds of failing workers after which the server calls itself unhealthy",
        60,
        1,
        3600,
    )
    job_queue_size: int = _setting(
        "jobQueueSize", "requests that wait; more are answered with 503", 100, 1, 100_000
    )
    device_type: str | None = _setting(
        "deviceType", "`cpu` or `gpu`; not set: a GPU when TorchServe finds one", None
    )
    handler: HandlerOptions = dataclasses.field(default_factory=HandlerOptions)

    def __post_init__(self) -> None:
        for field in _settings():
            _check_setting(field, getattr(self, field.name))
        if self.max_workers < self.min_workers:
            raise ConfigError(
                f"maxWorkers is {self.max_workers}, but minWorkers is {self.min_workers}; "
                "maxWorkers must be at least minWorkers"
            )

    def to_yaml(self) -> str:
        """The text of ``model-config.yaml``; only what is set, in a fixed order."""
        data: dict[str, object] = {}
        for field in _settings():
            value = getattr(self, field.name)
            if value is not None:
                data[field.metadata["key"]] = value
        defaults = HandlerOptions()
        options = {
            name: value
            for name, value in vars(self.handler).items()
            if value != getattr(defaults, name)
        }
        if options:
            data[HANDLER_SECTION] = options
        return yaml.safe_dump(data, sort_keys=False)


def default_model_config(task: Task) -> ModelConfig:
    """What an archive gets when nothing is given."""
    if task in ("recognition", "ner"):
        return ModelConfig(batch_size=16)
    return ModelConfig()


def parse_model_config(data: object, task: Task, *, source: str = FILE_NAME) -> ModelConfig:
    """Checks the content of a ``model-config.yaml`` for an archive of ``task``.

    Args:
        data: the parsed YAML; None for an empty file.
        source: file name for messages.

    Raises:
        ConfigError: unknown key (with a suggestion), wrong type, out of range, or a combination
            that TorchServe would ignore.
    """
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise ConfigError(f"{source}: expected a mapping of settings, got {data!r:.80}")
    by_key = {field.metadata["key"]: field.name for field in _settings()}
    known = [*by_key, HANDLER_SECTION]
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{source}: unknown key {key!r}.{hint} Known: {', '.join(known)}")
    for one, other in (("minWorkers", "maxWorkers"), ("maxWorkers", "minWorkers")):
        if one in data and other not in data:
            raise ConfigError(
                f"{source}: {one} without {other}; TorchServe would ignore it, give both"
            )
    given = {by_key[key]: value for key, value in data.items() if key != HANDLER_SECTION}
    try:
        options = parse_options(data.get(HANDLER_SECTION), task)
        return dataclasses.replace(default_model_config(task), **given, handler=options)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def load_model_config(path: Path, task: Task) -> ModelConfig:
    """Reads and checks a ``model-config.yaml``; raises ``ConfigError``."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    return parse_model_config(data, task, source=str(path))


def settings_table() -> str:
    """The settings and handler options as two Markdown tables, for the documentation."""
    lines = ["| key | default | allowed | meaning |", "|--|--|--|--|"]
    for field in _settings():
        meta = field.metadata
        allowed = f"{meta['low']} to {meta['high']}" if meta["high"] else ", ".join(DEVICE_TYPES)
        lines.append(f"| `{meta['key']}` | {_default(field)} | {allowed} | {meta['help']} |")
    lines += ["", "| option | archives | default | allowed | meaning |", "|--|--|--|--|--|"]
    hints = typing.get_type_hints(HandlerOptions)
    chain = OcrOptions()
    effective = {
        **vars(ImageLimits()),
        **vars(EntityOptions()),
        "min_score": chain.min_text_score,
        "min_probability": chain.min_text_probability,
        "min_box_score": chain.min_box_score,
        "max_crops": chain.max_crops,
        "merge_lines": chain.merge_lines,
    }
    for field in dataclasses.fields(HandlerOptions):
        meta = field.metadata
        tasks = "all" if meta["tasks"] == TASKS else ", ".join(meta["tasks"])
        allowed = describe_type(hints[field.name])
        if meta["low"] is not None:
            allowed += f", {meta['low']} to {meta['high']}"
        default = (
            "not set"
            if field.name == "threads"
            else f"`{_yaml_scalar(effective.get(field.name, field.default))}`"
        )
        lines.append(f"| `{field.name}` | {tasks} | {default} | {allowed} | {meta['help']} |")
    return "\n".join(lines) + "\n"


def _default(field: dataclasses.Field) -> str:
    values = {task: getattr(default_model_config(task), field.name) for task in TASKS}
    if len(set(values.values())) == 1:
        value = values[TASKS[0]]
        return "not set" if value is None else f"`{value}`"
    return ", ".join(f"`{value}` ({task})" for task, value in values.items())


def _settings() -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(ModelConfig) if field.metadata]


def _check_setting(field: dataclasses.Field, value: object) -> None:
    key, low, high = (field.metadata[name] for name in ("key", "low", "high"))
    if not high:
        if value is not None and value not in DEVICE_TYPES:
            raise ConfigError(f"{key} must be one of {', '.join(DEVICE_TYPES)}; got {value!r:.80}")
        return
    if type(value) is not int:
        raise ConfigError(
            f"{key} must be a whole number; got {value!r:.80} (TorchServe would ignore it)"
        )
    if not low <= value <= high:
        hint = ""
        if key == "maxBatchDelay" and value == 0:
            hint = "; TorchServe takes 0 for 'not set' and waits 100 ms, use 1 for the least delay"
        raise ConfigError(f"{key} must be {low} to {high}; got {value}{hint}")


def _yaml_scalar(value: object) -> str:
    """A plain value as YAML writes it."""
    return yaml.safe_dump(value).splitlines()[0]
