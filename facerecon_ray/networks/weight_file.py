"""Networks from weight files."""

from pathlib import Path
from typing import TypeVar

import safetensors
import safetensors.torch
from torch import Tensor, nn

from facerecon_ray.errors import AssetError

Network = TypeVar("Network", bound=nn.Module)


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
    if not path.is_file():
        raise AssetError(f"{name} weights {path}: no such file; set reconstruct.weights to a .safetensors file")
    try:
        state = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise AssetError(f"{name} weights {path}: not a readable .safetensors file ({error})") from None
    problem = _first_difference(network.state_dict(), state)
    if problem:
        raise AssetError(f"{name} weights {path}: the file is of another network: {problem}")
    network.load_state_dict(state)
    return network.eval()


def _first_difference(expected: dict[str, Tensor], state: dict[str, Tensor]) -> str | None:
    for name, tensor in expected.items():
        if name not in state:
            return f"{name} is missing"
        if state[name].shape != tensor.shape:
            return f"{name} has shape {tuple(state[name].shape)} in place of {tuple(tensor.shape)}"
    unknown = next(iter(state.keys() - expected.keys()), None)
    return f"{unknown} is unknown" if unknown else None
