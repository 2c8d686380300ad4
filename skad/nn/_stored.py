"""Networks as plain data: the settings that build them again, and their numbers as NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from skad.exceptions import ModelFileError, UnknownTypeError
from skad.nn._autoencoder import Autoencoder, VariationalAutoencoder
from skad.nn._flow_network import FlowNetwork
from skad.nn._flows import Flow, rebuild_flow
from skad.nn._mlp import MLP, Standardize
from skad.nn._random import draw_from
from skad.nn._signal_mixture import SignalMixture
from skad.nn._transport import FlowOnFlow, MassTransport

__all__ = ["from_plain", "to_plain"]

# What builds each network from its `settings`; networks inside are named, settings are plain.
_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "Autoencoder": Autoencoder,
    "Flow": rebuild_flow,
    "FlowNetwork": FlowNetwork,
    "FlowOnFlow": FlowOnFlow.rebuilt,
    "MLP": MLP,
    "MassTransport": MassTransport.rebuilt,
    "Sequential": nn.Sequential,
    "SignalMixture": SignalMixture,
    "Standardize": Standardize.blank,
    "VariationalAutoencoder": VariationalAutoencoder,
}
# As many layers of the largest size may have so many more weights than the layers that there are.
_UNEVEN = 100


def to_plain(network: nn.Module) -> dict[str, Any]:
    """Return a network as its settings and its numbers, on the CPU.

    Raises
    ------
    UnknownTypeError
        A network that is none of skad's, or a flow of the user's that its function does not build
        again the same.
    """
    plain = {"settings": _settings(network), "numbers": _numbers(network)}
    if any(callable(kind) for kind in _kinds(plain["settings"])):
        _check_same(network, plain)
    return plain


def from_plain(plain: dict[str, Any]) -> nn.Module:
    """Return the network that `to_plain` described, ready to evaluate.

    Raises
    ------
    ModelFileError
        Settings and numbers that do not belong together.
    """
    settings, numbers = plain["settings"], plain["numbers"]
    _check_size(settings, numbers)
    cpu = torch.device("cpu")
    # A function that is not ours may do what tensors without numbers cannot.
    own = any(callable(kind) for kind in _kinds(settings))
    with draw_from(torch.Generator()), cpu if own else torch.device("meta"):
        network = _built(settings)
    # Copies: what was loaded may be read only.
    state = {name: torch.from_numpy(np.array(values)) for name, values in numbers.items()}
    expected = {name: value.shape for name, value in network.state_dict().items()}
    if expected != {name: value.shape for name, value in state.items()}:
        raise ModelFileError(
            f"The numbers of a network {settings.get('network')!r} do not fit its settings: "
            "the file is damaged, or an own flow is built in another way than when it was stored."
        )
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def _settings(network: nn.Module) -> dict[str, Any]:
    name = type(network).__name__
    known = type(network).__module__.startswith("skad.") or type(network) is nn.Sequential
    if name not in _BUILDERS or not known:
        raise UnknownTypeError(
            f"A network of type {name} cannot be stored: known are {', '.join(sorted(_BUILDERS))}."
        )
    if isinstance(network, nn.Sequential) and not isinstance(network, MLP):
        return {"network": name, "parts": [_settings(part) for part in network.children()]}
    if isinstance(network, Flow) and not network.settings:
        raise UnknownTypeError("A flow that build_flow did not build cannot be stored.")
    described = {
        key: _settings(value) if isinstance(value, nn.Module) else value
        for key, value in network.settings.items()  # type: ignore[union-attr, operator]
    }
    return {"network": name, **described}


def _built(settings: dict[str, Any]) -> nn.Module:
    arguments: dict[str, Any] = {
        key: _built(value) if isinstance(value, dict) and "network" in value else value
        for key, value in settings.items()
        if key != "network"
    }
    builder = _BUILDERS.get(settings["network"])
    if builder is None:
        raise UnknownTypeError(f"No network {settings['network']!r} is known to this skad.")
    if "parts" in arguments:
        return builder(*[_built(part) for part in arguments["parts"]])
    return builder(**arguments)


def _numbers(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def _kinds(settings: Any) -> Iterator[Any]:
    """Yield the kinds of all flows inside."""
    if isinstance(settings, dict):
        if settings.get("network") == "Flow":
            yield settings["kind"]
        for value in settings.values():
            yield from _kinds(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _kinds(value)


def _check_same(network: nn.Module, plain: dict[str, Any]) -> None:
    """Raise if a user's function does not build the same flows again."""
    with torch.no_grad():
        for one, other in zip(_flows(network), _flows(from_plain(plain)), strict=True):
            n = one.n_features
            like = next(one.parameters())
            x = torch.linspace(-1.0, 1.0, 3 * n).reshape(3, n)
            context = torch.zeros(3, one.n_context) if one.n_context else None
            results = [
                flow.eval().log_prob(x.to(to), None if context is None else context.to(to))
                for flow, to in ((one, like), (other, next(other.parameters())))
            ]
            if not torch.allclose(results[0].cpu(), results[1], rtol=1e-4, atol=1e-4):
                raise UnknownTypeError(
                    "flow= builds another flow than the trained one when it is called again with "
                    "its options, so that its networks cannot be stored as numbers. Let it hold "
                    "what it draws at random in buffers (register_buffer)."
                )


def _flows(network: nn.Module) -> list[Flow]:
    return [module for module in network.modules() if isinstance(module, Flow)]


def _check_size(settings: dict[str, Any], numbers: dict[str, np.ndarray]) -> None:
    """Raise where building would take far more time or memory than what was stored."""
    total = sum(values.size for values in numbers.values())
    for part in _parts(settings):
        widths, single = _sizes(part)
        n_layers = 1 + max(map(len, widths), default=0)
        n_steps = max(part.get(name) or 1 for name in ("n_transforms", "transforms"))
        excessive = n_steps * n_layers > len(numbers)
        if callable(part.get("kind")):
            # Other networks are built without numbers, so that their sizes cost nothing.
            products = [a * b for sizes in widths for a, b in pairwise(sizes)]
            products += [a * b for sizes in widths for a in sizes for b in single]
            products += [a * b for a, b in combinations(single, 2)]
            excessive |= n_steps * n_layers * max(products, default=0) > _UNEVEN * total
        if excessive:
            raise ModelFileError(
                f"A network {part.get('network')!r} with the settings {part!s:.200} needs more "
                f"numbers than the {total} that are stored: the file is damaged or forged."
            )


def _parts(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the settings of every network inside, with the options of a flow among its own."""
    yield {**settings, **settings.get("options", {})}
    for value in [*settings.values(), *settings.get("parts", ())]:
        if isinstance(value, dict) and "network" in value:
            yield from _parts(value)


def _sizes(part: dict[str, Any]) -> tuple[list[list[int]], list[int]]:
    """Return lists of sizes and single ones among plain settings."""
    lists = [[v for v in value if _is_size(v)] for value in part.values() if _is_list(value)]
    return [sizes for sizes in lists if sizes], [v for v in part.values() if _is_size(v)]


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 1
