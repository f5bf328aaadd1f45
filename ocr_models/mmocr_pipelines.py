"""From MMOCR's test pipelines to our preprocessing configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from ocr_models.config_section import Section, did_you_mean, number, optional, several, whole
from ocr_models.errors import ConfigError
from ocr_models.kie.preprocessing import KiePreprocessing
from ocr_models.preprocessing import DetectionPreprocessing, RecognitionPreprocessing

_LOADERS = ("LoadImageFromFile", "LoadImageFromLMDB", "LoadImageFromNdarray")
_FORMATTING = ("ImageToTensor", "DefaultFormatBundle", "Collect")


class _Loading(NamedTuple):
    """How images are read: in grey or colour, turned upright by EXIF or not."""

    gray: bool
    exif: bool


_COLOR_TYPES: Mapping[str, _Loading] = {
    "color": _Loading(gray=False, exif=True),
    "color_ignore_orientation": _Loading(gray=False, exif=False),
    "grayscale": _Loading(gray=True, exif=True),
    "grayscale_ignore_orientation": _Loading(gray=True, exif=False),
}


def find_test_pipeline(config: Mapping[str, Any]) -> object:
    """The list of steps that a config prepares test images with.

    Raises:
        ConfigError: there is none, or several that differ.
    """
    data = config.get("data")
    found = _pipelines(data.get("test")) if isinstance(data, Mapping) else []
    if not found and config.get("test_pipeline") is not None:
        found = [config["test_pipeline"]]
    if not found:
        raise ConfigError(
            "the config has no test pipeline, neither under data.test nor as test_pipeline; "
            "without it nothing says how an image becomes the network's input"
        )
    if any(pipeline != found[0] for pipeline in found):
        raise ConfigError(
            "data.test has several pipelines that differ; keep the one to serve with, for instance "
            "by the option data.test.pipeline"
        )
    return found[0]


def find_test_dataset(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The first data set under ``data.test`` that has ``key``; empty when there is none."""
    data = config.get("data")
    waiting: list[object] = [data.get("test")] if isinstance(data, Mapping) else []
    while waiting:
        dataset = waiting.pop(0)
        if isinstance(dataset, (list, tuple)):
            waiting += dataset
        elif isinstance(dataset, Mapping):
            if key in dataset:
                return dataset
            waiting += [dataset.get("datasets"), dataset.get("dataset")]
    return {}


def _pipelines(dataset: object) -> list[object]:
    """All pipelines of a data set or of a nest of data sets."""
    if isinstance(dataset, (list, tuple)):
        return [pipeline for entry in dataset for pipeline in _pipelines(entry)]
    if not isinstance(dataset, Mapping):
        return []
    pipeline = dataset.get("pipeline")
    if isinstance(pipeline, (list, tuple)) and pipeline:
        # UniformConcatDataset may hold one pipeline per group of data sets.
        return list(pipeline) if isinstance(pipeline[0], (list, tuple)) else [pipeline]
    return _pipelines(dataset.get("datasets")) + _pipelines(dataset.get("dataset"))


def detection_preprocessing(pipeline: object) -> DetectionPreprocessing:
    """What a detector's test pipeline does to an image.

    Raises:
        ConfigError: a step, an argument or an order that is not served.
    """
    steps = _Steps(
        pipeline,
        wrapper="MultiScaleFlipAug",
        order=(_LOADERS, ("Resize",), ("RandomFlip",), ("Normalize",), ("Pad",), _FORMATTING),
    )
    loading = steps.loading()
    if loading.gray:
        raise ConfigError("the test pipeline loads grey images; detectors read colour")
    outer, resize, normalize = steps.wrapper, steps.need("Resize"), steps.need("Normalize")
    image_scale = resize.read("img_scale", optional(_image_scale), None)
    if outer is not None:
        image_scale = outer.read("img_scale", optional(_image_scale), image_scale)
        outer.fix(flip=False, scale_factor=None)
        outer.skip(("flip_direction",))
    if image_scale is None:
        raise ConfigError("the test pipeline has no img_scale, the size that images get")
    resize.fix(ratio_range=None, backend="cv2", interpolation="bilinear")
    resize.skip(("multiscale_mode", "bbox_clip_border", "override"))
    pad, flip = steps.find("Pad"), steps.find("RandomFlip")
    if pad is not None:
        pad.fix(size=None, pad_to_square=False, pad_val=0)
    if flip is not None:
        flip.skip(("flip_ratio", "direction"))  # the wrapper decides, and it never flips
    config = DetectionPreprocessing(
        image_scale=image_scale,
        keep_ratio=resize.read("keep_ratio", bool, True),
        mean=normalize.read("mean", several(number)),
        std=normalize.read("std", several(number)),
        to_rgb=normalize.read("to_rgb", bool, True),
        size_divisor=1 if pad is None else pad.read("size_divisor", int),
        exif=loading.exif,
    )
    steps.finish()
    return config


def recognition_preprocessing(pipeline: object) -> RecognitionPreprocessing:
    """What a recogniser's test pipeline does to a crop.

    Raises:
        ConfigError: a step, an argument or an order that is not served.
    """
    steps = _Steps(
        pipeline,
        wrapper="MultiRotateAugOCR",
        order=(
            _LOADERS, ("ResizeOCR",), ("ToTensorOCR",), ("Normalize", "NormalizeOCR"), _FORMATTING,
        ),
    )  # fmt: skip
    loading = steps.loading()
    resize = steps.need("ResizeOCR")
    unit_range = steps.find("ToTensorOCR") is not None
    normalize = steps.need("NormalizeOCR" if unit_range else "Normalize")
    color: Literal["bgr", "rgb", "gray"] = "bgr"
    if not unit_range and normalize.read("to_rgb", bool, True):
        color = "rgb"
    if loading.gray:
        color = "gray"
    resize.fix(backend=None)
    rotation: dict[str, Any] = {}
    if steps.wrapper is not None:
        rotation = _rotation(steps.wrapper)
    default = RecognitionPreprocessing()
    config = RecognitionPreprocessing(
        height=resize.read("height", int),
        min_width=resize.read("min_width", optional(whole), None),
        max_width=resize.read("max_width", optional(whole), None),
        keep_aspect_ratio=resize.read("keep_aspect_ratio", bool, True),
        width_downsample_ratio=resize.read(
            "width_downsample_ratio", float, default.width_downsample_ratio
        ),
        pad_value=resize.read("img_pad_value", int, default.pad_value),
        color=color,
        mean=normalize.read("mean", several(number)),
        std=normalize.read("std", several(number)),
        unit_range=unit_range,
        exif=loading.exif,
        **rotation,
    )
    steps.finish()
    return config


def kie_preprocessing(pipeline: object, norm_px: float, *, visual: bool) -> KiePreprocessing:
    """What a test pipeline of key information extraction does to a page.

    Args:
        pipeline: list of steps; without ``ResizeNoImg`` it works on the picture.
        norm_px: see ``KiePreprocessing``.
        visual: whether the network needs the picture.

    Raises:
        ConfigError: a step, an argument or an order that is not served.
    """
    names = [step.read("type", str) for step in _sections(pipeline, "the test pipeline")]
    without_picture = "ResizeNoImg" in names
    if visual and without_picture:
        raise ConfigError(
            "the test pipeline has ResizeNoImg, which reads no picture, but visual_modality=True "
            "needs one; use Resize, Normalize and Pad as sdmgr_unet16_60e_wildreceipt.py does"
        )
    steps = _Steps(
        pipeline,
        wrapper="MultiScaleFlipAug",
        order=(
            *((_LOADERS,) if not without_picture else ()), ("LoadAnnotations",),
            *((("ResizeNoImg",),) if without_picture
              else (("Resize",), ("RandomFlip",), ("Normalize",), ("Pad",))),
            ("KIEFormatBundle",), _FORMATTING,
        ),
    )  # fmt: skip
    if steps.wrapper is not None:
        raise ConfigError(f"{steps.wrapper.path}: MultiScaleFlipAug does not go with boxes")
    steps.need("KIEFormatBundle").skip(("img_to_float", "pad_val"))
    annotations = steps.find("LoadAnnotations")
    if annotations is not None:
        annotations.skip(("with_bbox", "with_label", "with_mask", "with_seg", "poly2mask"))
    resize = steps.need("ResizeNoImg" if without_picture else "Resize")
    page: dict[str, Any] = {
        "image_scale": resize.read("img_scale", _image_scale),
        "keep_ratio": resize.read("keep_ratio", bool, True),
    }
    if not without_picture:
        page |= _picture_of_page(steps)
    steps.finish()
    return KiePreprocessing(DetectionPreprocessing(**page), norm_px)


def _picture_of_page(steps: _Steps) -> dict[str, Any]:
    loading = steps.loading()
    if loading.gray:
        raise ConfigError("the test pipeline loads grey images; this model reads colour")
    resize, normalize, pad = (steps.need(name) for name in ("Resize", "Normalize", "Pad"))
    resize.fix(ratio_range=None, backend="cv2", interpolation="bilinear")
    resize.skip(("multiscale_mode", "bbox_clip_border", "override"))
    pad.fix(size=None, pad_to_square=False, pad_val=0)
    flip = steps.find("RandomFlip")
    if flip is not None:
        flip.fix(flip_ratio=0.0)
        flip.skip(("direction",))
    return {
        "mean": normalize.read("mean", several(number)),
        "std": normalize.read("std", several(number)),
        "to_rgb": normalize.read("to_rgb", bool, True),
        "size_divisor": pad.read("size_divisor", int),
        "exif": loading.exif,
    }


def _rotation(wrapper: Section) -> dict[str, Any]:
    degrees = wrapper.read("rotate_degrees", optional(_degrees), None) or (0,)
    return {
        # MMOCR always tries the crop as it is, last where the list does not name it.
        "rotate_degrees": degrees if 0 in degrees else (*degrees, 0),
        "rotate_always": wrapper.read("force_rotate", bool, False),
        "swap_rotated_shape": wrapper.read("swap_rotated_shape", bool, False),
    }


class _Steps:
    """A test pipeline: its steps by name, in an order that is checked.

    Args:
        pipeline: list of dictionaries.
        wrapper: the step that may hold the rest under ``transforms``.
        order: groups of step names; a step may not stand before one of an earlier group.
    """

    def __init__(
        self, pipeline: object, *, wrapper: str, order: tuple[tuple[str, ...], ...]
    ) -> None:
        self.wrapper: Section | None = None
        self._steps: dict[str, Section] = {}
        known = [name for group in order for name in group]
        sections = []
        for step in _sections(pipeline, "the test pipeline"):
            if step.type_name([*known, wrapper]) != wrapper:
                sections.append(step)
                continue
            self.wrapper = step
            inner = step.read("transforms", several(dict))
            sections.extend(_sections(inner, f"{step.path}.transforms"))
        stage = 0
        for step in sections:
            name = step.type_name(known)
            position = next(i for i, group in enumerate(order) if name in group)
            if position < stage or (name in self._steps and name not in _FORMATTING):
                raise ConfigError(
                    f"{step.path}: {name} cannot stand here; steps are served in the order "
                    f"{', '.join(known)}, each once"
                )
            stage = position
            if name in _FORMATTING:
                step.skip(("keys", "meta_keys"))
                step.finish()
            self._steps[name] = step

    def find(self, name: str) -> Section | None:
        """The step of that name, if there is one."""
        return self._steps.get(name)

    def need(self, name: str) -> Section:
        """The step of that name."""
        if name not in self._steps:
            raise ConfigError(f"the test pipeline has no step {name}")
        return self._steps[name]

    def loading(self) -> _Loading:
        """How the first step reads an image."""
        loaders = [self._steps[name] for name in _LOADERS if name in self._steps]
        if not loaders:
            raise ConfigError(f"the test pipeline does not begin with one of {', '.join(_LOADERS)}")
        loaders[0].fix(to_float32=False, channel_order="bgr")
        loaders[0].skip(("file_client_args",))
        name = loaders[0].read("color_type", str, "color")
        if name not in _COLOR_TYPES:
            raise ConfigError(
                f"{loaders[0].path}.color_type is {name!r}{did_you_mean(name, _COLOR_TYPES)}"
            )
        return _COLOR_TYPES[name]

    def finish(self) -> None:
        """Raise ConfigError if a step has a key that nobody read."""
        for step in self._steps.values():
            step.finish()
        if self.wrapper is not None:
            self.wrapper.finish()


def _sections(steps: object, path: str) -> list[Section]:
    if not isinstance(steps, (list, tuple)) or not steps:
        raise ConfigError(f"{path}: expected a list of steps, got {steps!r:.80}")
    return [Section(step, f"{path}[{i}]") for i, step in enumerate(steps)]


def _image_scale(value: Any) -> tuple[int, int]:
    """(width, height); also a list of one such pair."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    match value:
        case (int(width), int(height)):
            return width, height
    raise TypeError(f"expected one pair (width, height), got {value!r:.80}")


def _degrees(value: Any) -> tuple[int, ...]:
    return several(whole)(value if isinstance(value, (list, tuple)) else [value])
