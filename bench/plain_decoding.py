"""Character by character as MMOCR does it: what ``bench.recognition`` measures against.

Every step goes through everything again that earlier steps went through already: attention keys of
the map, the recurrent network over all characters so far, and, where the decoder learns in
parallel, attention at every position. Every line runs to the last step. Each function takes a
network, what its ``encode`` gave and the valid ratios (B,), and returns what MMOCR 0.6.1 computes
for all T steps: probabilities (B, T, K), MASTER logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ocr_models.recognition.masking import valid_mask
from ocr_models.recognition.master import MASTER, MASTERConfig
from ocr_models.recognition.nrtr import NRTR, NRTRConfig
from ocr_models.recognition.robust_scanner import RobustScanner, RobustScannerConfig
from ocr_models.recognition.sar import SAR, SARConfig, SequentialSARDecoder
from ocr_models.recognition.satrn import SATRN, SATRNConfig


def plain_sar(network: SAR, encoded: tuple[Tensor, ...], valid_ratios_B: Tensor) -> Tensor:
    """SAR with either decoder."""
    _, features_BHWD, read_BWE = encoded
    features_BDHW = features_BHWD.permute(0, 3, 1, 2)
    summary_BE = network.encoder.summary(read_BWE, valid_ratios_B)
    if isinstance(network.decoder, SequentialSARDecoder):
        return _plain_sequential_sar(network, features_BDHW, summary_BE, valid_ratios_B)
    return _plain_parallel_sar(network, features_BDHW, summary_BE, valid_ratios_B)


def _plain_parallel_sar(
    network: SAR, features_BDHW: Tensor, summary_BE: Tensor, valid_ratios_B: Tensor
) -> Tensor:
    config, decoder = network.config, network.decoder
    targets_BT = torch.full((len(summary_BE), config.max_seq_len), config.start_index)
    probabilities = []
    for i in range(config.max_seq_len):
        logits_BTK = decoder.teacher_forced(features_BDHW, summary_BE, targets_BT, valid_ratios_B)
        probabilities.append(logits_BTK[:, i].softmax(-1))
        if i + 1 < config.max_seq_len:
            targets_BT[:, i + 1] = probabilities[-1].argmax(-1)
    return torch.stack(probabilities, 1)


def _plain_sequential_sar(
    network: SAR, features_BDHW: Tensor, summary_BE: Tensor, valid_ratios_B: Tensor
) -> Tensor:
    config, decoder = network.config, network.decoder
    text_BW = decoder.text_columns(features_BDHW.shape[-1], valid_ratios_B)
    features_BHWD = features_BDHW.permute(0, 2, 3, 1)
    classes_B = torch.full((len(summary_BE),), config.start_index)
    state = decoder.start(summary_BE)
    probabilities = []
    for i in range(config.max_seq_len):
        said_BC, state = decoder.advance(i, decoder.embedding(classes_B), state)
        keys_BHWA = decoder.keys(features_BDHW)
        logits_B1K = decoder.logits(said_BC[:, None], keys_BHWA, features_BHWD, summary_BE, text_BW)
        probabilities.append(logits_B1K[:, 0].softmax(-1))
        classes_B = probabilities[-1].argmax(-1)
    return torch.stack(probabilities, 1)


def plain_robust_scanner(
    network: RobustScanner, encoded: tuple[Tensor, ...], valid_ratios_B: Tensor
) -> Tensor:
    """RobustScanner: the position decoder once, the hybrid one over the whole prefix each time."""
    config, decoder = network.config, network.decoder
    steps_T = torch.arange(config.max_seq_len)
    keys, position_keys, values = (part.flatten(1, 2) for part in encoded)
    _, height, width, _ = encoded[0].shape
    text_BW = valid_mask(
        width, valid_ratios_B if config.masked else torch.ones_like(valid_ratios_B)
    )
    text_BP = text_BW[:, None].expand(-1, height, -1).flatten(1)
    position_BTV = _attend(decoder.position_decoder(steps_T)[None], position_keys, values, text_BP)
    classes_BT = torch.full((len(keys), config.max_seq_len), config.start_index)
    probabilities = []
    for i in range(config.max_seq_len):
        queries_BTM, _ = decoder.hybrid_decoder(classes_BT)
        hybrid_BTV = _attend(queries_BTM, keys, values, text_BP)
        fused_BV = decoder.fusion_module(hybrid_BTV[:, i], position_BTV[:, i])
        probabilities.append(decoder.prediction(fused_BV).softmax(-1))
        if i + 1 < config.max_seq_len:
            classes_BT[:, i + 1] = probabilities[-1].argmax(-1)
    return torch.stack(probabilities, 1)


def _attend(queries_BTM: Tensor, keys_BPM: Tensor, values_BPV: Tensor, text_BP: Tensor) -> Tensor:
    bias_B1P = torch.zeros(text_BP.shape).masked_fill(~text_BP, -torch.inf)[:, None]
    queries_BTM = queries_BTM.expand(len(keys_BPM), -1, -1)
    return F.softmax(queries_BTM @ keys_BPM.transpose(1, 2) + bias_B1P, -1) @ values_BPV


def plain_nrtr(
    network: NRTR | SATRN, encoded: tuple[Tensor, ...], valid_ratios_B: Tensor
) -> Tensor:
    """Probabilities; the sequence has its full length from the start, filled up with padding."""
    config = network.config.decoder
    (encoded_BSD,) = encoded
    steps = config.max_seq_len
    classes_BT = torch.full((len(encoded_BSD), steps + 1), config.padding_index)
    classes_BT = classes_BT.to(encoded_BSD.device)
    classes_BT[:, 0] = config.start_index
    outputs = []
    for step in range(steps):
        logits_BTK = network.decoder(classes_BT, encoded_BSD, valid_ratios_B)
        outputs.append(logits_BTK[:, step].softmax(1))
        classes_BT[:, step + 1] = outputs[-1].argmax(1)
    return torch.stack(outputs, dim=1)


def plain_master(network: MASTER, encoded: tuple[Tensor, ...], valid_ratios_B: Tensor) -> Tensor:
    """Logits; all of them are those of the last step."""
    config = network.config
    (encoded_BSD,) = encoded
    classes_BT = torch.full((len(encoded_BSD), 1), config.start_index).to(encoded_BSD.device)
    for _ in range(config.max_seq_len):
        logits_BTK = network.decoder(classes_BT, encoded_BSD)
        next_B1 = logits_BTK[:, -1:].argmax(2)
        classes_BT = torch.cat([classes_BT, next_B1], dim=1)
    return logits_BTK


PLAIN: Mapping[type, Callable[..., Tensor]] = {
    MASTERConfig: plain_master,
    NRTRConfig: plain_nrtr,
    RobustScannerConfig: plain_robust_scanner,
    SARConfig: plain_sar,
    SATRNConfig: plain_nrtr,
}
"""By the network's config."""
