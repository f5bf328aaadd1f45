"""Errors of the config door.

Each is a :class:`~ocr_models.errors.ConfigError` and also the builtin exception that running the
same config would have ended in, so habits such as ``except KeyError`` keep working.
"""

from __future__ import annotations

from ocr_models.errors import ConfigError


class _ReadableError(ConfigError):
    """``str(error)`` is the message itself, whatever the builtin base would print."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ConfigKeyError(_ReadableError, KeyError):
    """A key is missing, reserved, or defined twice."""


class ConfigTypeError(_ReadableError, TypeError):
    """A value has the wrong type, for instance a dict that should be merged into a number."""


class ConfigAttributeError(_ReadableError, AttributeError):
    """A config has no such attribute."""


class ConfigSyntaxError(_ReadableError, SyntaxError):
    """A config file cannot be parsed."""


class ConfigNotFoundError(_ReadableError, FileNotFoundError):
    """A config file, or a file that it is based on, does not exist."""


class ConfigCycleError(_ReadableError, RecursionError):
    """Config files are based on each other in a circle."""
