"""What a config may cost: a budget that every step and every value is charged to.

A config is somebody else's text. A short one can ask for a very large value (``'a' * 10**9``,
``9**9**9``) or a value that is small in memory but endless when it is walked (a list of a hundred
references to a list of a hundred references ...). Everything here is checked *before* the value
is made, or is bounded by the size of values that were paid for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ocr_models.errors import ConfigError

from .errors import ConfigTypeError

MAX_FILE_BYTES = 4 * 2**20
MAX_FILES = 200
MAX_YAML_LENGTH = 2**16
MAX_VALUE_DEPTH = 60
MAX_EXPRESSION_DEPTH = 120
MAX_INT_BITS = 2048
MAX_STRING_LENGTH = 2**20
MAX_LENGTH = 10**5
MAX_WORK = 6 * 10**5
_CHARACTERS_PER_STEP = 16
_MAX_FORMAT_NUMBER = 1000


class Budget:
    """Counts the work of one ``load_config`` call; raises ConfigError once it is used up."""

    def __init__(self, steps: int = MAX_WORK) -> None:
        self._steps_left = steps

    def spend(self, steps: int = 1) -> None:
        """Pay for `steps` steps."""
        self._steps_left -= steps
        if self._steps_left < 0:
            raise ConfigError(
                "this config is too much work: its values are too large, too many, or contain "
                "themselves"
            )

    def charge(self, value: object) -> None:
        """Pay for `value`, walked as a tree: one step per item and per 16 characters.

        Raises:
            ConfigTypeError: something inside is not plain data.
            ConfigError: too deep, an endless number, or the budget is used up.
        """
        pending: list[tuple[object, int]] = [(value, 0)]
        while pending:
            item, depth = pending.pop()
            self.spend()
            if depth > MAX_VALUE_DEPTH:
                raise ConfigError(
                    f"values are nested more than {MAX_VALUE_DEPTH} levels deep, or contain "
                    "themselves"
                )
            if isinstance(item, str):
                if len(item) > MAX_STRING_LENGTH:
                    raise ConfigError(f"a string is longer than {MAX_STRING_LENGTH} characters")
                self.spend(len(item) // _CHARACTERS_PER_STEP)
            elif item is None or isinstance(item, (bool, float)):
                continue
            elif isinstance(item, int):
                if item.bit_length() > MAX_INT_BITS:
                    raise ConfigError(f"a whole number has more than {MAX_INT_BITS} bits")
            elif isinstance(item, Mapping):
                self.spend(len(item))
                for key, child in item.items():
                    pending.append((key, depth + 1))
                    pending.append((child, depth + 1))
            elif isinstance(item, (list, tuple, set, frozenset)):
                self.spend(len(item))
                pending.extend((child, depth + 1) for child in item)
            elif isinstance(item, range):
                self.spend(len(item))
            else:
                raise ConfigTypeError(
                    f"a value of type {type(item).__name__} cannot stand in a config: use "
                    "dictionaries, lists, tuples, sets, strings, numbers, True, False and None"
                )


def check_repeat(value: object, times: object) -> None:
    """Refuse ``value * times`` when a sequence or a number would become too large."""
    if isinstance(times, (str, list, tuple)):
        value, times = times, value
    if isinstance(value, (str, list, tuple)) and isinstance(times, int):
        limit = MAX_STRING_LENGTH if isinstance(value, str) else MAX_LENGTH
        if len(value) * times > limit:
            raise ConfigError(
                f"repeating a {type(value).__name__} of length {len(value)} this often gives more "
                f"than {limit} items"
            )


def check_power(base: object, exponent: object) -> None:
    """Refuse ``base ** exponent`` when the whole number would become too large."""
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        bits = base.bit_length()
        if bits > 1 and bits * exponent > MAX_INT_BITS:
            raise ConfigError(f"this power has more than {MAX_INT_BITS} bits")
    if isinstance(exponent, float) and isinstance(base, (int, float)) and base < 0:
        raise ConfigError("a negative number to a fractional power is not a real number")


def check_shift(value: object, by: object) -> None:
    """Refuse ``value << by`` when the whole number would become too large."""
    if isinstance(value, int) and isinstance(by, int) and value.bit_length() + by > MAX_INT_BITS:
        raise ConfigError(f"this shift has more than {MAX_INT_BITS} bits")


def check_format(spec: str) -> None:
    """Refuse a format with a width or precision that would make an endless string."""
    for digits in re.findall(r"\d+", spec):
        if len(digits) > 6 or int(digits) > _MAX_FORMAT_NUMBER:
            raise ConfigError(f"widths and precisions stop at {_MAX_FORMAT_NUMBER}, got {digits}")
