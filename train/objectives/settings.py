"""Reading the loss of an MMOCR config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from ocr_models.errors import ConfigError

ConfigT = TypeVar("ConfigT")


def loss_config(cls: type[ConfigT], name: str, section: Mapping[str, Any]) -> ConfigT:
    """The settings of a loss.

    Args:
        cls: dataclass whose fields have MMOCR's names.
        name: the ``type`` that the loss must have.
        section: the config's dictionary.

    Raises:
        ConfigError: another type, or a key that ``cls`` does not have.
    """
    settings = dict(section)
    if settings.pop("type", name) != name:
        raise ConfigError(f"the loss of this model is {name}, got {section['type']!r}")
    known = [entry.name for entry in fields(cls)]  # type: ignore[arg-type]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ConfigError(f"{name} does not read {', '.join(unknown)}; it reads {', '.join(known)}")
    return cls(**settings)
