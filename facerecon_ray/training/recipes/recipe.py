"""What the training of a network consists of besides the loop: its modules, its losses and its figures."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

Tensors = Mapping[str, Tensor]
"""Columns of a batch on the recipe's device; pictures (B, 3, 256, 256) uint8, maps (B, 3, 256, 256) float16, other
columns with the shapes and units of storage/pairs/pair_schema.py, float32."""


class Recipe(ABC):
    """One kind of network and how it learns; knows nothing of Ray, files or the loop.

    columns   of PAIR_SCHEMA that a batch has; pose is always among them
    modules   that are trained, by name, each with an optimizer of its own
    result    name of the module whose averaged weights are kept as the result
    goal      figure of `figures` by which the best weights are chosen; the smaller the better
    """

    columns: ClassVar[tuple[str, ...]]
    result: ClassVar[str]
    goal: ClassVar[str]
    modules: dict[str, nn.Module]

    @property
    def metadata(self) -> dict[str, str]:
        """What the weight file says of itself besides the network's name."""
        return {}

    @abstractmethod
    def losses(
        self, modules: Mapping[str, nn.Module], batch: Tensors, random: torch.Generator
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """One training step: for each module in turn its name and the parts of its loss, which are added up.

        The loop takes a step of that module's optimizer before it asks for the next, so that a discriminator may
        judge what its generator does now.

        Parameters
        ----------
        modules : those of `modules`, possibly wrapped for several workers; called for what is to be learnt
        batch : B rows
        random : on the CPU, for augmentation; differs between workers and steps
        """

    def calibrate(  # noqa: B027 - most recipes have nothing to measure
        self, network: nn.Module, result: nn.Module, batches: Iterable[Tensors]
    ) -> None:
        """Measure on validation rows what the weight file says of the result besides its weights.

        Parameters
        ----------
        network : the result as it is measured
        result : the result itself, which is to know
        batches : validation rows, read when they are asked for
        """

    @abstractmethod
    def figures(self, network: nn.Module, batch: Tensors) -> dict[str, Tensor]:
        """(B,) figures of each row with the averaged weights of the result; nan where a row has none.

        Every figure is averaged over the rows; a name that ends in @ is also averaged within bins of the row's yaw.
        """

    @abstractmethod
    def picture(self, network: nn.Module, batch: Tensors) -> np.ndarray:
        """(H, W, 3) uint8 a picture that shows some rows, what the network makes of them, and the truth."""
