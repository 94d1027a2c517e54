"""Steps with a recipe of a few numbers, so that what a step should do can be worked out beside it."""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facerecon_ray.config.training import OptimizerSettings, TrainJob
from facerecon_ray.errors import TrainingError
from facerecon_ray.training.learner import STEP_DECAYS, Learner, learning_rate, mixed_precision
from facerecon_ray.training.recipes.recipe import Recipe, Tensors

CPU = torch.device("cpu")


class Line(Recipe):
    """Two modules, of which the second is judged after the first has learnt."""

    columns: ClassVar[tuple[str, ...]] = ("pose",)
    result: ClassVar[str] = "line"
    goal: ClassVar[str] = "error"

    def __init__(self, scale: float = 1.0, width: int = 3) -> None:
        torch.manual_seed(0)
        self.modules = {"judge": nn.Linear(width, 1), "line": nn.Sequential(nn.Linear(width, 2), nn.BatchNorm1d(2))}
        self.scale = scale
        self.seen: list[dict[str, Any]] = []

    def losses(
        self, modules: Mapping[str, nn.Module], batch: Tensors, random: torch.Generator
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        noise = torch.rand(1, generator=random)
        before = self.modules["judge"].weight.detach().clone()
        yield "judge", {"distance": self.scale * (modules["judge"](batch["pose"]) - 1).square().mean()}
        output = modules["line"](batch["pose"])
        self.seen.append(
            {
                "random": noise.item(),
                "judge moved": not torch.equal(before, self.modules["judge"].weight),
                "dtype": output.dtype,
                "training": self.modules["line"].training,
            }
        )
        yield "line", {"near": self.scale * (output - 2 - noise).square().mean(), "small": 0.1 * output.abs().mean()}

    def figures(self, network: nn.Module, batch: Tensors) -> dict[str, Tensor]:
        return {"error": network(batch["pose"]).mean(1)}

    def picture(self, network: nn.Module, batch: Tensors) -> np.ndarray:
        return np.zeros((1, 1, 3), np.uint8)


def job(**settings: Any) -> TrainJob:
    tree = {"network": "line", "data": "pairs", "output": "out", "steps": 8, "precision": "float32"}
    return TrainJob.model_validate(tree | {"optimizer": {"warmup": 0}} | settings)


def batch() -> dict[str, Tensor]:
    return {"pose": torch.randn(6, 3, generator=torch.Generator().manual_seed(3))}


def weights(learner: Learner) -> dict[str, Tensor]:
    state = learner.state()["modules"]
    return {f"{name}.{key}": value.clone() for name, module in state.items() for key, value in module.items()}


def norm(state: dict[str, Any]) -> float:
    """Of the gradients of an optimizer's first step: its first average is a tenth of them."""
    return 10 * math.sqrt(sum(float(one["exp_avg"].square().sum()) for one in state["state"].values()))


def test_a_cosine_rises_over_the_warm_up_and_falls_to_nothing() -> None:
    settings = OptimizerSettings(learning_rate=0.4, warmup=4)
    rates = [learning_rate(settings, step, 24) for step in range(25)]
    assert rates[:5] == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4])
    assert rates[14] == pytest.approx(0.2)
    assert rates[24] == pytest.approx(0.0, abs=1e-9)
    assert all(a > b for a, b in pairwise(rates[4:]))


def test_steps_halve_the_rate_at_every_fifth() -> None:
    settings = OptimizerSettings(learning_rate=0.4, warmup=0, schedule="step")
    rates = [learning_rate(settings, step, 50) for step in range(50)]
    assert rates[::10] == pytest.approx([0.4 / 2**number for number in range(STEP_DECAYS)])
    assert rates[9] == 0.4 and len(set(rates)) == STEP_DECAYS


def test_a_constant_rate_stays() -> None:
    settings = OptimizerSettings(learning_rate=0.4, warmup=2, schedule="constant")
    assert [learning_rate(settings, step, 10) for step in (0, 1, 2, 9)] == pytest.approx([0.4 / 3, 0.8 / 3, 0.4, 0.4])


def test_the_learner_takes_the_schedules_rate() -> None:
    learner = Learner(Line(), job(steps=4, optimizer={"warmup": 1, "learning_rate": 0.1}), CPU)
    found = []
    for _ in range(3):
        learner.learn(batch())
        found.append([group["lr"] for group in learner.state()["optimizers"]["line"]["param_groups"]])
    settings = OptimizerSettings(learning_rate=0.1, warmup=1)
    assert found == [[learning_rate(settings, step, 4)] * 2 for step in range(3)]


def test_gradients_are_scaled_down_to_the_limit_and_smaller_ones_stay() -> None:
    large, small = Line(scale=1e4), Line(scale=1e-3)
    for recipe in (large, small):
        learner = Learner(recipe, job(optimizer={"warmup": 0, "clip": 0.5}), CPU)
        learner.learn(batch())
        found = norm(learner.state()["optimizers"]["judge"])
        assert found == pytest.approx(0.5, rel=1e-3) if recipe is large else 0 < found < 0.01


def test_only_matrices_decay() -> None:
    learner = Learner(Line(), job(optimizer={"warmup": 0, "weight_decay": 0.3}), CPU)
    groups = learner.state()["optimizers"]["line"]["param_groups"]
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.3, 1), (0.0, 3)]


def test_the_result_is_the_running_average_of_the_weights() -> None:
    learner = Learner(Line(), job(optimizer={"warmup": 0, "learning_rate": 0.1, "average": 0.75}), CPU)
    learner.learn(batch())
    expected = weights(learner)
    for _ in range(4):
        learner.learn(batch())
        now = weights(learner)
        expected = {name: 0.75 * expected[name] + 0.25 * now[name] for name in now}
    found = learner.network.state_dict()
    for name in ("0.weight", "0.bias", "1.weight", "1.bias"):
        assert torch.allclose(found[name], expected[f"line.{name}"], atol=1e-6), name
        assert not torch.allclose(found[name], now[f"line.{name}"], atol=1e-6), name
    assert torch.equal(found["1.running_mean"], now["line.1.running_mean"])
    assert not learner.network.training


def test_losses_see_float32_while_the_network_runs_in_bfloat16() -> None:
    recipe = Line()
    learner = Learner(recipe, job(precision="bfloat16"), CPU)
    inside: list[torch.dtype] = []
    recipe.modules["line"][0].register_forward_hook(lambda _module, _inputs, output: inside.append(output.dtype))
    learner.learn(batch())
    assert inside == [torch.bfloat16]
    assert recipe.seen[0]["dtype"] == torch.float32
    assert all(weight.dtype == torch.float32 for weight in recipe.modules["line"].parameters())
    assert learner.measured()(batch()["pose"]).dtype == torch.float32


@pytest.mark.parametrize(("setting", "mixed"), [("float32", False), ("bfloat16", True)])
def test_precision_is_as_it_was_set(setting: str, mixed: bool) -> None:
    assert mixed_precision(setting, CPU) is mixed


def test_each_module_steps_before_the_next_is_judged() -> None:
    recipe = Line()
    parts = Learner(recipe, job(), CPU).learn(batch())
    assert recipe.seen[0]["judge moved"]
    assert recipe.seen[0]["training"]
    assert list(parts) == ["judge/distance", "line/near", "line/small"]


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_names_the_step_and_changes_nothing(scale: float) -> None:
    recipe = Line()
    learner = Learner(recipe, job(), CPU)
    learner.learn(batch())
    before = weights(learner)
    recipe.scale = scale
    with pytest.raises(TrainingError, match=r"step 2: the loss of judge is no number \(distance\)"):
        learner.learn(batch())
    after = weights(learner)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert learner.step == 1


def test_a_restored_training_takes_the_same_steps_to_the_bit() -> None:
    whole, first, second = (Learner(Line(), job(), CPU) for _ in range(3))
    for _ in range(4):
        whole.learn(batch())
    for _ in range(2):
        first.learn(batch())
    second.restore(first.state())
    assert second.step == 2
    for _ in range(2):
        second.learn(batch())
    expected, found = weights(whole), weights(second)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    averaged = zip(whole.network.state_dict().values(), second.network.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in averaged)


@pytest.mark.parametrize("change", ["shape", "module"])
def test_a_state_of_another_shape_is_refused(change: str) -> None:
    state = Learner(Line(width=4 if change == "shape" else 3), job(), CPU).state()
    if change == "module":
        del state["modules"]["judge"]
    with pytest.raises(TrainingError, match="the checkpoint is of a network of another shape"):
        Learner(Line(), job(), CPU).restore(state)


def test_random_numbers_differ_between_steps_workers_and_seeds_and_come_again() -> None:
    def numbers(rank: int, seed: int) -> list[float]:
        recipe = Line()
        learner = Learner(recipe, job(seed=seed), CPU, rank)
        for _ in range(3):
            learner.learn(batch())
        return [seen["random"] for seen in recipe.seen]

    drawn = [number for rank in (0, 1) for seed in (0, 1) for number in numbers(rank, seed)]
    assert len(set(drawn)) == 12
    assert numbers(1, 1) == drawn[-3:]


def test_a_wrapper_is_what_learns_and_the_modules_are_what_is_kept() -> None:
    called: list[str] = []

    class Wrapped(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, *inputs: Tensor) -> Tensor:
            called.append(type(self.module).__name__)
            result: Tensor = self.module(*inputs)
            return result

    learner = Learner(Line(), job(), CPU, wrap=Wrapped)
    learner.learn(batch())
    assert called == ["Linear", "Sequential"]
    assert list(learner.state()["modules"]["judge"]) == ["weight", "bias"]
