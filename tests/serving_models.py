"""Small models for the tests of archives and servers: untrained, but with answers worth comparing.

An untrained DBNet gives an almost flat map. Here its BatchNorms are calibrated on one picture and
its last layer is stretched, so that it answers with several boxes of different shapes and scores.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ocr_models.bundle import Bundle, write_bundle
from ocr_models.codecs.charsets import DICT90
from ocr_models.codecs.ctc import CTCCodecConfig
from ocr_models.codecs.ner import NerCodec, NerCodecConfig
from ocr_models.detection.db_postprocess import DBPostprocessing
from ocr_models.detection.dbnet import DBNet, DBNetConfig
from ocr_models.key_info import KiePage, prepare_page
from ocr_models.kie.links import LinkSettings
from ocr_models.kie.preprocessing import KiePreprocessing
from ocr_models.kie.sdmgr import SDMGR, PageGraph, SDMGRConfig
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.ner.bert_softmax import BertConfig, BertSoftmax, BertSoftmaxConfig
from ocr_models.preprocessing import (
    DetectionPreprocessing,
    RecognitionPreprocessing,
    detection_input,
    recognition_inputs,
)
from ocr_models.recognition.crnn import CRNN, CRNNConfig, LightColumnsConfig
from ocr_models.spec import DetectorSpec, KieSpec, NerSpec, RecognizerSpec

CREATED_BY = "ocrserve tests"


def drawn_image(seed: int, width: int = 480, height: int = 320) -> np.ndarray:
    """A BGR picture with some words, different for every seed."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.integers(150, 256, 3), np.uint8)
    for row in range(2 + seed % 3):
        text = "".join(rng.choice(list("abcDEFgh 0123-?"), 3 + int(rng.integers(6))))
        at = (int(rng.integers(5, 60)), 60 + row * (height - 70) // 4)
        ink = [int(v) for v in rng.integers(0, 110, 3)]
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 1.6, ink, 3, cv2.LINE_AA)
    return image


def encoded(image: np.ndarray, suffix: str = ".png") -> bytes:
    """A BGR picture as a file."""
    done, data = cv2.imencode(suffix, image)
    assert done, suffix
    return data.tobytes()


def small_detector(seed: int = 0) -> tuple[DetectorSpec, Mapping[str, Tensor]]:
    """A DBNet of some 20,000 parameters."""
    config = DBNetConfig(
        backbone=LightResNetConfig(stem_channels=8, channels=(8, 8, 16, 16)), neck_channels=16
    )
    spec = DetectorSpec(
        network=config,
        preprocessing=DetectionPreprocessing(image_scale=(480, 320)),
        postprocessing=DBPostprocessing(
            text_repr_type="quad", mask_thr=0.5, min_text_score=0.3, min_text_width=3
        ),
    )
    torch.manual_seed(seed)
    network = DBNet(config)
    prepared = detection_input(drawn_image(1000), spec.preprocessing)
    images_BCHW = torch.from_numpy(prepared.tensor[None])
    _calibrate(network, images_BCHW)
    with torch.no_grad():
        logits = torch.logit(network.probability(images_BCHW), eps=1e-6)
        level, spread = torch.quantile(logits, 0.85).item(), logits.std().item()
        last = [m for m in network.bbox_head.binarize if isinstance(m, torch.nn.ConvTranspose2d)][
            -1
        ]
        assert last.bias is not None
        last.weight.mul_(2.0 / spread)
        last.bias.sub_(level).mul_(2.0 / spread)
    return spec, network.state_dict()


def small_recognizer(seed: int = 0) -> tuple[RecognizerSpec, Mapping[str, Tensor]]:
    """A CRNN of some 100,000 parameters over 90 characters."""
    codec = CTCCodecConfig(charset=DICT90)
    pyramid = LightResNetConfig(
        in_channels=1,
        stem_channels=8,
        channels=(16, 16, 24, 24),
        strides=((2, 2), (2, 1), (2, 1), (1, 1)),
    )
    config = CRNNConfig(
        backbone=LightColumnsConfig(pyramid=pyramid, feature_channels=32),
        num_classes=len(DICT90) + 2,
        hidden=32,
        layers=1,
    )
    spec = RecognizerSpec(
        network=config,
        preprocessing=RecognitionPreprocessing(min_width=32, max_width=160),
        codec=codec,
    )
    torch.manual_seed(seed)
    network = CRNN(config)
    crops = [recognition_inputs(drawn_image(i), spec.preprocessing)[0].tensor for i in range(8)]
    images_BCHW = torch.from_numpy(np.stack(crops))
    _calibrate(network, images_BCHW)
    with torch.no_grad():
        # Every class becomes equally likely on average, and the steps differ from each other.
        logits_BTK = network.logits(images_BCHW)
        last = [m for m in network.decoder.modules() if isinstance(m, torch.nn.Linear)][-1]
        last.bias.sub_(logits_BTK.mean((0, 1)))
        scale = 4.0 / logits_BTK.std((0, 1)).mean()
        last.weight.mul_(scale)
        last.bias.mul_(scale)
    return spec, network.state_dict()


def sample_page(seed: int, count: int = 12, width: int = 480, height: int = 320) -> KiePage:
    """A picture, with boxes and texts that have nothing to do with it."""
    rng = np.random.default_rng(seed)
    lefts, tops = rng.uniform(2, width - 90, count), rng.uniform(2, height - 40, count)
    sizes = rng.uniform((20, 10), (80, 30), (count, 2))
    boxes = [
        [x, y, x + w, y + 1, x + w, y + h, x, y + h]
        for x, y, (w, h) in zip(lefts.tolist(), tops.tolist(), sizes.tolist(), strict=True)
    ]
    letters = list("abcDEFgh 0123-?$.:")
    texts = ["".join(rng.choice(letters, int(rng.integers(0, 9)))) for _ in range(count)]
    return KiePage(drawn_image(seed, width, height), boxes, texts)


def small_extractor(
    seed: int = 0, *, visual: bool = True, openset: bool = True
) -> tuple[KieSpec, Mapping[str, Tensor]]:
    """An SDMG-R of some 60,000 parameters, whose answers differ from word to word."""
    names = ("background", "key", "value", "others")
    config = SDMGRConfig(
        visual=visual, visual_dim=4, num_chars=len(DICT90) + 2, num_classes=len(names),
        fusion_dim=60, node_input=8, node_embed=16, edge_embed=16,
    )  # fmt: skip
    spec = KieSpec(
        network=config,
        preprocessing=KiePreprocessing(DetectionPreprocessing(image_scale=(256, 128))),
        characters=(*DICT90, " "),
        class_names=names if openset else ("Ignore", "Total_key", "Total_value", "Date_value"),
        links=LinkSettings("one-to-many") if openset else None,
    )
    torch.manual_seed(seed)
    network = SDMGR(config)
    prepared = prepare_page(sample_page(1, 40), spec)
    images = None if prepared.tensor is None else torch.from_numpy(prepared.tensor[None])
    graph = PageGraph(*map(torch.from_numpy, prepared.graph))
    if images is not None:
        _calibrate(network.backbone, images)
    network.eval()
    with torch.no_grad():
        for logits, last in zip(
            network(images, [graph]),
            (network.bbox_head.node_cls, network.bbox_head.edge_cls),
            strict=True,
        ):
            scale = 2.0 / logits.std(0)
            last.bias.sub_(logits.mean(0)).mul_(scale)
            last.weight.mul_(scale[:, None])
    return spec, network.state_dict()


def small_vocabulary() -> tuple[str, ...]:
    """Special tokens, small letters, digits, some signs and some Chinese."""
    characters = (
        "abcdefghijklmnopqrstuvwxyz0123456789 .,&-" + "彭小军认为国内银行现在走的是台湾的发卡模式"
    )
    return ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(characters))


def small_entity_recognizer(
    seed: int = 0, max_len: int = 32
) -> tuple[NerSpec, Mapping[str, Tensor]]:
    """A BERT of some 30,000 parameters that finds entities of two categories at random."""
    codec = NerCodecConfig(small_vocabulary(), ("name", "place"), max_len=max_len)
    encoder = BertConfig(
        vocab_size=len(codec.vocabulary),
        hidden_size=32,
        num_layers=2,
        num_heads=2,
        intermediate_size=64,
        max_positions=max_len,
        initializer_range=0.3,
    )
    network_config = BertSoftmaxConfig(encoder, NerCodec(codec).num_labels)
    torch.manual_seed(seed)
    network = BertSoftmax(network_config)
    with torch.no_grad():
        # Every category becomes equally likely on average, and the rest unlikely.
        texts = ["ann lee met bob in rome. 4 offices", "彭小军认为国内银行现在走的是台湾的发卡模式"]
        tokens = [torch.from_numpy(NerCodec(codec).tokens(text[: max_len - 2])) for text in texts]
        logits_TK = torch.cat([network.eval().logits(own[None])[0] for own in tokens])
        bias = network.decoder.classifier.bias
        bias.sub_(logits_TK.mean(0))
        bias[[i for i, label in enumerate(NerCodec(codec).labels) if label[1:2] != "-"]] -= 1.0
    return NerSpec(network_config, codec), network.state_dict()


def _calibrate(network: torch.nn.Module, images_BCHW: Tensor) -> None:
    """Sets the statistics of every BatchNorm to those of these images."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    network.train()
    with torch.no_grad():
        network(images_BCHW)
    network.eval()


def write_small_bundle(folder: Path, task: str) -> Bundle:
    """A model folder of ``"detection"``, ``"recognition"``, ``"ocr"``, ``"kie"``, ``"ner"``, or the
    chain of three models, ``"receipts"``."""
    if task == "ner":
        model = small_entity_recognizer()
        return write_bundle(folder, created_by=CREATED_BY, entity_recognizer=model)
    return write_bundle(
        folder,
        created_by=CREATED_BY,
        detector=small_detector() if task in ("detection", "ocr", "receipts") else None,
        recognizer=small_recognizer() if task in ("recognition", "ocr", "receipts") else None,
        extractor=small_extractor() if task in ("kie", "receipts") else None,
    )


SAMPLE_TEXTS = (
    "彭小军认为国内银行现在走的是台湾的发卡模式",
    "Ann Lee met Bob in Rome.",
    "The 3 offices",
    "a",
)


def exif_rotated_jpeg(image: np.ndarray) -> bytes:
    """A JPEG that is stored lying on its side, with the EXIF orientation that sets it upright."""
    stored = Image.fromarray(cv2.cvtColor(np.rot90(image), cv2.COLOR_BGR2RGB))
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    stored.save(stream, "JPEG", exif=exif, quality=95, subsampling=0)
    return stream.getvalue()


@cache
def image_files() -> dict[str, bytes]:
    """One 480 x 320 picture in every format and kind of pixels that a client may send."""
    bgr = drawn_image(2)
    picture = Image.fromarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
    grey = picture.convert("L")
    alpha = picture.copy()
    alpha.putalpha(grey.point(lambda value: 255 if value < 120 else 90))
    other = Image.new("RGB", picture.size, "red")
    grey_16 = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)

    def saved(source: Image.Image, kind: str, **options: object) -> bytes:
        stream = io.BytesIO()
        source.save(stream, kind, **options)
        return stream.getvalue()

    return {
        "jpeg": saved(picture, "JPEG", quality=90),
        "jpeg progressive": saved(picture, "JPEG", progressive=True),
        "jpeg grey": saved(grey, "JPEG"),
        "jpeg cmyk": saved(picture.convert("CMYK"), "JPEG"),
        "png": saved(picture, "PNG"),
        "png grey": saved(grey, "PNG"),
        "png alpha": saved(alpha, "PNG"),
        "png grey alpha": saved(alpha.convert("LA"), "PNG"),
        "png palette": saved(picture.quantize(32), "PNG"),
        "png 16 bit": saved(grey_16, "PNG"),
        "png 1 bit": saved(grey.convert("1"), "PNG"),
        "png animated": saved(picture, "PNG", save_all=True, append_images=[other]),
        "webp": saved(picture, "WEBP", quality=90),
        "webp lossless alpha": saved(alpha, "WEBP", lossless=True),
        "webp animated": saved(picture, "WEBP", save_all=True, append_images=[other]),
        "gif animated": saved(picture, "GIF", save_all=True, append_images=[other]),
        "bmp": saved(picture, "BMP"),
        "bmp grey": saved(grey, "BMP"),
        "tiff": saved(picture, "TIFF", compression="tiff_lzw"),
        "tiff grey 16 bit": saved(grey_16, "TIFF", compression="tiff_lzw"),
        "tiff cmyk": saved(picture.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        "tiff several pages": saved(
            picture, "TIFF", save_all=True, append_images=[other], compression="tiff_lzw"
        ),
    }
