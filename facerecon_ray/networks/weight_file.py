"""Networks from weight files, and weight files from networks."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from facerecon_ray.errors import AssetError
from facerecon_ray.whole_file import check_file, write_whole

Network = TypeVar("Network", bound=nn.Module)

NETWORK = "network"
"""What the metadata of a file call the name of the network that it is for."""

SCALE, STEPS = "/scale", 127
"""Ending of the names of a compressed tensor's scales; and numbers to both sides of 0 that eight bits distinguish."""


def load_network(network: Network, path: Path, name: str) -> Network:
    """Give a network the weights of a file.

    Parameters
    ----------
    network : of the architecture that the file is for
    path : .safetensors file with the network's state
    name : of the network, for messages

    Returns
    -------
    the same network, in evaluation mode

    Raises
    ------
    AssetError
        when the file is missing, is no safetensors file, or holds another network
    """
    state = _read(path, name)
    problem = _first_difference(network.state_dict(), state)
    if problem:
        raise AssetError(f"{name} weights {path}: the file is of another network: {problem}")
    network.load_state_dict(state)
    return network.eval()


def begin_with(network: nn.Module, path: Path, name: str) -> list[str]:
    """Give a network those weights of a file that fit; returns the names of its parameters that keep what they have.

    Raises
    ------
    AssetError
        when the file is missing, is no safetensors file, or nothing in it fits
    """
    own, state = network.state_dict(), _read(path, name)
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise AssetError(f"{name} weights {path}: nothing in the file fits this network")
    network.load_state_dict(fitting, strict=False)
    return [key for key in own if key not in fitting]


def read_metadata(path: Path, name: str) -> dict[str, str]:
    """What a weight file says of itself.

    Raises
    ------
    AssetError
        when the file is missing or is no safetensors file
    """
    _require(path, name)
    try:
        with safetensors.safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        raise AssetError(f"{name} weights {path}: not a readable .safetensors file ({error})") from None


def weight_bytes(state: Mapping[str, Tensor], name: str, metadata: Mapping[str, str]) -> bytes:
    """A weight file of a network's state: matrices and filters of float32 as float16, all other numbers as they are.

    Parameters
    ----------
    state : of the network
    name : of the network
    metadata : what else the file says of itself
    """
    stored = {
        key: (value.half() if value.dtype == torch.float32 and value.ndim > 1 else value).detach().cpu().contiguous()
        for key, value in state.items()
    }
    data: bytes = safetensors.torch.save(stored, {**metadata, NETWORK: name})
    return data


def compress(weights: Path, output: Path) -> None:
    """Write a weight file anew at half its size: matrices and filters with 8 bits a number, and a scale for each row.

    Raises
    ------
    AssetError
        when the file is missing or is no safetensors file
    OutputError
        when the other cannot be written; an earlier file of that name stays then
    """
    check_file(output)
    metadata = read_metadata(weights, "network")
    stored: dict[str, Tensor] = {}
    for key, value in _read(weights, metadata.get(NETWORK, "network")).items():
        if value.ndim < 2 or value.dtype != torch.float32:
            stored[key] = value
            continue
        largest = value.flatten(1).abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny)
        stored[key + SCALE] = largest / STEPS
        stored[key] = (value / _along_rows(stored[key + SCALE], value)).round().to(torch.int8)
    write_whole(safetensors.torch.save(stored, metadata), output)


def _read(path: Path, name: str) -> dict[str, Tensor]:
    _require(path, name)
    try:
        state = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise AssetError(f"{name} weights {path}: not a readable .safetensors file ({error})") from None
    return {key: _as_stored(key, state) for key in state if not key.endswith(SCALE)}


def _as_stored(key: str, state: Mapping[str, Tensor]) -> Tensor:
    value = state[key]
    if key + SCALE in state:
        return value * _along_rows(state[key + SCALE], value)
    return value.float() if value.dtype == torch.float16 else value


def _along_rows(scales: Tensor, value: Tensor) -> Tensor:
    return scales.view(-1, *[1] * (value.ndim - 1))


def _require(path: Path, name: str) -> None:
    if not path.is_file():
        raise AssetError(f"{name} weights {path}: no such file; name a .safetensors file")


def _first_difference(expected: dict[str, Tensor], state: dict[str, Tensor]) -> str | None:
    for name, tensor in expected.items():
        if name not in state:
            return f"{name} is missing"
        if state[name].shape != tensor.shape:
            return f"{name} has shape {tuple(state[name].shape)} in place of {tuple(tensor.shape)}"
    unknown = next(iter(state.keys() - expected.keys()), None)
    return f"{unknown} is unknown" if unknown else None
