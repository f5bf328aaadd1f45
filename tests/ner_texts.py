"""Texts with entities, and a config for a BERT small enough to learn them by heart in seconds."""

from __future__ import annotations

import json
from pathlib import Path

VOCABULARY_LINES = 21_128
CATEGORIES = ("name", "place")
NAMES = ("ann lee", "bob", "carla diaz", "dan")
PLACES = ("rome", "new york", "oslo", "lima", "bern")
TEMPLATES = ("{name} lives in {place}", "in {place} we met {name}")

CONFIG = """
convertor = dict(
    type='NerConvertor', annotation_type='bio', vocab_file='DATA/vocab.txt',
    categories=['name', 'place'], max_len=40)
model = dict(
    type='NerClassifier',
    encoder=dict(
        type='BertEncoder', vocab_size=VOCAB_SIZE, hidden_size=64, num_hidden_layers=2,
        num_attention_heads=4, intermediate_size=128, max_position_embeddings=40,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.1,
        init_cfg=None),
    decoder=dict(type='FCDecoder', hidden_size=64, hidden_dropout_prob=0.0),
    loss=dict(type='MaskedCrossEntropyLoss'),
    label_convertor=convertor)
texts = dict(
    type='NerDataset', ann_file='DATA/train.json',
    loader=dict(
        type='HardDiskLoader', repeat=1,
        parser=dict(type='LineJsonParser', keys=['text', 'label'])),
    pipeline=[
        dict(type='NerTransform', label_convertor=convertor, max_len=40),
        dict(type='ToTensorNER')])
data = dict(samples_per_gpu=10, train=texts, val=texts, test=texts)
optimizer = dict(type='AdamW', lr=3e-3)
lr_config = dict(policy='CosineAnnealing', by_epoch=False, min_lr=1e-5)
runner = dict(type='IterBasedRunner', max_iters=ITERATIONS)
checkpoint_config = dict(interval=1000)
evaluation = dict(interval=1000, metric='f1-score', save_best='f1-score')
log_config = dict(interval=10, hooks=[dict(type='TextLoggerHook')])
"""


def texts() -> list[dict[str, object]]:
    """Twenty annotated texts in the format of CLUENER."""
    pairs = [(name, place) for name in NAMES for place in PLACES]
    annotated: list[dict[str, object]] = []
    for number, (name, place) in enumerate(pairs):
        text = TEMPLATES[number % 2].format(name=name, place=place)
        label = {
            category: {entity: [[text.index(entity), text.index(entity) + len(entity) - 1]]}
            for category, entity in (("name", name), ("place", place))
        }
        annotated.append({"text": text, "label": label})
    return annotated


def write_texts(folder: Path, iterations: int = 120) -> Path:
    """``train.json``, ``vocab.txt`` and ``config.py``; returns the config."""
    lines = [json.dumps(each, ensure_ascii=False) for each in texts()]
    (folder / "train.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz "]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    config = CONFIG.replace("DATA", str(folder)).replace("VOCAB_SIZE", str(len(tokens)))
    path = folder / "config.py"
    path.write_text(config.replace("ITERATIONS", str(iterations)), encoding="utf-8")
    return path


def write_cluener_vocabulary(folder: Path) -> None:
    """A stand-in for the vocabulary that MMOCR's config names, as long as the real one."""
    path = folder / "data" / "cluener2020" / "vocab.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"token{i}\n" for i in range(VOCABULARY_LINES)), encoding="utf-8")
