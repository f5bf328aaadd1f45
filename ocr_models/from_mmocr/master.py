"""MASTER's config."""

from __future__ import annotations

from typing import Any

from ocr_models.codecs.attention import AttentionCodec
from ocr_models.config_section import Section, flag, several, whole
from ocr_models.errors import ConfigError
from ocr_models.mmocr_pipelines import recognition_preprocessing
from ocr_models.preprocessing import RecognitionPreprocessing
from ocr_models.recognition.master import MASTERConfig
from ocr_models.recognition.master_backbone import MASTERBackboneConfig
from ocr_models.spec import RecognizerSpec

from .codecs import attention_codec
from .readers import pass_handed_down
from .training_keys import finish


def master(model: Section, pipeline: object) -> RecognizerSpec:
    """MASTER."""
    model.fix(preprocessor=None, encoder=None)
    max_seq_len = model.read("max_seq_len", int, 40)
    codec_config = attention_codec(model.section("label_convertor"), max_seq_len)
    codec = AttentionCodec(codec_config)
    backbone = _backbone(model.section("backbone"))
    decoder = model.section("decoder")
    name = decoder.type_name(["MasterDecoder"])
    channels = decoder.read("d_model", int, 512)
    if channels != backbone.feature_channels:
        raise ConfigError(
            f"{decoder.path}.d_model is {channels}, but the backbone gives "
            f"{backbone.feature_channels}; make them agree"
        )
    default = MASTERConfig()
    network = MASTERConfig(
        backbone=backbone,
        layers=decoder.read("n_layers", int, default.layers),
        heads=decoder.read("n_head", int, default.heads),
        inner_channels=decoder.read("d_inner", int, default.inner_channels),
        max_cells=decoder.read("feat_size", int, default.max_cells),
        attention_dropout=decoder.read("attn_drop", float, default.attention_dropout),
        feed_forward_dropout=decoder.read("ffn_drop", float, default.feed_forward_dropout),
        cell_dropout=decoder.read("feat_pe_drop", float, default.cell_dropout),
        num_classes=codec.num_classes,
        start_index=codec.start_index,
        end_index=codec.end_index,
        padding_index=codec.padding_index,
        max_seq_len=max_seq_len,
    )
    pass_handed_down(decoder)
    finish(decoder, name)
    finish(model, "MASTER")
    preprocessing = recognition_preprocessing(pipeline)
    _check_size(decoder, network, preprocessing)
    return RecognizerSpec(network, preprocessing, codec_config)


def _check_size(
    decoder: Section, network: MASTERConfig, preprocessing: RecognitionPreprocessing
) -> None:
    """Every cell of the map needs its own position code."""
    height, width = preprocessing.height, preprocessing.max_width
    cells = None if width is None else network.backbone.cells(height, width)
    if cells is None or cells > network.max_cells:
        size = "of any width" if width is None else f"{width} px wide, {cells} cells"
        raise ConfigError(
            f"the test pipeline makes lines {height} px high and {size}, but {decoder.path} has "
            f"codes for {network.max_cells} cells (feat_size): set max_width of ResizeOCR, or "
            "feat_size"
        )


def _backbone(backbone: Section) -> MASTERBackboneConfig:
    """MMOCR's ``ResNet`` as MASTER has it: a pool before stages, a convolution after each."""
    name = backbone.type_name(["ResNet"])
    blocks = backbone.read("arch_layers", several(whole))
    backbone.fix(strides=(1,) * len(blocks), out_indices=None)
    pools = [(1, 1)] * len(blocks)
    convolved = (False,) * len(blocks)
    for i, settings in enumerate(backbone.read("plugins", several(dict))):
        plugin = Section(settings, f"{backbone.path}.plugins[{i}]")
        stages = plugin.read("stages", several(flag))
        if len(stages) != len(blocks):
            raise ConfigError(f"{plugin.path}.stages needs {len(blocks)} values, got {len(stages)}")
        inner = plugin.section("cfg")
        if inner.type_name(["Maxpool2d", "ConvModule"]) == "Maxpool2d":
            plugin.fix(position="before_stage")
            stride = inner.read("stride", _pair)
            if inner.read("kernel_size", _pair) != stride:
                raise ConfigError(f"{inner.path}.kernel_size must equal the stride, {stride}")
            inner.fix(padding=0)
            pools = [stride if here else pool for pool, here in zip(pools, stages, strict=True)]
        else:
            plugin.fix(position="after_stage")
            inner.fix(
                kernel_size=3, stride=1, padding=1, norm_cfg={"type": "BN"},
                act_cfg={"type": "ReLU"},
            )  # fmt: skip
            convolved = stages
        inner.finish()
        plugin.finish()
    if not all(convolved):
        raise ConfigError(f"{backbone.path}.plugins: every stage must end in a ConvModule")
    config = MASTERBackboneConfig(
        in_channels=backbone.read("in_channels", int),
        stem_channels=backbone.read("stem_channels", _one_or_more),
        blocks=blocks,
        channels=backbone.read("arch_channels", several(whole)),
        pools=tuple(pools),
        context_ratio=_context_ratio(backbone.section("block_cfgs")),
    )
    finish(backbone, name)
    return config


def _context_ratio(block: Section) -> float:
    """Every block must attend to the whole map after its second convolution."""
    block.type_name(["BasicBlock"])
    plugins: Any = block.read("plugins", lambda value: value)
    if isinstance(plugins, (list, tuple)):
        if len(plugins) != 1:
            raise ConfigError(f"{block.path}.plugins: expected one GCAModule, got {len(plugins)}")
        plugins = plugins[0]
    plugin = Section(plugins, f"{block.path}.plugins")
    plugin.fix(position="after_conv2")
    context = plugin.section("cfg")
    context.type_name(["GCAModule"])
    context.fix(n_head=1, pooling_type="att", is_att_scale=False, fusion_type="channel_add")
    ratio = context.read("ratio", float)
    for section in (context, plugin, block):
        section.finish()
    return ratio


def _pair(value: Any) -> tuple[int, int]:
    """(vertical, horizontal), from a pair or from one number for both."""
    numbers = (value, value) if type(value) is int else several(whole)(value)
    if len(numbers) != 2:
        raise ValueError(f"expected a pair (vertical, horizontal), got {value!r:.80}")
    return numbers[0], numbers[1]


def _one_or_more(value: Any) -> tuple[int, ...]:
    return (value,) if type(value) is int else several(whole)(value)
