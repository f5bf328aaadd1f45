"""Reading config files: bases, formats, and the checks on the whole."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocr_models.errors import ConfigError

from .config_dict import ConfigDict, to_config_dict
from .errors import (
    ConfigCycleError,
    ConfigKeyError,
    ConfigNotFoundError,
    ConfigSyntaxError,
    ConfigTypeError,
)
from .evaluate import Evaluator, parse_python
from .limits import MAX_FILE_BYTES, MAX_FILES, MAX_VALUE_DEPTH, MAX_YAML_LENGTH, Budget
from .merge import merge_dicts, merge_options
from .references import find_reference, look_up, replace_templates

BASE_KEY = "_base_"
DEPRECATION_KEY = "_deprecation_"
RESERVED_KEYS = ("filename", "text", "pretty_text")
EXTENSIONS = (".py", ".json", ".yaml", ".yml")


def load_config(path: str | Path, options: Mapping[str, object] | None = None) -> ConfigDict:
    """Read a config in MMOCR's dialect, with everything that it is based on.

    Python files are evaluated from their syntax tree and never run.

    Args:
        path: a ``.py``, ``.json``, ``.yaml`` or ``.yml`` file.
        options: dotted keys and values laid over the result, see :func:`merge_options`.

    Raises:
        ConfigError: the config uses something that has no meaning here, or is too large. Missing
            files, syntax errors, circles, wrong types and wrong keys are the subclasses that are
            FileNotFoundError, SyntaxError, RecursionError, TypeError and KeyError as well.
    """
    loader = _Loader()
    config = loader.load(Path(path).expanduser().absolute())
    for key in RESERVED_KEYS:
        if key in config:
            raise ConfigKeyError(f"{path}: {key!r} is a reserved name; choose another")
    loader.budget.charge(config)
    result: ConfigDict = to_config_dict(config)
    return merge_options(result, options) if options else result


class _Loader:
    """One load: its budget, and the chain of files being read."""

    def __init__(self) -> None:
        self.budget = Budget()
        self._files_read = 0
        self._open: list[Path] = []

    def load(self, path: Path) -> dict[str, Any]:
        """The merged contents of one file and its bases."""
        text = self._read(path)
        identity = path.resolve()
        if identity in self._open:
            circle = " -> ".join(file.name for file in (*self._open, identity))
            raise ConfigCycleError(f"{path}: config files are based on each other: {circle}")
        self._open.append(identity)
        try:
            text = replace_templates(text, path)
            if path.suffix == ".py":
                config, bases = self._evaluate_python(text, path)
            else:
                config, bases = self._parse_data(text, path)
        finally:
            self._open.pop()
        if DEPRECATION_KEY in config:
            _warn_deprecated(path, config.pop(DEPRECATION_KEY))
        if bases is None:
            return config
        self.budget.charge(config)
        try:
            merged: dict[str, Any] = merge_dicts(config, bases)
        except ConfigError as error:
            raise type(error)(f"{path}: {error}") from error
        return merged

    def _read(self, path: Path) -> str:
        self._files_read += 1
        if self._files_read > MAX_FILES:
            raise ConfigError(f"{path}: the config is based on more than {MAX_FILES} files")
        if path.suffix not in EXTENSIONS:
            raise ConfigError(f"{path}: a config file ends in {', '.join(EXTENSIONS)}")
        if not path.is_file():
            raise ConfigNotFoundError(f"{path}: there is no such config file")
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES:
                raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
            return data.decode("utf-8-sig")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigSyntaxError(f"{path}: not UTF-8 text") from error

    def _evaluate_python(self, text: str, path: Path) -> tuple[dict[str, Any], dict | None]:
        evaluator = Evaluator(str(path), self.budget, lambda bases: self._load_bases(bases, path))
        config = evaluator.run(parse_python(text, str(path)))
        return config, evaluator.bases

    def _parse_data(self, text: str, path: Path) -> tuple[dict[str, Any], dict | None]:
        config = _parse_json(text, path) if path.suffix == ".json" else _parse_yaml(text, path)
        if not isinstance(config, dict):
            raise ConfigTypeError(f"{path}: a config is a mapping, got {type(config).__name__}")
        try:
            self.budget.charge(config)
            bases = None
            if BASE_KEY in config:
                bases = self._load_bases(config.pop(BASE_KEY), path)
            return self._fill_references(config, bases), bases
        except ConfigError as error:
            if str(error).startswith(str(path)) or getattr(error, "placed", False):
                raise
            raise type(error)(f"{path}: {error}") from error

    def _fill_references(self, value: Any, bases: dict[str, Any] | None) -> Any:
        if isinstance(value, dict):
            return {key: self._fill_references(child, bases) for key, child in value.items()}
        if isinstance(value, list):
            return [self._fill_references(child, bases) for child in value]
        path = find_reference(value) if isinstance(value, str) else None
        if path is None:
            return value
        if bases is None:
            raise ConfigKeyError(f"{{{{_base_.{path}}}}} stands in a file without _base_")
        return look_up(path, bases, self.budget)

    def _load_bases(self, names: object, path: Path) -> dict[str, Any]:
        if isinstance(names, str):
            names = [names]
        if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
            raise ConfigTypeError(f"_base_ is a path or a list of paths, got {names!r:.80}")
        bases: dict[str, Any] = {}
        for name in names:
            base = self.load(path.parent / name)
            duplicates = sorted(str(key) for key in bases.keys() & base.keys())
            if duplicates:
                raise ConfigKeyError(
                    f"{', '.join(duplicates)}: defined by more than one file of _base_; "
                    "bases must not share names"
                )
            bases.update(base)
        return bases


def _warn_deprecated(path: Path, details: object) -> None:
    message = f"the config file {path} is deprecated"
    if isinstance(details, dict):
        if "expected" in details:
            message += f"; use {details['expected']} instead"
        if "reference" in details:
            message += f" (see {details['reference']})"
    warnings.warn(message, FutureWarning, stacklevel=2)


def _parse_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ConfigSyntaxError(f"{path}: the file is nested too deeply") from error
    except ValueError as error:
        raise ConfigSyntaxError(f"{path}: not valid JSON: {error}") from error


def _parse_yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ConfigError(
            f"{path}: reading YAML needs the package PyYAML: pip install pyyaml"
        ) from error
    _check_yaml_text(text, path)
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _check_yaml_size(root, path)
        return loader.construct_document(root)
    except RecursionError as error:
        raise ConfigSyntaxError(f"{path}: the file is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigSyntaxError(f"{path}: not valid YAML: {error}") from error
    finally:
        loader.dispose()


def _check_yaml_text(text: str, path: Path) -> None:
    """Refuse what PyYAML would take minutes for: long files, and deep nests of brackets."""
    if len(text) > MAX_YAML_LENGTH:
        raise ConfigError(
            f"{path}: longer than {MAX_YAML_LENGTH} characters; large configs are read as JSON"
        )
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_VALUE_DEPTH:
            raise ConfigError(f"{path}: nested more than {MAX_VALUE_DEPTH} levels deep")


def _check_yaml_size(root: Any, path: Path, limit: int = 100_000) -> None:
    """Refuse aliases that contain themselves or multiply, before anything is built from them."""
    sizes: dict[int, int | None] = {}

    def size(node: Any) -> int:
        if id(node) in sizes:
            known = sizes[id(node)]
            if known is None:
                raise ConfigError(f"{path}: a YAML alias contains itself")
            return known
        sizes[id(node)] = None
        total = 1
        children = node.value if isinstance(node.value, list) else []
        for child in children:
            total += sum(map(size, child)) if isinstance(child, tuple) else size(child)
            if total > limit:
                raise ConfigError(f"{path}: YAML aliases multiply to more than {limit} values")
        sizes[id(node)] = total
        return total

    size(root)
