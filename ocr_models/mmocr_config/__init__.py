"""The config door: configs in MMOCR's dialect, read without running them.

| file | holds |
|--|--|
| ``load.py`` | files, formats and bases |
| ``references.py`` | ``{{_base_.name}}`` and ``{{ fileBasename }}`` |
| ``evaluate.py``, ``expressions.py`` | what statements and expressions of a Python config mean |
| ``functions.py`` | what a config may call |
| ``limits.py`` | what a config may cost |
| ``merge.py`` | configs over bases, options over configs |
| ``config_dict.py``, ``dump.py``, ``errors.py`` | attribute access, writing, errors |
"""

from __future__ import annotations

from .config_dict import ConfigDict
from .dump import dump_config
from .errors import (
    ConfigAttributeError,
    ConfigCycleError,
    ConfigKeyError,
    ConfigNotFoundError,
    ConfigSyntaxError,
    ConfigTypeError,
)
from .load import load_config
from .merge import merge_options, parse_cli_options

__all__ = [
    "ConfigAttributeError",
    "ConfigCycleError",
    "ConfigDict",
    "ConfigKeyError",
    "ConfigNotFoundError",
    "ConfigSyntaxError",
    "ConfigTypeError",
    "dump_config",
    "load_config",
    "merge_options",
    "parse_cli_options",
]
