"""The models that are measured, and the photo they are measured on.

MMOCR's networks get weights by formula (no published weights are needed to measure speed); ours
get the default weights when the package has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor, nn

from ocr_models.bundle import write_bundle
from ocr_models.detection.families import build_network
from ocr_models.from_mmocr import model_from_mmocr
from ocr_models.images import read_image
from ocr_models.mmocr_config import load_config
from ocr_models.recognition.families import build_network as build_recognizer
from ocr_models.spec import DetectorSpec, RecognizerSpec
from ocrserve.archives.build import ModelSource, load_source
from ocrserve.model_names import DEFAULT_FOLDERS
from tests.conformance import formulas

ROOT = Path(__file__).parents[1]
SAMPLE_PHOTO = ROOT / "ocrserve" / "assets" / "sample.jpg"
PHOTO_SIZE = (1280, 720)

CONFIGS = {
    "DBNet-R18": "textdet/dbnet/dbnet_r18_fpnc_1200e_icdar2015.py",
    "light DBNet": "textdet/dbnet/dbnet_light_fpnc_synthetic.py",
    "CRNN": "textrecog/crnn/crnn_academic_dataset.py",
    "light CRNN": "textrecog/crnn/crnn_light_synthetic.py",
}
DEFAULT_MODELS = {"light DBNet": "detector", "light CRNN": "recognizer"}


@dataclass(frozen=True)
class Model:
    """A model with weights.

    Args:
        name: a key of ``CONFIGS``.
        spec: what it is.
        state_dict: its weights.
        trained: whether they are more than numbers by formula.
    """

    name: str
    spec: DetectorSpec | RecognizerSpec
    state_dict: Mapping[str, Tensor]
    trained: bool

    def network(self) -> nn.Module:
        """A new copy of the network in evaluation mode."""
        network = _network(self.spec)
        network.load_state_dict(self.state_dict)
        return network.eval().requires_grad_(False)

    def write_folder(self, folder: Path) -> Path:
        """A model folder, to build an archive from."""
        role = "detector" if isinstance(self.spec, DetectorSpec) else "recognizer"
        models = {role: (self.spec, self.state_dict)}
        write_bundle(folder, created_by="bench", **models)  # type: ignore[arg-type]
        return folder


def load_model(name: str) -> Model:
    """A model by its name in ``CONFIGS``."""
    if name in DEFAULT_MODELS and (folder := DEFAULT_FOLDERS / DEFAULT_MODELS[name]).is_dir():
        loaded = load_source(ModelSource(folder))
        found = loaded.detector or loaded.recognizer
        assert found is not None, "a model folder has a model"
        spec, state = found
        return Model(name, spec, state, trained=True)
    configured = model_from_mmocr(load_config(ROOT / "configs" / CONFIGS[name]))
    assert isinstance(configured, DetectorSpec | RecognizerSpec), "CONFIGS names no others"
    network = _network(configured)
    formulas.fill(network, 7)
    return Model(name, configured, network.state_dict(), trained=False)


def photo(path: Path = SAMPLE_PHOTO) -> np.ndarray:
    """The middle of a photo as 1280 x 720 BGR pixels."""
    image = read_image(path)
    height, width = image.shape[:2]
    target_width, target_height = PHOTO_SIZE
    scale = max(target_width / width, target_height / height)
    size = (max(target_width, round(width * scale)), max(target_height, round(height * scale)))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    left, top = (size[0] - target_width) // 2, (size[1] - target_height) // 2
    return np.ascontiguousarray(resized[top : top + target_height, left : left + target_width])


def jpeg(image: np.ndarray) -> bytes:
    """A BGR image as a JPEG of quality 90."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done, "OpenCV writes JPEG"
    return data.tobytes()


def _network(spec: DetectorSpec | RecognizerSpec) -> nn.Module:
    if isinstance(spec, DetectorSpec):
        return build_network(spec.network)
    return build_recognizer(spec.network)
