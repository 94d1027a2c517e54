import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facerecon_ray.config.training import TrainJob
from facerecon_ray.errors import InputError
from facerecon_ray.training.board import open_board
from facerecon_ray.training.learner import Learner
from facerecon_ray.training.pair_stream import pair_dataset
from facerecon_ray.training.recipes.recipe import Recipe, Tensors
from facerecon_ray.training.validation import PICTURE_ROWS, averaged_figures, validate

sys.path.insert(0, str(Path(__file__).parent))

CPU = torch.device("cpu")


class Counting(Recipe):
    """Figures are the rows' own yaws; the network says a number that its average decides."""

    columns: ClassVar[tuple[str, ...]] = ("pose",)
    result: ClassVar[str] = "net"
    goal: ClassVar[str] = "yaw"

    def __init__(self) -> None:
        self.modules = {"net": nn.Linear(3, 1)}
        self.batches: list[int] = []
        self.training: set[bool] = set()

    def losses(self, modules: Any, batch: Tensors, random: torch.Generator) -> Any:
        yield "net", {"size": modules["net"](batch["pose"]).square().mean()}

    def figures(self, network: nn.Module, batch: Tensors) -> dict[str, Tensor]:
        network(batch["pose"])
        self.batches.append(len(batch["pose"]))
        return {"yaw": batch["pose"][:, 0], "yaw@": batch["pose"][:, 0]}

    def picture(self, network: nn.Module, batch: Tensors) -> np.ndarray:
        return np.full((len(batch["pose"]), 1, 3), 7, np.uint8)


def job(data: Path, **settings: Any) -> TrainJob:
    tree = {"network": "net", "data": str(data), "output": "out", "optimizer": {"warmup": 0}}
    return TrainJob.model_validate(tree | settings)


@pytest.mark.usefixtures("ray_cluster")
def test_so_many_rows_are_measured_as_were_asked_for(pairs: Path) -> None:
    recipe = Counting()
    wanted = job(pairs, batch_size=4, validation_rows=5)
    rows = pair_dataset(wanted, "train", ("pose",), open_board())
    figures, picture = validate(Learner(recipe, wanted, CPU), recipe, rows, wanted, CPU, 1)
    assert recipe.batches == [4, 1]
    assert np.isfinite(figures["yaw"])
    assert picture is not None and len(picture) == min(4, PICTURE_ROWS)


@pytest.mark.usefixtures("ray_cluster")
def test_a_worker_measures_its_part(pairs: Path) -> None:
    recipe = Counting()
    wanted = job(pairs, batch_size=4, validation_rows=6)
    validate(
        Learner(recipe, wanted, CPU), recipe, pair_dataset(wanted, "train", ("pose",), open_board()), wanted, CPU, 3
    )
    assert sum(recipe.batches) == 2


def test_no_row_at_all_is_an_error() -> None:
    class Empty:
        def iter_batches(self, **_: Any) -> Any:
            return iter(())

    wanted = job(Path("pairs"))
    with pytest.raises(InputError, match="no row for validation is whole"):
        validate(Learner(Counting(), wanted, CPU), Counting(), Empty(), wanted, CPU, 1)  # type: ignore[arg-type]


def test_figures_are_means_over_rows_not_over_batches() -> None:
    rows = [{"nme": torch.tensor([1.0, 2.0, 3.0])}, {"nme": torch.tensor([10.0])}]
    yaws = [torch.zeros(3), torch.zeros(1)]
    assert averaged_figures(rows, yaws, 30.0) == {"nme": 4.0}


def test_rows_without_a_figure_do_not_count() -> None:
    values = torch.tensor([1.0, float("nan"), 3.0])
    assert averaged_figures([{"l1": values}], [torch.zeros(3)], 30.0) == {"l1": 2.0}


def test_figures_that_end_in_an_at_are_averaged_by_yaw() -> None:
    yaws = torch.tensor([-100.0, -90.0, -61.0, -0.5, 0.0, 29.9, 30.0, 90.0, 170.0])
    found = averaged_figures([{"nme@": torch.arange(9.0)}], [yaws], 30.0)
    assert found == {"nme@-90": 1.0, "nme@-30": 3.0, "nme@+0": 4.5, "nme@+30": 6.0, "nme@+60": 7.5}


def test_what_no_row_has_is_left_out_of_the_figures() -> None:
    values = torch.tensor([float("nan"), 2.0])
    found = averaged_figures([{"l1": values * float("nan"), "nme@": values}], [torch.tensor([-90.0, 0.0])], 30.0)
    assert found == {"nme@+0": 2.0}


@pytest.mark.usefixtures("ray_cluster")
def test_rows_by_which_the_network_cannot_be_measured_are_an_error(pairs: Path) -> None:
    class Blind(Counting):
        def figures(self, network: nn.Module, batch: Tensors) -> dict[str, Tensor]:
            return {"yaw": torch.full((len(batch["pose"]),), float("nan"))}

    wanted = job(pairs, batch_size=4)
    rows = pair_dataset(wanted, "train", ("pose",), open_board())
    with pytest.raises(InputError, match="no row for validation has all that net is measured by"):
        validate(Learner(Blind(), wanted, CPU), Blind(), rows, wanted, CPU, 1)


def test_no_rows_have_no_figures() -> None:
    assert averaged_figures([], [], 30.0) == {}
