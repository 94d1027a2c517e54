import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
import ray.train
from ray.train.torch import TorchTrainer

from facerecon_ray.config.training import TrainJob
from facerecon_ray.training.board import Standing, open_board
from facerecon_ray.training.pair_stream import pair_dataset
from facerecon_ray.training.recipes.registry import columns_of
from facerecon_ray.training.worker import WorkerTask, work

sys.path.insert(0, str(Path(__file__).parent))
from training_pairs import write_pairs


@pytest.fixture(scope="session", autouse=True)
def ray_train_looks_often() -> Iterator[None]:
    """Ray Train's controller looks at its workers every 2 seconds, which is longer than these trainings take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        yield


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 6 rows for training and 2 for validation."""
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder)
    return folder


@pytest.fixture
def train_here(ray_cluster: None, tmp_path: Path) -> Callable[[TrainJob], Standing]:
    """Trains by what a worker runs, in this process; returns what is on the board."""

    def train(job: TrainJob) -> Standing:
        board = open_board()
        trainer = TorchTrainer(
            work,
            train_loop_config=WorkerTask(job, 1, board),
            scaling_config=ray.train.ScalingConfig(num_workers=0),
            datasets={split: pair_dataset(job, split, columns_of(job), board) for split in ("train", "validation")},
            run_config=ray.train.RunConfig(storage_path=str(tmp_path / "ray")),
        )
        trainer.fit()
        standing: Standing = ray.get(board.standing.remote())
        return standing

    return train
