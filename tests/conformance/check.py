"""Measuring one case: every comparison has an allowed difference, and the worst one is reported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

EXACT = 0.0


class Check:
    """Collects the comparisons of one case.

    Attributes:
        difference: the largest difference, counted in multiples of its allowed one; infinite where
            two values cannot be compared at all.
        allowed: what was allowed there.
        what: which value of the case that was.
        comparisons: how many values were compared; a case without any compared nothing.
    """

    def __init__(self) -> None:
        self.difference = 0.0
        self.allowed = 0.0
        self.what = ""
        self.comparisons = 0
        self._worst = -1.0

    @property
    def ok(self) -> bool:
        """Whether everything stayed within what was allowed."""
        return self.comparisons > 0 and self._worst <= 1

    def measured(self, what: str, difference: float, allowed: float) -> None:
        """Note a difference that the caller measured; NaN counts as infinite."""
        difference = math.inf if math.isnan(difference) else difference
        exceeded = math.inf if difference > 0 else 0.0
        ratio = difference / allowed if allowed > 0 else exceeded
        self.comparisons += 1
        # On equal ratios the larger tolerance tells more than an exact comparison that passed.
        if (ratio, allowed) > (self._worst, self.allowed):
            self._worst, self.difference, self.allowed = ratio, difference, allowed
            self.what = what

    def equal(self, what: str, got: object, expected: object) -> None:
        """The two have to be equal, lists and tuples being the same thing."""
        same = _same(plain(got), plain(expected))
        self.measured(what, 0.0 if same else math.inf, EXACT)
        if not same and self.what == what:
            self.what = f"{what}: got {plain(got)!r:.60}, expected {plain(expected)!r:.60}"

    def number(
        self, what: str, got: float, expected: float, allowed: float, scale: float = 1.0
    ) -> None:
        """Two numbers, their difference divided by ``scale``; equal infinities do not differ."""
        same = got == expected or (math.isnan(got) and math.isnan(expected))
        self.measured(what, 0.0 if same else abs(got - expected) / scale, allowed)

    def relative(self, what: str, got: float, expected: float, allowed: float) -> None:
        """Two numbers, their difference divided by the expected one's size, which is at least 1e-3.

        The floor keeps sums that cancel to almost nothing from being compared digit by digit.
        """
        self.number(what, got, expected, allowed, scale=max(abs(expected), 1e-3))

    def array(
        self, what: str, got: ArrayLike, expected: ArrayLike, allowed: float, scale: float = 1.0
    ) -> None:
        """Two arrays of one shape, the largest difference divided by ``scale``."""
        got_array, expected_array = np.asarray(got), np.asarray(expected)
        if got_array.shape != expected_array.shape:
            self.equal(f"{what} shape", got_array.shape, expected_array.shape)
            return
        if got_array.size == 0:
            self.measured(what, 0.0, allowed)
            return
        left, right = got_array.astype(np.float64), expected_array.astype(np.float64)
        same = (left == right) | (np.isnan(left) & np.isnan(right))
        left, right = np.where(same, 0, left), np.where(same, 0, right)
        self.measured(what, float(np.abs(left - right).max()) / scale, allowed)

    def structure(self, what: str, got: Any, expected: Any, allowed: float) -> None:
        """Nested lists and dictionaries whose numbers may differ a little and nothing else may."""
        got, expected = plain(got), plain(expected)
        if _is_number(got):
            expected = numeric(expected)
        if _is_number(got) and _is_number(expected):
            self.number(what, got, expected, allowed)
        elif isinstance(got, Mapping) and isinstance(expected, Mapping):
            self.equal(f"{what} keys", sorted(map(str, got)), sorted(map(str, expected)))
            for key in got.keys() & expected.keys():
                self.structure(f"{what}.{key}", got[key], expected[key], allowed)
        elif isinstance(got, list) and isinstance(expected, list):
            self.equal(f"{what} length", len(got), len(expected))
            for index, (left, right) in enumerate(zip(got, expected, strict=False)):
                self.structure(f"{what}[{index}]", left, right, allowed)
        else:
            self.equal(what, got, expected)

    def raises(self, what: str, function: Any, *errors: type[Exception]) -> None:
        """Calling ``function`` must end in one of ``errors``."""
        try:
            result = function()
        except errors:
            self.measured(what, 0.0, EXACT)
        else:
            names = " or ".join(error.__name__ for error in errors)
            self.equal(what, result, f"<{names}>")


def _same(left: Any, right: Any) -> bool:
    """Equality of plain data that, unlike Python's, tells True from 1."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def numeric(value: Any) -> Any:
    """A number, or nested lists of numbers, whose infinities and NaNs JSON holds as strings."""
    if isinstance(value, list):
        return [numeric(item) for item in value]
    return float(value) if value in ("inf", "-inf", "nan") else value


def plain(value: Any) -> Any:
    """Arrays, tuples and mappings as lists and dictionaries, as JSON would hold them."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
