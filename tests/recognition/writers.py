"""Small networks that write character by character, whose lines end at different steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ocr_models.layers.resnet31 import ResNet31Config
from tests.conformance import formulas

SMALL_BACKBONE = ResNet31Config(1, (1, 1, 1, 1), (8, 8, 8, 8, 12, 12))
MAX_SEQ_LEN = 12
CLASSES: dict[str, Any] = {
    "num_classes": 12,
    "start_index": 10,
    "end_index": 10,
    "padding_index": 11,
    "max_seq_len": MAX_SEQ_LEN,
}
END = CLASSES["end_index"]
RATIOS = torch.tensor([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])

Write = Callable[[Any, tuple[Tensor, ...], Tensor], Tensor]


def lines() -> Tensor:
    """Eight lines as images (8, 1, 32, 64)."""
    return torch.from_numpy(formulas.tensor((len(RATIOS), 1, 32, 64), 1))


def lively(
    make: Callable[[], nn.Module],
    write: Write,
    masked: bool = False,
    change: Callable[[Any], object] = lambda network: None,
) -> tuple[Any, tuple[Tensor, ...], Tensor]:
    """The first network by formula whose lines end at three steps at least.

    Args:
        make: gives the network.
        write: decodes it the plain way: network, what ``encode`` gave, valid ratios (B,) to
            probabilities or logits (B, T, K).
        masked: whether ``encode`` takes the valid ratios, too.
        change: what is done to the filled network.

    Returns:
        network, what its ``encode`` gave for ``lines()``, and its plain probabilities.
    """
    for seed in range(40):
        network = make().eval()
        formulas.fill(network, seed)
        with torch.inference_mode():
            for name, parameter in network.named_parameters():
                if name.startswith("decoder.") and parameter.dim() > 1:
                    parameter.mul_(10)
            change(network)
            inputs = (lines(), RATIOS) if masked else (lines(),)
            encoded = network.encode(*inputs)  # type: ignore[operator]
            encoded = encoded if isinstance(encoded, tuple) else (encoded,)
            plain = write(network, encoded, RATIOS)
        if len(set(lengths(plain))) >= 3:
            return network, encoded, plain
    raise AssertionError("no seed makes lines end at different steps")


def lengths(probabilities_BTK: Tensor) -> list[int]:
    """Steps of each line, the one that says its end among them."""
    ends_BT = probabilities_BTK.argmax(-1) == END
    steps = probabilities_BTK.shape[1]
    return [int(row.nonzero()[0]) + 1 if row.any() else steps for row in ends_BT]


def up_to_the_ends(probabilities_BTK: Tensor) -> Tensor:
    """The same with 0 behind each line's end."""
    kept = probabilities_BTK.clone()
    for row, length in zip(kept, lengths(probabilities_BTK), strict=True):
        row[length:] = 0
    return kept


def assert_written_as_plain(
    network: Any,
    encoded: tuple[Tensor, ...],
    plain_BTK: Tensor,
    layer: nn.Module,
    atol: float = 1e-4,
) -> None:
    """The product's way gives the plain one's numbers, in as many steps as the longest line has.

    Args:
        network: from ``lively``, as the next two.
        encoded: what it decodes.
        plain_BTK: what the plain way gave.
        layer: one that runs once per step.
        atol: how far numbers may be apart.
    """
    written_BTK, batches = steps_taken(lambda: network.decode(encoded, RATIOS), layer)
    torch.testing.assert_close(written_BTK, up_to_the_ends(plain_BTK), rtol=1e-3, atol=atol)
    assert len(batches) == max(lengths(plain_BTK))
    # Fewer lines as they end.
    assert sorted(batches, reverse=True) == batches
    assert batches[-1] < len(RATIOS)


def assert_says_the_same_when_told(network: Any, plain_BTK: Tensor) -> None:
    """Teacher forcing with what the network wrote gives the probabilities of writing it."""
    written_BT = plain_BTK.argmax(-1)
    start_B1 = torch.full((len(written_BT), 1), network.config.start_index)
    targets_BT = torch.cat([start_B1, written_BT[:, :-1]], 1)
    with torch.inference_mode():
        logits_BTK = network.teacher_forced(lines(), targets_BT, RATIOS)
        output = network(lines(), RATIOS)
    torch.testing.assert_close(logits_BTK.softmax(-1), plain_BTK, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        output.probabilities, up_to_the_ends(plain_BTK), rtol=1e-3, atol=1e-4
    )


def assert_alone_as_together(network: Any, encoded: tuple[Tensor, ...], atol: float = 1e-4) -> None:
    """Each line decoded by itself is what it is among the others."""
    with torch.inference_mode():
        together_BTK = network.decode(encoded, RATIOS)
        for i, row_TK in enumerate(together_BTK):
            own = tuple(part[i : i + 1] for part in encoded)
            alone_TK = network.decode(own, RATIOS[i : i + 1])[0]
            torch.testing.assert_close(alone_TK, row_TK, rtol=1e-3, atol=atol)


def steps_taken(write: Callable[[], Tensor], layer: nn.Module) -> tuple[Tensor, list[int]]:
    """What ``write`` gives, and how many lines a layer that runs once per step saw each time."""
    seen: list[int] = []
    hook = layer.register_forward_hook(lambda _module, inputs, _out: seen.append(len(inputs[0])))
    try:
        with torch.inference_mode():
            return write(), seen
    finally:
        hook.remove()
