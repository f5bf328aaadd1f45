"""``models/``: names, shapes and types of every state-dict entry, and which are parameters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from . import networks
from .check import Check
from .kit import Case, Kit, KitError


def cases(kit: Kit) -> Iterator[Case]:
    """One case per config."""
    names = kit.stems("models", ".json.gz")
    if not names:
        raise KitError("models/ holds no NAME.json.gz")
    for name in names:
        yield Case(name, partial(_compare, kit, name), partial(networks.covered, kit, name))


def _compare(kit: Kit, name: str, check: Check) -> None:
    expected = kit.model(name)
    network = networks.network(networks.spec(kit, name, with_pipeline=False))
    state = {
        key: [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
        for key, tensor in network.state_dict().items()
    }
    wanted = {key: [shape, dtype] for key, shape, dtype in expected["state"]}
    check.equal("missing entries", sorted(wanted.keys() - state.keys()), [])
    check.equal("additional entries", sorted(state.keys() - wanted.keys()), [])
    for key in state.keys() & wanted.keys():
        check.equal(key, state[key], wanted[key])
    parameters = sorted(key for key, _ in network.named_parameters())
    check.equal("parameters", parameters, sorted(expected["parameters"]))
