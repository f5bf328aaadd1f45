"""Reading a kit: index files, arrays, arrays that were stored thinned out, and the model files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .check import Check

Arrays = Mapping[str, NDArray[Any]]


class KitError(Exception):
    """A file of the kit is missing or does not hold what its format promises."""


@dataclass(frozen=True)
class Case:
    """One line of the report.

    Args:
        name: the case's name inside its folder, without blanks.
        compare: does the comparison.
        covered: whether something that landed covers the case; else it is "not yet".
    """

    name: str
    compare: Callable[[Check], None]
    covered: Callable[[], bool] = lambda: True


def not_yet(name: str) -> Case:
    """A case of a kind that nothing covers."""
    return Case(name, compare=lambda _: None, covered=lambda: False)


@dataclass(frozen=True)
class Kit:
    """A folder in the kit's format."""

    root: Path

    def json(self, name: str) -> Any:
        """The contents of a JSON file, plain or gzipped."""
        path = self._existing(name)
        try:
            data = path.read_bytes()
            return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
        except (OSError, EOFError, ValueError) as error:
            raise KitError(f"{name} cannot be read: {error}") from error

    def arrays(self, name: str) -> Arrays:
        """All arrays of an ``.npz`` file."""
        data = BytesIO(self._existing(name).read_bytes())
        try:
            with np.load(data) as file:
                return {key: file[key] for key in file.files}
        except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
            raise KitError(f"{name} cannot be read: {error}") from error

    def stems(self, folder: str, suffix: str) -> list[str]:
        """Sorted names, without suffix, of the files of a folder."""
        return sorted(
            path.name.removesuffix(suffix) for path in (self.root / folder).glob(f"*{suffix}")
        )

    def model(self, name: str) -> Any:
        """``models/NAME.json.gz``."""
        return self.json(f"models/{name}.json.gz")

    @cached_property
    def seed(self) -> int:
        """The seed that the kit was made with."""
        return int(self.json("functional_versions.json")["seed"])

    @cached_property
    def pipelines(self) -> dict[str, Any]:
        """Test pipelines by config name."""
        return {
            config: entry["pipeline"]
            for entry in self.json("preprocess/index.json")
            for config in entry["configs"]
        }

    def _existing(self, name: str) -> Path:
        path = self.root / name
        if not path.is_file():
            raise KitError(f"{name} is missing")
        return path


def compare_forward(check: Check, arrays: Arrays, name: str, got: NDArray[Any]) -> None:
    """An output of ``forward/``: whole, or thinned as ``NAME__step``, ``__shape``, ``__abssum``.

    Outputs may differ by 1e-3 of the stored values' standard deviation.
    """
    expected = arrays[name]
    if f"{name}__step" not in arrays:
        check.array(name, got, expected, 1e-3, scale=_spread(expected))
        return
    check.equal(f"{name} shape", got.shape, arrays[f"{name}__shape"])
    thinned = got.ravel()[:: int(arrays[f"{name}__step"])]
    check.array(name, thinned, expected, 1e-3, scale=_spread(expected))
    total = float(np.abs(got.astype(np.float64)).sum())
    check.relative(f"{name} abssum", total, float(arrays[f"{name}__abssum"]), 1e-3)


def compare_flat(check: Check, arrays: Arrays, name: str, got: NDArray[Any]) -> None:
    """An array stored whole, or thinned as ``NAME__flat``, ``__step``, ``__shape``, ``__stats``."""
    if f"{name}__flat" not in arrays:
        check.array(name, got, arrays[name], 1e-3, scale=_spread(arrays[name]))
        return
    check.equal(f"{name} shape", got.shape, arrays[f"{name}__shape"])
    expected = arrays[f"{name}__flat"]
    thinned = got.ravel()[:: int(arrays[f"{name}__step"])]
    check.array(name, thinned, expected, 1e-3, scale=_spread(expected))
    compare_statistics(check, name, got, arrays[f"{name}__stats"], 1e-3)


def compare_statistics(
    check: Check, name: str, got: NDArray[Any], expected: NDArray[Any], allowed: float
) -> None:
    """Mean and population standard deviation against the latter, sum of absolutes relatively."""
    mean, deviation, total = (float(value) for value in expected)
    values = got.astype(np.float64)
    scale = deviation or 1.0
    check.number(f"{name} mean", float(values.mean()), mean, allowed, scale)
    check.number(f"{name} std", float(values.std()), deviation, allowed, scale)
    check.relative(f"{name} abssum", float(np.abs(values).sum()), total, allowed)


def _spread(expected: NDArray[Any]) -> float:
    return float(np.std(expected.astype(np.float64))) or 1.0
