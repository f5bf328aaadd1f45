"""Runtimes: equal numbers, any shape, any thread, clear errors."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ocr_models import runtime as runtime_module
from ocr_models.detection.dbnet import DBNet, DBNetConfig
from ocr_models.errors import ConfigError
from ocr_models.layers.light_resnet import LightResNetConfig
from ocr_models.layers.tps import TPSConfig
from ocr_models.recognition.crnn import CRNN, CRNNConfig, LightColumnsConfig
from ocr_models.runtime import Runtime, RuntimeOptions, make_runtime
from tests.conformance import formulas

Network = tuple[nn.Module, Callable[[Tensor], Tensor], tuple[int, int, int, int], bool]

# Allowed difference to eager float32, as a part of the spread (standard deviation) of its numbers.
TOLERANCE = {"float32": 1e-4, "bfloat16": 6e-2}
SHAPES = {
    "detector": [(1, 3, 64, 96), (1, 3, 160, 64), (2, 3, 64, 96), (1, 3, 96, 32)],
    "recognizer": [(3, 1, 32, 64), (1, 1, 32, 176), (8, 1, 32, 32), (3, 1, 32, 64)],
    "straightening_recognizer": [(3, 1, 32, 64), (1, 1, 32, 128)],
}
WAYS = [
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("onnxruntime", "float32"),
]


def detector() -> Network:
    network = DBNet(DBNetConfig(LightResNetConfig(3, 8, (8, 16, 16, 24)), neck_channels=16))
    formulas.fill(network, 3)
    return network, network.probability, (1, 3, 64, 64), False


def recognizer() -> Network:
    network = CRNN(CRNNConfig(LightColumnsConfig(), 38, hidden=16))
    formulas.fill(network, 3)
    return network, network.logits, (2, 1, 32, 64), True


def straightening_recognizer() -> Network:
    config = TPSConfig(num_fiducial=6, rectified_size=(32, 64))
    network = CRNN(CRNNConfig(LightColumnsConfig(), 38, hidden=16, preprocessor=config))
    formulas.fill(network, 3)
    with torch.no_grad():  # points that lie as in a trained network
        code = network.get_submodule("preprocessor.LocalizationNetwork.localization_fc2")
        assert isinstance(code, nn.Linear)
        code.weight.mul_(0.05)
        x = torch.linspace(-0.9, 0.9, 3)
        points = torch.stack([x.repeat(2), torch.tensor([-0.8, 0.8]).repeat_interleave(3)], 1)
        code.bias.copy_(points.flatten())
    return network, network.logits, (2, 1, 32, 64), True


NETWORKS: dict[str, Callable[[], Network]] = {
    "detector": detector,
    "recognizer": recognizer,
    "straightening_recognizer": straightening_recognizer,
}


def made(name: str, kind: str, precision: str) -> Runtime:
    if kind != "torch":
        pytest.importorskip(kind)
    network, forward, example, fixed_height = NETWORKS[name]()
    options = RuntimeOptions(kind, "cpu", precision, threads=1)  # type: ignore[arg-type]
    return make_runtime(network, forward, options, example, fixed_height)


def inputs(name: str, shape: tuple[int, int, int, int]) -> np.ndarray:
    """Noise, smoothed where a tenth of a pixel's shift would show as another picture."""
    images = torch.from_numpy(formulas.tensor(shape, 1))
    if name == "straightening_recognizer":
        images = 5 * torch.nn.functional.avg_pool2d(images, 5, 1, 2)
    return images.numpy()


def eager(name: str, images_BCHW: np.ndarray) -> np.ndarray:
    network, forward, _, _ = NETWORKS[name]()
    network.eval()
    with torch.inference_mode():
        return forward(torch.from_numpy(images_BCHW)).numpy()


@pytest.mark.parametrize(("kind", "precision"), WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_numbers_equal_eager_float32(name: str, kind: str, precision: str) -> None:
    runtime = made(name, kind, precision)
    assert precision in runtime.name
    assert kind in runtime.name
    for shape in SHAPES[name]:  # each differs from the one before
        images = inputs(name, shape)
        expected = eager(name, images)
        (actual,) = runtime(images)
        assert actual.dtype == np.float32
        assert actual.shape == expected.shape
        difference = np.abs(actual - expected).max() / expected.std()
        # OpenVINO rounds the points to bfloat16, which shifts a crop by up to an eighth of a pixel.
        more = 2 if name == "straightening_recognizer" else 1
        assert difference <= more * TOLERANCE[precision], (shape, difference)


@pytest.mark.parametrize(("kind", "precision"), WAYS)
def test_neighbours_in_the_batch_change_nothing(kind: str, precision: str) -> None:
    runtime = made("recognizer", kind, precision)
    images = formulas.tensor((4, 1, 32, 96), 5)
    others = images.copy()
    others[1:] = formulas.tensor((3, 1, 32, 96), 6)
    (together,) = runtime(images)
    assert np.array_equal(together[0], runtime(others)[0][0])
    # Alone, sums may be taken in another order; nothing else differs.
    alone = runtime(images[:1])[0][0]
    assert np.abs(alone - together[0]).max() <= TOLERANCE[precision] / 2 * together.std()


@pytest.mark.parametrize(("kind", "precision"), WAYS)
def test_threads_do_not_mix(kind: str, precision: str) -> None:
    runtime = made("recognizer", kind, precision)
    inputs = [formulas.tensor((1, 1, 32, 32 + 16 * (i % 5)), i) for i in range(20)]
    expected = [runtime(images)[0] for images in inputs]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(expected, pool.map(runtime, inputs), strict=True):
            assert np.array_equal(one, other[0])


@pytest.mark.parametrize("kind", ["openvino", "onnxruntime"])
def test_result_outlives_the_next_call(kind: str) -> None:
    runtime = made("recognizer", kind, "float32")
    (first,) = runtime(formulas.tensor((1, 1, 32, 64), 1))
    kept = first.copy()
    runtime(formulas.tensor((1, 1, 32, 64), 2))
    assert np.array_equal(first, kept)


def test_auto_takes_openvino_and_falls_back_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    network, forward, example, fixed_height = recognizer()
    options = RuntimeOptions(device="cpu")
    if importlib.util.find_spec("openvino") is not None:
        runtime = make_runtime(network, forward, options, example, fixed_height)
        assert runtime.name.startswith("openvino ")
    monkeypatch.setattr(runtime_module, "_installed", lambda module: False)
    assert make_runtime(network, forward, options, example, fixed_height).name.startswith("torch ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "openvino"}, "pip install openvino"),
        ({"kind": "onnxruntime"}, "pip install onnxruntime"),
        ({"device": "cdua"}, "device 'cdua' is unknown"),
        ({"device": "cuda:0"}, "PyTorch sees no CUDA device"),
    ],
)
def test_what_is_missing_is_named(
    options: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, forward, example, _ = detector()
    monkeypatch.setattr(runtime_module, "_installed", lambda module: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=message):
        make_runtime(network, forward, RuntimeOptions(**options), example)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "tensorrt"}, "runtime is 'tensorrt'; allowed are auto, torch"),
        ({"precision": "int8"}, "precision is 'int8'; allowed are auto, float32"),
        ({"threads": 0}, "threads is 0; allowed are 1 and more"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RuntimeOptions(**options)  # type: ignore[arg-type]


def test_onnxruntime_refuses_bfloat16() -> None:
    with pytest.raises(ConfigError, match="no bfloat16 kernels"):
        made("detector", "onnxruntime", "bfloat16")


def test_openvino_sends_no_telemetry() -> None:
    pytest.importorskip("openvino")
    code = (
        "import sys; from ocr_models.runtime import import_openvino; import_openvino();"
        "assert sys.modules['openvino_telemetry'] is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
