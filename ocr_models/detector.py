"""Text detection from image to boundaries: one path for server, command line and evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from ocr_models.clock import StageClock
from ocr_models.detection.families import FAMILIES, build_network
from ocr_models.geometry import to_original
from ocr_models.preprocessing import detection_input
from ocr_models.results import DetectionResult
from ocr_models.runtime import RuntimeOptions, TwoStageRuntime, make_runtime
from ocr_models.spec import DetectorSpec
from ocr_models.weights import load_into


class TextDetector:
    """Finds text in photos.

    Images are run one by one: on a CPU a batch of photos is no faster than its members in turn, and
    so a result cannot depend on what else was in the batch.

    Args:
        spec: what the detector is.
        state_dict: its weights.
        options: how to run it.
        source: names the weights in error messages.

    Raises:
        WeightsError: the weights do not fit the network.
        ConfigError: the runtime asked for is not to be had.
    """

    def __init__(
        self,
        spec: DetectorSpec,
        state_dict: Mapping[str, Tensor],
        options: RuntimeOptions = RuntimeOptions(),
        source: str = "state dict",
    ) -> None:
        family = FAMILIES[type(spec.network)]
        # Runtimes learn the network's steps from an example, and these may be fewer for sizes that
        # are multiples of 32; so the example is one of those only where every image will be.
        side = 64 + spec.preprocessing.size_divisor % 32
        network = build_network(spec.network)
        load_into(network, state_dict, source=source)
        self.spec = spec
        self._family = family
        self._runtime = make_runtime(
            network,
            getattr(network, family.inference),
            options,
            (1, 3, side, side),
            traceable=family.traceable,
        )
        self._two_stages = (
            TwoStageRuntime(self._runtime, getattr(network, family.second_stage), options)
            if family.second_stage
            else None
        )

    @property
    def runtime_name(self) -> str:
        """Library, device and precision that run the network."""
        return self._runtime.name

    def predict(
        self, images: Sequence[np.ndarray], *, clock: StageClock | None = None
    ) -> list[DetectionResult]:
        """Finds the text of each image.

        Args:
            images: uint8 (H, W, 3) BGR each.
            clock: where to add up the seconds of the stages.

        Returns:
            One result per image, in order; points in pixels of that image.
        """
        clock = clock or StageClock()
        return [self._predict(image, clock) for image in images]

    def _predict(self, image: np.ndarray, clock: StageClock) -> DetectionResult:
        with clock.stage("preprocess"):
            prepared = detection_input(image, self.spec.preprocessing)
        with clock.stage("network"):
            if self._two_stages:
                outputs = self._two_stages(prepared.tensor[None], content=prepared.resized_shape)
            else:
                outputs = tuple(output[0] for output in self._runtime(prepared.tensor[None]))
        with clock.stage("postprocess"):
            boundaries = self._family.boundaries(outputs, self.spec.postprocessing, prepared)
            if self._family.map_scale is not None:
                boundaries = to_original(boundaries, prepared.scale_factor, self._family.map_scale)
        return DetectionResult(tuple(boundaries), width=image.shape[1], height=image.shape[0])

    def warm_up(self) -> None:
        """Runs once, so that the first request does not pay for lazy set-up."""
        width, height = self.spec.preprocessing.image_scale
        self.predict([np.zeros((min(width, height), max(width, height), 3), np.uint8)])
