"""SDMG-R's config."""

from __future__ import annotations

from ocr_models.config_section import Section, optional, text
from ocr_models.errors import ConfigError
from ocr_models.kie.links import LinkSettings
from ocr_models.kie.preprocessing import read_characters, read_lines
from ocr_models.kie.sdmgr import BINS, SDMGRConfig
from ocr_models.mmocr_pipelines import kie_preprocessing
from ocr_models.spec import KieSpec

from .training_keys import finish

OPENSET_CLASSES = ("background", "key", "value", "others")
"""Names of an open-set model's four classes, where no file names them."""


def sdmgr(model: Section, pipeline: object, dataset: Section) -> KieSpec:
    """SDMG-R, with or without the visual branch.

    Args:
        model: the config's ``model``.
        pipeline: its test pipeline.
        dataset: the data set that it tests on, which names the dictionary.
    """
    model.fix(neck=None)
    visual = model.read("visual_modality", bool, False)
    backbone = model.section("backbone")
    backbone.type_name(["UNet"])
    backbone.fix(in_channels=3, num_stages=5)
    channels = backbone.read("base_channels", int, 64)
    finish(backbone, "UNet")
    if model.has("extractor"):
        _extractor(model.section("extractor"))
    network = _head(model.section("bbox_head"), visual)
    if network.visual_dim != channels:
        raise ConfigError(
            f"model.bbox_head.visual_dim is {network.visual_dim}, but the backbone gives {channels}"
        )
    openset = model.read("openset", bool, False)
    names = _class_names(model.read("class_list", optional(text), None), network, openset)
    finish(model, "SDMGR")
    if not dataset.has("dict_file"):
        raise ConfigError(
            "data.test names no dict_file, the characters that the model was trained with; add it, "
            "e.g. by the option data.test.dict_file=data/wildreceipt/dict.txt"
        )
    return KieSpec(
        network=network,
        preprocessing=kie_preprocessing(pipeline, dataset.read("norm", float, 10.0), visual=visual),
        characters=read_characters(dataset.read("dict_file", str)),
        class_names=names,
        links=_links(dataset) if openset else None,
    )


def _extractor(extractor: Section) -> None:
    extractor.type_name(["mmdet.SingleRoIExtractor", "SingleRoIExtractor"])
    extractor.fix(featmap_strides=(1,), roi_layer={"type": "RoIAlign", "output_size": BINS})
    extractor.finish()


def _head(head: Section, visual: bool) -> SDMGRConfig:
    head.type_name(["SDMGRHead"])
    head.fix(bidirectional=False)
    default = SDMGRConfig()
    sizes = {
        name: head.read(name, int, getattr(default, name))
        for name in (
            "num_chars", "num_classes", "fusion_dim", "node_input", "node_embed", "edge_input",
            "edge_embed", "num_gnn",
        )
    }  # fmt: skip
    config = SDMGRConfig(visual=visual, visual_dim=head.read("visual_dim", int, 64), **sizes)
    finish(head, "SDMGRHead")
    return config


def _class_names(path: str | None, network: SDMGRConfig, openset: bool) -> tuple[str, ...]:
    """Names from a file with ``NUMBER NAME`` on each line; without one, as MMOCR, the numbers."""
    count = network.num_classes
    if path is None:
        if openset and count == len(OPENSET_CLASSES):
            return OPENSET_CLASSES
        return tuple(map(str, range(count)))
    names: dict[int, str] = {}
    for line_number, line in enumerate(read_lines(path, "class list", "model.class_list"), 1):
        number, _, name = line.strip().partition(" ")
        if not line.strip():
            continue
        if not number.isdecimal() or not name.strip() or int(number) in names:
            raise ConfigError(
                f"{path}, line {line_number}: expected a new number and a name, e.g. "
                f"'1 Store_name_value'; got {line!r:.60}"
            )
        names[int(number)] = name.strip()
    if sorted(names) != list(range(count)):
        raise ConfigError(
            f"{path} names the classes {sorted(names)}; the model has 0 to {count - 1}"
        )
    return tuple(names[number] for number in range(count))


def _links(dataset: Section) -> LinkSettings:
    default = LinkSettings()
    return LinkSettings(
        link_type=dataset.read("link_type", str, default.link_type),  # type: ignore[arg-type]
        min_score=dataset.read("edge_thr", float, default.min_score),
        key_class=dataset.read("key_node_idx", int, default.key_class),
        value_class=dataset.read("value_node_idx", int, default.value_class),
    )
