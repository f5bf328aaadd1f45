"""What fully describes a model besides its weights, and its strict JSON form.

``to_json_dict`` and ``from_json_dict`` turn any frozen dataclass of plain fields into JSON and
back; the class name stands under ``"kind"``, since a field may hold one of several dataclasses.
Reading is strict: unknown keys, missing keys and wrong types are ``ConfigError``s that name the
path, so an archive made by a newer version fails loudly instead of being half understood. Only a
field whose metadata says ``added_later`` may be missing, as it is in files of older versions; its
default then has to mean what those versions did.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass

from ocr_models.codecs.families import CodecConfig
from ocr_models.codecs.ner import NerCodec, NerCodecConfig
from ocr_models.detection.families import NetworkConfig, Postprocessing
from ocr_models.errors import ConfigError
from ocr_models.kie.links import LinkSettings
from ocr_models.kie.preprocessing import KiePreprocessing
from ocr_models.kie.sdmgr import SDMGRConfig
from ocr_models.kie.unet import STRIDE as UNET_STRIDE
from ocr_models.ner.bert_softmax import BertSoftmaxConfig
from ocr_models.preprocessing import DetectionPreprocessing, RecognitionPreprocessing
from ocr_models.recognition.families import NetworkConfig as RecognizerConfig
from ocr_models.recognition.families import check_codec


@dataclass(frozen=True)
class DetectorSpec:
    """A text detector: network, and what happens before and after it."""

    network: NetworkConfig
    preprocessing: DetectionPreprocessing
    postprocessing: Postprocessing


@dataclass(frozen=True)
class RecognizerSpec:
    """A text recogniser: network, and what happens before and after it."""

    network: RecognizerConfig
    preprocessing: RecognitionPreprocessing
    codec: CodecConfig

    def __post_init__(self) -> None:
        check_codec(self.network, self.codec)


@dataclass(frozen=True)
class NerSpec:
    """An entity recogniser: network, and what its tokens and labels mean."""

    network: BertSoftmaxConfig
    codec: NerCodecConfig

    def __post_init__(self) -> None:
        codec, encoder = NerCodec(self.codec), self.network.encoder
        if self.network.num_labels != codec.num_labels:
            raise ConfigError(
                f"the network has {self.network.num_labels} labels, but the categories in the "
                f"scheme {self.codec.annotation_type} need {codec.num_labels}"
            )
        if len(self.codec.vocabulary) > encoder.vocab_size:
            raise ConfigError(
                f"the vocabulary has {len(self.codec.vocabulary)} tokens, but the network only "
                f"{encoder.vocab_size}; take the vocabulary file that it was trained with"
            )
        if self.codec.max_len > encoder.max_positions:
            raise ConfigError(
                f"max_len is {self.codec.max_len}, but the network has {encoder.max_positions} "
                "positions (max_position_embeddings)"
            )


@dataclass(frozen=True)
class KieSpec:
    """An extractor of key information: network, and what happens before and after it.

    Args:
        network: see there.
        preprocessing: see there.
        characters: the dictionary, see ``kie.preprocessing.read_characters``.
        class_names: of the words' classes, in order.
        links: how open-set models link words; None for closed-set models.
    """

    network: SDMGRConfig
    preprocessing: KiePreprocessing
    characters: tuple[str, ...]
    class_names: tuple[str, ...]
    links: LinkSettings | None

    def __post_init__(self) -> None:
        classes, known = self.network.num_classes, len(self.class_names)
        if classes != known:
            raise ConfigError(f"the network has {classes} classes, but {known} have names")
        if len(self.characters) >= self.network.num_chars:
            raise ConfigError(
                f"the dictionary has {len(self.characters)} characters, but the network knows "
                f"{self.network.num_chars - 1}; take the one it was trained with"
            )
        if self.links is not None:
            highest = max(self.links.key_class, self.links.value_class)
            if min(self.links.key_class, self.links.value_class) < 0 or highest >= classes:
                raise ConfigError(f"keys or values have class {highest} of 0 to {classes - 1}")
        divisor = self.preprocessing.page.size_divisor
        if self.network.visual and divisor % UNET_STRIDE:
            raise ConfigError(
                f"pages are padded to multiples of {divisor} pixels; the visual branch needs "
                f"multiples of {UNET_STRIDE}"
            )


Spec = DetectorSpec | RecognizerSpec | KieSpec | NerSpec
T = typing.TypeVar("T")


def to_json_dict(value: object) -> dict[str, object]:
    """The JSON form of a dataclass: its class name under ``kind``, then its fields in order."""
    encoded = _encode(value)
    if not isinstance(encoded, dict):
        raise TypeError(f"expected a dataclass instance, got {type(value).__name__}")
    return encoded


def from_json_dict(cls: type[T], data: object) -> T:
    """Reads ``data`` as ``cls``; raises ``ConfigError`` with the path of what does not fit."""
    return typing.cast(T, _decode(cls, data, cls.__name__))


def _encode(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [_encode(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"cannot write a {type(value).__name__} to JSON")


def _decode(hint: object, value: object, path: str) -> object:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(typing.get_args(hint), value, path)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            allowed = ", ".join(map(repr, typing.get_args(hint)))
            raise ConfigError(f"{path}: got {value!r}, allowed are {allowed}")
        return value
    if origin is tuple:
        return _decode_tuple(typing.get_args(hint), value, path)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _decode_dataclass(hint, value, path)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is type(None) and value is None:
        return None
    if hint in (bool, int, float, str) and type(value) is hint:
        return value
    raise ConfigError(f"{path}: expected {_name(hint)}, got {value!r:.80}")


def _decode_union(options: tuple[object, ...], value: object, path: str) -> object:
    if value is None and type(None) in options:
        return None
    classes = {
        o.__name__: o for o in options if isinstance(o, type) and dataclasses.is_dataclass(o)
    }
    if isinstance(value, dict) and classes:
        kind = value.get("kind")
        if kind not in classes:
            raise ConfigError(f"{path}: kind is {kind!r}, allowed are {', '.join(sorted(classes))}")
        return _decode_dataclass(classes[kind], value, path)
    plain = [o for o in options if o is not type(None) and o not in classes.values()]
    for option in plain:
        try:
            return _decode(option, value, path)
        except ConfigError:
            continue
    names = ", ".join(_name(o) for o in options)
    raise ConfigError(f"{path}: got {value!r:.80}, allowed are {names}")


def _decode_tuple(items: tuple[object, ...], value: object, path: str) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{path}: expected a list, got {value!r:.80}")
    if len(items) == 2 and items[1] is Ellipsis:
        items = (items[0],) * len(value)
    if len(items) != len(value):
        raise ConfigError(f"{path}: expected {len(items)} entries, got {len(value)}")
    pairs = enumerate(zip(items, value, strict=True))
    return tuple(_decode(item, entry, f"{path}[{i}]") for i, (item, entry) in pairs)


def _decode_dataclass(cls: type, value: object, path: str) -> object:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected an object for {cls.__name__}, got {value!r:.80}")
    if value.get("kind") != cls.__name__:
        raise ConfigError(f"{path}: kind is {value.get('kind')!r}, expected {cls.__name__!r}")
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]
    for key in value:
        if key != "kind" and key not in names:
            near = difflib.get_close_matches(str(key), names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{path}: unknown key {key!r}{hint} Known: {', '.join(names)}")
    missing = [
        f.name
        for f in dataclasses.fields(cls)
        if f.name not in value and "added_later" not in f.metadata
    ]
    if missing:
        raise ConfigError(f"{path}: missing {', '.join(missing)}")
    fields = {
        name: _decode(hints[name], value[name], f"{path}.{name}") for name in names if name in value
    }
    try:
        return cls(**fields)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


def _name(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)
