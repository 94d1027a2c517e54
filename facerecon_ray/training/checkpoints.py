"""What a training leaves in its output, so that it can go on after anything: each file is whole or as it was before.

checkpoints/last.pt       everything the next step depends on
checkpoints/best.pt       the same as it was when the goal was best
NETWORK.safetensors       averaged weights of the best validation, as the stages load them
figures.json              figures of every validation
"""

import io
import json
from typing import Any

import torch

from facerecon_ray.errors import MissingObjectError, TrainingError
from facerecon_ray.storage.layout import FIGURES
from facerecon_ray.storage.objects import ObjectStore

LAST, BEST = "checkpoints/last.pt", "checkpoints/best.pt"


class Checkpoints:
    """Checkpoints of one network in a store.

    Parameters
    ----------
    store : the training's output
    network : name of what is trained
    """

    def __init__(self, store: ObjectStore, network: str) -> None:
        self._store, self._network = store, network

    def last(self) -> dict[str, Any] | None:
        """The newest state, None where there is none.

        Raises
        ------
        TrainingError
            when the file is damaged, or of another network
        """
        where = self._store.describe(LAST)
        try:
            data = self._store.read(LAST)
        except MissingObjectError:
            return None
        try:
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001 - a damaged file raises whatever its first wrong byte leads to
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
            raise TrainingError(
                f"checkpoint {where} is damaged ({reason}); copy {BEST} over it to go on from there, or choose "
                "another output"
            ) from None
        if not isinstance(state, dict) or state.get("network") != self._network:
            other = state.get("network", "something else") if isinstance(state, dict) else "something else"
            raise TrainingError(f"checkpoint {where} is of {other}, not of {self._network}; choose another output")
        return state

    def save(self, state: dict[str, Any], best: bool) -> None:
        """Write a state; the older one stays until it is there.

        Raises
        ------
        StorageError
            when the store does not take it, for instance because the disk is full
        """
        buffer = io.BytesIO()
        torch.save({**state, "network": self._network}, buffer)
        if best:
            self._store.write(BEST, buffer.getvalue())
        self._store.write(LAST, buffer.getvalue())

    def save_weights(self, data: bytes) -> str:
        """Write the result; returns where."""
        name = weights_name(self._network)
        self._store.write(name, data)
        return self._store.describe(name)

    def save_figures(self, history: list[dict[str, Any]]) -> None:
        """Write the figures of every validation."""
        self._store.write(FIGURES, json.dumps(history, indent=1).encode())


def weights_name(network: str) -> str:
    """Name of a network's weight file."""
    return f"{network.replace('-', '_')}.safetensors"
