"""Text recognition from crops to texts: one path for server, command line and evaluation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from ocr_models.clock import StageClock
from ocr_models.codecs.families import build_codec
from ocr_models.preprocessing import RecognitionInput, recognition_inputs
from ocr_models.recognition.families import FAMILIES, build_network
from ocr_models.results import RecognitionResult
from ocr_models.runtime import RuntimeOptions, TwoStageRuntime, make_runtime
from ocr_models.spec import RecognizerSpec
from ocr_models.weights import load_into

MAX_BATCH_PIXELS = 32 * 32 * 160  # of the network's input: about 32 crops of average length


class TextRecognizer:
    """Reads crops that hold one word or line each.

    Crops are batched only with crops of exactly their own input width. Padding would be cheaper to
    schedule, but the network would see it, and a text would depend on its neighbours.

    Args:
        spec: what the recogniser is.
        state_dict: its weights.
        options: how to run it.
        source: names the weights in error messages.

    Raises:
        WeightsError: the weights do not fit the network.
        ConfigError: the runtime asked for is not to be had.
    """

    def __init__(
        self,
        spec: RecognizerSpec,
        state_dict: Mapping[str, Tensor],
        options: RuntimeOptions = RuntimeOptions(),
        source: str = "state dict",
    ) -> None:
        family = FAMILIES[type(spec.network)]
        network = build_network(spec.network)
        load_into(network, state_dict, source=source)
        self.spec = spec
        self.codec = build_codec(spec.codec)
        self._family = family
        config = spec.preprocessing
        self._runtime = make_runtime(
            network,
            getattr(network, family.encode),
            options,
            (2, config.channels, config.height, config.max_width or 4 * config.height),
            fixed_height=True,
            masked=family.masked,
        )
        self._two_stages = (
            TwoStageRuntime(self._runtime, getattr(network, family.decode), options)
            if family.decode
            else None
        )

    @property
    def runtime_name(self) -> str:
        """Library, device and precision that run the network."""
        return self._runtime.name

    def predict(
        self, crops: Sequence[np.ndarray], *, clock: StageClock | None = None
    ) -> list[RecognitionResult]:
        """Reads each crop.

        Args:
            crops: uint8 (H, W, 3) BGR each.
            clock: where to add up the seconds of the stages.

        Returns:
            One result per crop, in order. Of a crop that was tried in several rotations, the one
            with the best score, the first on a tie.
        """
        clock = clock or StageClock()
        with clock.stage("preprocess"):
            inputs = [
                (owner, prepared)
                for owner, crop in enumerate(crops)
                for prepared in recognition_inputs(crop, self.spec.preprocessing)
            ]
        readings: dict[int, RecognitionResult] = {}
        for batch in _batches([prepared for _, prepared in inputs]):
            with clock.stage("preprocess"):
                tensor_BCHW = np.stack([inputs[i][1].tensor for i in batch])
                ratios = [inputs[i][1].valid_ratio for i in batch]
            with clock.stage("network"):
                outputs = self._network_outputs(tensor_BCHW, np.array(ratios, np.float32))
            with clock.stage("postprocess"):
                decoded = self.codec.decode(
                    outputs, ratios, probabilities=self._family.probabilities
                )
                for i, reading in zip(batch, decoded, strict=True):
                    readings[i] = replace(reading, rotation=inputs[i][1].rotation)
        best: dict[int, RecognitionResult] = {}
        for i, (owner, _) in enumerate(inputs):
            if owner not in best or readings[i].score > best[owner].score:
                best[owner] = readings[i]
        return [best[owner] for owner in range(len(crops))]

    def _network_outputs(self, tensor_BCHW: np.ndarray, ratios_B: np.ndarray) -> np.ndarray:
        inputs = (tensor_BCHW, ratios_B) if self._family.masked else (tensor_BCHW,)
        if self._two_stages:
            (outputs,) = self._two_stages(*inputs, content=ratios_B)
        else:
            (outputs,) = self._runtime(*inputs)
        return outputs

    def warm_up(self) -> None:
        """Runs once, so that the first request does not pay for lazy set-up."""
        height = self.spec.preprocessing.height
        self.predict([np.zeros((height, 4 * height, 3), np.uint8)])


def _batches(inputs: Sequence[RecognitionInput]) -> Iterator[list[int]]:
    """Indices of inputs of one shape each, few enough for a moderate tensor."""
    by_width: dict[int, list[int]] = defaultdict(list)
    for i, prepared in enumerate(inputs):
        by_width[prepared.tensor.shape[2]].append(i)
    for width, members in sorted(by_width.items()):
        size = max(1, MAX_BATCH_PIXELS // (inputs[members[0]].tensor.shape[1] * width))
        for start in range(0, len(members), size):
            yield members[start : start + size]
