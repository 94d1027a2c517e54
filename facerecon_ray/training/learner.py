"""Steps of a training: gradients, optimizers, schedules, averages of the weights, and the state that a step needs."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from facerecon_ray.config.training import OptimizerSettings, TrainJob
from facerecon_ray.errors import TrainingError
from facerecon_ray.networks.device import multiplies_bfloat16
from facerecon_ray.training.recipes.recipe import Recipe, Tensors

STEP_DECAYS = 5
"""The schedule `step` halves the learning rate at every so manieth part of the steps."""


class Learner:
    """A recipe's modules on their way.

    Parameters
    ----------
    recipe : what is trained
    job : how
    device : where
    rank : of this worker
    wrap : makes a module one of several workers'
    """

    def __init__(
        self,
        recipe: Recipe,
        job: TrainJob,
        device: torch.device,
        rank: int = 0,
        wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
    ) -> None:
        self._recipe, self._job, self._device, self._rank = recipe, job, device, rank
        self.step = 0
        self._modules = {name: self._placed(module) for name, module in recipe.modules.items()}
        self._optimizers = {name: _optimizer(module, job.optimizer) for name, module in self._modules.items()}
        self._averaged = AveragedModel(
            self._modules[recipe.result], multi_avg_fn=get_ema_multi_avg_fn(job.optimizer.average)
        )
        wrapped = {name: wrap(module) for name, module in self._modules.items()}
        self._wrapped: dict[str, nn.Module] = {
            name: torch.compile(module) if job.compile else module  # type: ignore[misc]
            for name, module in wrapped.items()
        }
        self._mixed = mixed_precision(job.precision, device)
        self._mixed_modules = {name: _Mixed(module, self.precision) for name, module in self._wrapped.items()}

    @property
    def network(self) -> nn.Module:
        """The result with its averaged weights, in evaluation mode."""
        network: nn.Module = self._averaged.module.eval()
        return network

    def measured(self) -> nn.Module:
        """The same in the training's precision, answering in float32."""
        return _Mixed(self.network, self.precision)

    def learn(self, batch: Tensors) -> dict[str, float]:
        """One step of every module; returns the parts of the losses.

        Raises
        ------
        TrainingError
            when a loss is no number
        """
        random = torch.Generator().manual_seed(_seed(self._job.seed, self._rank, self.step))
        rate = learning_rate(self._job.optimizer, self.step, self._job.steps)
        parts: dict[str, float] = {}
        for module in self._modules.values():
            module.train()
        for name, losses in self._recipe.losses(self._mixed_modules, batch, random):
            total = torch.stack(list(losses.values())).sum()
            values = torch.stack([total.detach(), *(loss.detach() for loss in losses.values())]).float().tolist()
            if not math.isfinite(values[0]):
                raise TrainingError(self._no_number(name, dict(zip(losses, values[1:], strict=True))))
            parts |= {f"{name}/{part}": value for part, value in zip(losses, values[1:], strict=True)}
            optimizer = self._optimizers[name]
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(self._modules[name].parameters(), self._job.optimizer.clip)
            optimizer.step()
        self._averaged.update_parameters(self._modules[self._recipe.result])
        self.step += 1
        return parts

    def precision(self) -> AbstractContextManager[Any]:
        """Mixed precision, if this training has it."""
        return torch.autocast(self._device.type, torch.bfloat16) if self._mixed else nullcontext()

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "step": self.step,
            "modules": {name: module.state_dict() for name, module in self._modules.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
            "averaged": self._averaged.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises
        ------
        TrainingError
            when it is of a network of another shape
        """
        try:
            for name, module in self._modules.items():
                module.load_state_dict(state["modules"][name])
                self._optimizers[name].load_state_dict(state["optimizers"][name])
            self._averaged.load_state_dict(state["averaged"])
        except (KeyError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[-1].strip()[:160]
            raise TrainingError(
                f"the checkpoint is of a network of another shape ({reason}); choose another output, or the settings "
                "with which it was begun"
            ) from None
        self.step = int(state["step"])

    def _placed(self, module: nn.Module) -> nn.Module:
        return module.to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _no_number(self, name: str, losses: dict[str, float]) -> str:
        lost = ", ".join(part for part, value in losses.items() if not math.isfinite(value))
        return (
            f"step {self.step + 1}: the loss of {name} is no number ({lost}); the last checkpoint is intact. "
            "A lower optimizer.learning_rate, or precision float32, may help"
        )


class _Mixed(nn.Module):
    """A network that computes in mixed precision and answers in float32: losses are not to be rounded.

    Parameters
    ----------
    network : the network
    precision : gives the context in which it computes
    """

    def __init__(self, network: nn.Module, precision: Callable[[], AbstractContextManager[Any]]) -> None:
        super().__init__()
        self._network, self._precision = [network], precision

    def forward(self, *inputs: Tensor) -> Any:
        with self._precision():
            result = self._network[0](*inputs)
        return _as_float32(result)


def _as_float32(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float()
    return type(value)(map(_as_float32, value)) if isinstance(value, list | tuple) else value


def learning_rate(settings: OptimizerSettings, step: int, steps: int) -> float:
    """Learning rate of a step, the first being 0."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / (settings.warmup + 1)
    done = (step - settings.warmup) / max(steps - settings.warmup, 1)
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))
    if settings.schedule == "step":
        return settings.learning_rate * 0.5 ** math.floor(done * STEP_DECAYS)
    return settings.learning_rate


def mixed_precision(setting: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16; auto: where the hardware multiplies it."""
    if setting != "auto":
        return setting == "bfloat16"
    return multiplies_bfloat16(device)


def _optimizer(module: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    matrices = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate, fused=True)


def _seed(seed: int, rank: int, step: int) -> int:
    """Seed of a worker's step: different for each, the same when a step is done again."""
    return int(torch.tensor([seed * 1_000_003 + rank * 7919 + step * 104_729]).remainder(2**31).item())
