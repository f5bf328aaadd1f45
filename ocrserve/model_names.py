"""What users call a model, and the files that it stands for.

A model is named by

* ``default``: the weights that come with the package,
* a model folder, or one of our ``.pth`` checkpoints, which know what they are,
* a name that ``ocrserve zoo`` lists, when its published checkpoint was downloaded or may be, or
* two words: an MMOCR config (or such a name) and its checkpoint.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from ocr_models import zoo
from ocr_models.errors import ConfigError
from ocr_models.mmocr_config import load_config
from ocrserve import downloads
from ocrserve.archives.build import ModelSource

DEFAULT = "default"
DEFAULT_FOLDERS = Path(__file__).parent / "models"
CHECKPOINT_FOLDERS = (Path(), Path("checkpoints"))
"""Where published checkpoints are looked for, before the cache of downloads."""
CONFIG_FOLDERS = (Path("configs"), Path(__file__).parent.parent / "configs")
"""Where the configs of named models are looked for: here, then beside a source checkout."""

DICTIONARY_OPTION = "model.label_convertor.dict_file"

ModelName = str | Path | Sequence[str | Path]
Role = Literal["detector", "recognizer", "extractor", "entity_recognizer"]
ROLES: tuple[Role, ...] = ("detector", "recognizer")
"""Of the default models that make the chain ``default``; an extractor is named by itself."""


def model_sources(
    name: ModelName,
    role: Role | None = None,
    options: Mapping[str, object] | None = None,
    download: bool = False,
) -> list[ModelSource]:
    """The files of a model.

    Args:
        name: one name or path, or a config and a checkpoint.
        role: what it should be; ``default`` means detector and recogniser when not given.
        options: changes to the config (``--cfg-options``).
        download: fetch the published checkpoint of a named model when it is not here.

    Raises:
        ConfigError: no such file or name; with a suggestion.
        DownloadError: the checkpoint could not be fetched.
    """
    parts = [name] if isinstance(name, str | Path) else list(name)
    options = options or {}
    if len(parts) == 1:
        word = str(parts[0])
        if word == DEFAULT and not options:
            return [ModelSource(default_folder(each)) for each in ([role] if role else ROLES)]
        if _is_name(word) and word != DEFAULT:
            entry = _zoo_entry(word)
            config = _zoo_config(entry)  # before a long download
            options = {**_dictionary_option(entry, config, options, download), **options}
            return [ModelSource(_published_weights(entry, download), config, options)]
        if options:
            raise ConfigError(
                f"config options were given, but no config: {word} brings its own settings"
            )
        return [ModelSource(_weights(Path(word)))]
    if len(parts) != 2:
        raise ConfigError(f"a model is one path, or a config and a checkpoint; got {parts}")
    first, weights = str(parts[0]), Path(parts[1])
    config = Path(first)
    if _is_name(first):
        entry = _zoo_entry(first)
        config = _zoo_config(entry)
        options = {**_dictionary_option(entry, config, options, download), **options}
    for path, what in ((config, "config"), (weights, "checkpoint")):
        if not path.is_file():
            raise ConfigError(f"the {what} {path} {_not_a_file(path)}")
    return [ModelSource(weights, config, options)]


def default_folder(role: Role) -> Path:
    """The model folder that ships with the package; raises ``ConfigError`` when it is not there."""
    folder = DEFAULT_FOLDERS / role
    if not folder.is_dir():
        raise ConfigError(
            f"this installation has no default {role} (no folder {folder}); install the package "
            "again, or name a model: a checkpoint, a model folder, or a config and a checkpoint"
        )
    return folder


def _is_name(word: str) -> bool:
    """Whether a word can only be meant as a name: no such file, and not the look of one."""
    path = Path(word)
    known = {name.lower() for entry in zoo.ZOO.values() for name in (entry.name, entry.alias or "")}
    looks_like_path = bool(path.suffix) or len(path.parts) > 1
    return not path.exists() and (word.lower() in known or not looks_like_path)


def _zoo_entry(name: str) -> zoo.ZooEntry:
    """As ``zoo.find_model``; a near miss of ``default`` is told, too."""
    if difflib.get_close_matches(name, [DEFAULT], 1, cutoff=0.75):
        raise ConfigError(f"there is no model {name!r}; did you mean {DEFAULT!r}?")
    return zoo.find_model(name)


def _zoo_config(entry: zoo.ZooEntry) -> Path:
    tried = [folder / entry.config for folder in CONFIG_FOLDERS]
    for path in tried:
        if path.is_file():
            return path
    raise ConfigError(f"the config of {entry.name} is not here; name it. Looked for {tried[0]}")


def _dictionary_option(
    entry: zoo.ZooEntry, config: Path, options: Mapping[str, object], download: bool
) -> dict[str, object]:
    """The option that says where the dictionary is, for a model whose config does not hold it."""
    if entry.dictionary_name is None or DICTIONARY_OPTION in options:
        return {}
    if Path(load_config(config)["model"]["label_convertor"]["dict_file"]).is_file():
        return {}
    path = _found(entry.dictionary_name)
    if path is None and download:
        path = downloads.download_dictionary(entry, downloads.cache_folder())
    if path is None:
        name = entry.alias or entry.name
        raise ConfigError(
            f"{name} needs its dictionary {entry.dictionary_name}, which says what its classes "
            f"mean; 'ocrserve convert {name} --download' fetches it with the weights, and puts it "
            f"into the archive; or download {zoo.PUBLISHED_BASE_URL}{entry.dictionary_url_path} to "
            f"{CHECKPOINT_FOLDERS[-1]}/, or give --cfg-options {DICTIONARY_OPTION}=PATH"
        )
    return {DICTIONARY_OPTION: str(path)}


def _found(file_name: str) -> Path | None:
    for folder in (*CHECKPOINT_FOLDERS, downloads.cache_folder()):
        if (folder / file_name).is_file():
            return folder / file_name
    return None


def _published_weights(entry: zoo.ZooEntry, download: bool) -> Path:
    if entry.file_name is None:
        raise ConfigError(f"{entry.name} comes with this package; name it {DEFAULT!r}")
    if found := _found(entry.file_name):
        return found
    if download:
        return downloads.download(entry, downloads.cache_folder())
    name = entry.alias or entry.name
    raise ConfigError(
        f"the weights of {name} are not here; 'ocrserve convert {name} --download' fetches them; "
        f"or download them from {entry.url} to {CHECKPOINT_FOLDERS[-1]}/, or name a checkpoint"
    )


def _weights(path: Path) -> Path:
    if path.suffix == ".py" and path.is_file():
        raise ConfigError(f"{path} is a config; name its checkpoint after it")
    if not path.exists():
        raise ConfigError(f"the model {path} {_not_a_file(path)}")
    return path


def _not_a_file(path: Path) -> str:
    """What is wrong with a path that should be a file, with the nearest name beside it."""
    if path.is_dir():
        return "is a folder; name a file in it"
    folder = path.parent
    if not folder.is_dir():
        return f"does not exist: there is no folder {folder}"
    names = [entry.name for entry in folder.iterdir()]
    near = difflib.get_close_matches(path.name, names, 1, cutoff=0.75)
    return "does not exist" + (f"; did you mean {folder / near[0]}?" if near else "")
