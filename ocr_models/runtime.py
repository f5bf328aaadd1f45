"""How a network is run: PyTorch, OpenVINO or ONNX Runtime behind one small protocol.

``python -m bench.predict`` measures the choices, ``docs/benchmarks.md`` shows them. On a CPU
OpenVINO is the fastest that keeps the results, in bfloat16 where the processor has instructions for
it; then comes PyTorch with channels-last memory in the same precision. ``auto`` takes the first of
these that is installed. Every runtime takes any input size: a network prepared for each size of
photo would be a little faster, but would have to be kept for each.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ocr_models.errors import ConfigError

RuntimeKind = Literal["auto", "torch", "openvino", "onnxruntime"]
Precision = Literal["auto", "float32", "bfloat16"]
Forward = Callable[..., Tensor | tuple[Tensor, ...]]
"""From images (B, C, H, W), and for recognisers that mask their padding the valid ratios (B,), to
what the next step needs, each tensor with the batch first."""
SecondStage = Callable[[tuple[Tensor, ...], Any], Tensor | tuple[Tensor, ...]]
"""What follows ``Forward`` where the steps depend on what is in the image: its tensors, and where
the padding is. Detectors get one image at a time (1, ...) with the height and width of its part
that is not padding, both in pixels of the input, and give tensors without a batch axis; recognisers
get lines with their valid ratios (B,)."""


@dataclass(frozen=True)
class RuntimeOptions:
    """Choices about speed; results stay the same up to the precision's rounding.

    Args:
        kind: ``"auto"`` is OpenVINO on a CPU when it is installed, else PyTorch.
        device: ``"auto"`` is ``"cuda"`` when there is one, else ``"cpu"``; or PyTorch's name of it.
        precision: ``"auto"`` is bfloat16 where the device has instructions for it, else float32.
        threads: CPU threads of one prediction; None leaves the runtime's default (all cores).
            PyTorch has one such number for the whole process, so the last runtime made there wins.
    """

    kind: RuntimeKind = "auto"
    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("auto", "torch", "openvino", "onnxruntime"):
            raise ConfigError(
                f"runtime is {self.kind!r}; allowed are auto, torch, openvino, onnxruntime"
            )
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ConfigError(
                f"precision is {self.precision!r}; allowed are auto, float32, bfloat16"
            )
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads is {self.threads}; allowed are 1 and more")


class Runtime(Protocol):
    """A network ready to run; safe to call from several threads."""

    name: str

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Float32 images (B, C, H, W), perhaps valid ratios (B,) in, float32 out with the batch
        first; a tuple also for one.
        """
        ...


def make_runtime(
    network: nn.Module,
    forward: Forward,
    options: RuntimeOptions,
    example_BCHW: tuple[int, int, int, int],
    fixed_height: bool = False,
    traceable: bool = True,
    masked: bool = False,
) -> Runtime:
    """Prepares ``network`` for inference.

    Args:
        network: with its weights loaded; it is put into evaluation mode.
        forward: a bound method of ``network``: images to what inference needs, a tensor or a tuple
            of tensors.
        options: see ``RuntimeOptions``.
        example_BCHW: an input shape that the network accepts, best a small one: OpenVINO and ONNX
            Runtime learn the network by running it once. Batch and width, and the height unless
            fixed, may vary later.
        fixed_height: whether every input has the example's height.
        traceable: whether ``forward`` takes images and does the same steps for every input. Others
            run in PyTorch, which needs no example.
        masked: whether ``forward`` also takes the valid ratios (B,).

    Raises:
        ConfigError: the runtime asked for is not installed, or does not run on the device.
    """
    network.eval().requires_grad_(False)
    device = _device(options)
    kind = _kind(options, device) if traceable else _untraced_kind(options)
    if kind == "torch":
        return TorchRuntime(network, forward, device, _precision(options, device), options.threads)
    if device.type != "cpu":
        raise ConfigError(f"runtime {kind!r} runs on the CPU here, not on {device}; use 'torch'")
    inputs = [
        InputShape(
            "images",
            example_BCHW,
            (-1, example_BCHW[1], example_BCHW[2] if fixed_height else -1, -1),
        )
    ]
    if masked:
        inputs.append(InputShape("valid_ratios", example_BCHW[:1], (-1,)))
    if kind == "openvino":
        precision = _precision(options, device)
        return OpenVinoRuntime(ForwardPath(network, forward), inputs, precision, options.threads)
    if options.precision == "bfloat16":
        raise ConfigError("onnxruntime has no bfloat16 kernels on CPUs; use float32 or 'openvino'")
    return OnnxRuntime(ForwardPath(network, forward), inputs, options.threads)


@dataclass(frozen=True)
class InputShape:
    """One input of a traced network.

    Args:
        name: what it is.
        example: a shape that the network accepts.
        varying: the same with -1 where later inputs may differ.
    """

    name: str
    example: tuple[int, ...]
    varying: tuple[int, ...]


class TorchRuntime:
    """PyTorch, channels last; bfloat16 by autocast."""

    def __init__(
        self,
        network: nn.Module,
        forward: Forward,
        device: torch.device,
        precision: str,
        threads: int | None,
    ) -> None:
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.name = f"torch {torch.__version__} {device.type} {precision}"
        self._forward = forward
        self._device = device
        self._bfloat16 = precision == "bfloat16"
        if threads is not None and device.type == "cpu":
            torch.set_num_threads(threads)

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(output.cpu().numpy() for output in self.tensors(*inputs))

    def tensors(self, *inputs: np.ndarray) -> tuple[Tensor, ...]:
        """The outputs in float32, still on the device."""
        first, *others = (torch.from_numpy(array).to(self._device) for array in inputs)
        if first.dim() == 4:
            first = first.contiguous(memory_format=torch.channels_last)
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16),
        ):
            outputs = self._forward(first, *others)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        return tuple(output.float() for output in outputs)


class TwoStageRuntime:
    """A network in two parts, the second of which depends on what the first one found.

    The first runs wherever ``make_runtime`` put it, the second in PyTorch on the same device and in
    the same precision. Safe to call from several threads.

    Args:
        first: from ``make_runtime``, which has put the network where it runs.
        second: the bound method that goes on.
        options: those that ``first`` was made with.
    """

    def __init__(self, first: Runtime, second: SecondStage, options: RuntimeOptions) -> None:
        self._first = first
        self._second = second
        self._device = _device(options)
        self._bfloat16 = _precision(options, self._device) == "bfloat16"

    def __call__(
        self, *inputs: np.ndarray, content: tuple[int, int] | np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Runs both parts.

        Args:
            inputs: of the first part.
            content: where the images are not padding, as the second part wants it; an array
                becomes a tensor on the device.
        """
        found = _found_by(self._first, *inputs)
        on_device: Any = content
        if isinstance(content, np.ndarray):
            on_device = torch.from_numpy(content).to(self._device)
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16),
        ):
            outputs = self._second(found, on_device)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        return tuple(output.float().cpu().numpy() for output in outputs)


class GraphRuntime:
    """A network that takes more than an image: in PyTorch and float32, after what sees the image.

    Distances between words need more digits than bfloat16 has.

    Args:
        network: with its weights loaded; it is put into evaluation mode.
        second: the bound method that does the rest: features of an image, or None, and a tuple of
            tensors to a tuple of tensors.
        first: from ``make_runtime``, where a part of ``network`` sees the image.
        options: those that ``first`` was made with.
    """

    def __init__(
        self,
        network: nn.Module,
        second: Callable[[Tensor | None, tuple[Tensor, ...]], tuple[Tensor, ...]],
        first: Runtime | None,
        options: RuntimeOptions,
    ) -> None:
        self._device = _device(options)
        network.eval().requires_grad_(False).to(self._device)
        self._first = first
        self._second = second
        own = f"torch {torch.__version__} {self._device.type} float32"
        self.name = own if first is None else f"{first.name}, {own}"
        if options.threads is not None and self._device.type == "cpu":
            torch.set_num_threads(options.threads)

    def __call__(
        self, image_1CHW: np.ndarray | None, inputs: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, ...]:
        """Outputs of one image (None where no part sees it) and of arrays of any shape."""
        features: Tensor | None = None
        if self._first is not None and image_1CHW is not None:
            (features,) = _found_by(self._first, image_1CHW)
        tensors = tuple(torch.from_numpy(array).to(self._device) for array in inputs)
        with torch.inference_mode():
            outputs = self._second(features, tensors)
        return tuple(output.cpu().numpy() for output in outputs)


def _found_by(first: Runtime, *inputs: np.ndarray) -> tuple[Tensor, ...]:
    """What the first part of a network gives to the second, on the device of both.

    Other runtimes than PyTorch run on the CPU, and so does what follows them.
    """
    if isinstance(first, TorchRuntime):
        return first.tensors(*inputs)
    return tuple(torch.from_numpy(output) for output in first(*inputs))


class OpenVinoRuntime:
    """OpenVINO on the CPU; in bfloat16 the sums and the last layer's output are float32."""

    def __init__(
        self,
        network: nn.Module,
        inputs: Sequence[InputShape],
        precision: str,
        threads: int | None,
    ) -> None:
        openvino = import_openvino()
        examples = tuple(torch.ones(shape.example) for shape in inputs)
        with quiet_exporter():
            # Given a module, OpenVINO traces it and runs it twice more to check the trace.
            traced = torch.jit.trace(network, examples, check_trace=False)
            shapes = [openvino.PartialShape(list(shape.varying)) for shape in inputs]
            model = openvino.convert_model(traced, input=shapes)
        settings: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
            # Every worker of a server would pin its threads to the same first cores.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self.name = f"openvino {openvino.__version__.split('-')[0]} cpu {precision}"
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        with self._lock:  # one request holds one set of buffers
            outputs = self._request.infer(list(inputs), share_inputs=True)
            return tuple(np.asarray(output) for output in outputs.values())


class OnnxRuntime:
    """ONNX Runtime on the CPU, float32."""

    def __init__(
        self,
        network: nn.Module,
        inputs: Sequence[InputShape],
        threads: int | None,
    ) -> None:
        import onnxruntime

        axes = ("batch", "channels", "height", "width")
        varying = {
            shape.name: {i: axes[i] for i, size in enumerate(shape.varying) if size < 0}
            for shape in inputs
        }
        # With a larger batch, LSTMs would be fixed to it.
        examples = tuple(torch.ones(1, *shape.example[1:]) for shape in inputs)
        buffer = io.BytesIO()
        with quiet_exporter():
            torch.onnx.export(
                network, examples, buffer,  # type: ignore[arg-type]  # takes streams as well
                input_names=list(varying), dynamic_axes=varying, dynamo=False,
            )  # fmt: skip
        self._names = list(varying)
        settings = onnxruntime.SessionOptions()
        # Idle threads that spin would take the cores from other workers.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            settings.intra_op_num_threads = threads
        self.name = f"onnxruntime {onnxruntime.__version__} cpu float32"
        self._session = onnxruntime.InferenceSession(
            buffer.getvalue(), settings, providers=["CPUExecutionProvider"]
        )

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(self._session.run(None, dict(zip(self._names, inputs, strict=True))))


class ForwardPath(nn.Module):
    """Gives exporters a module whose ``forward`` is the one path that inference needs."""

    def __init__(self, network: nn.Module, forward: Forward) -> None:
        super().__init__()
        self.network = network
        self._path = forward.__name__
        self.eval()  # exporters give the mode of the outermost module to all inside it

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        return getattr(self.network, self._path)(*inputs)


def _device(options: RuntimeOptions) -> torch.device:
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(options.device)
    except RuntimeError as error:
        raise ConfigError(f"device {options.device!r} is unknown: {error}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device {options.device!r} was asked for, but PyTorch sees no CUDA device"
        )
    return device


def _untraced_kind(options: RuntimeOptions) -> str:
    if options.kind not in ("auto", "torch"):
        raise ConfigError(
            f"runtime {options.kind!r} cannot run this network, only PyTorch can; "
            "use 'auto' or 'torch'"
        )
    return "torch"


def _kind(options: RuntimeOptions, device: torch.device) -> str:
    if options.kind == "auto":
        return "openvino" if device.type == "cpu" and _installed("openvino") else "torch"
    if options.kind != "torch" and not _installed(options.kind):
        raise ConfigError(
            f"runtime {options.kind!r} is not installed; run: pip install {options.kind}, "
            "or use 'auto' or 'torch'"
        )
    return options.kind


def import_openvino() -> ModuleType:
    """OpenVINO without its telemetry, which reports to a web service whenever it is imported."""
    if "openvino" not in sys.modules:
        # None makes the import fail; OpenVINO then goes on with a stub of its own.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silences PyTorch's remarks about TorchScript, on which OpenVINO's converter still relies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.filterwarnings(
            "ignore", "Exporting a model to ONNX with a batch_size", UserWarning
        )
        yield


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _precision(options: RuntimeOptions, device: torch.device) -> str:
    if options.precision != "auto":
        return options.precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if cpu_has_bfloat16() else "float32"


@cache
def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively; elsewhere it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
