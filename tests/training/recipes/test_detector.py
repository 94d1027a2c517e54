import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from facerecon_ray.config.training import CrowdSettings, DetectorTraining
from facerecon_ray.errors import InputError
from facerecon_ray.networks.face_proposer import STRIDE, USUAL_SIZE
from facerecon_ray.synthesis.crowds import Crowd
from facerecon_ray.training.learner import Learner
from facerecon_ray.training.recipes.detector import MEASURED_SCENES, DetectorRecipe, focal_loss, read_portraits

sys.path.insert(0, str(Path(__file__).parents[1]))
from training_pairs import as_batch, face_rows

CPU = torch.device("cpu")
settings = partial(
    DetectorTraining, data="pairs", output="out", background_count=4, crowds=CrowdSettings(side=64, sizes=(20.0, 40.0))
)


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    rows = [face_rows(number) for number in range(4)]
    return as_batch({name: np.concatenate([one[name] for one in rows]) for name in DetectorRecipe.columns})


@pytest.fixture(scope="module")
def recipe() -> DetectorRecipe:
    torch.manual_seed(0)
    return DetectorRecipe(settings(), CPU)


class Says(torch.nn.Module):
    """Answers with the truth about one call's scenes after the other's, turned and moved by as much as is asked."""

    def __init__(self, crowds: list[list[Crowd]], turn: float = 0.0, move: float = 0.0) -> None:
        super().__init__()
        self._crowds, self._turn, self._move = iter(crowds), turn, move

    def forward(self, pictures: Tensor) -> Tensor:
        side = pictures.shape[-1] // STRIDE
        maps = torch.full((len(pictures), 6, side, side), -9.0)
        for row, crowd in enumerate(next(self._crowds)):
            for x, y, size, roll in crowd.faces.tolist():
                column, line = (min(int(v / STRIDE), side - 1) for v in (x, y))
                angle = np.deg2rad(roll + self._turn)
                place = ((x + self._move * size) / STRIDE - column - 0.5, y / STRIDE - line - 0.5)
                maps[row, :, line, column] = torch.tensor(
                    [9.0, *place, np.log(size / USUAL_SIZE), np.cos(angle), np.sin(angle)]
                )
        return maps


def test_truth_is_found_and_a_turned_or_moved_answer_is_not(recipe: DetectorRecipe, batch: dict[str, Tensor]) -> None:
    crowds = [recipe._crowds(batch, seed) for seed in range(MEASURED_SCENES)]
    assert sum(len(crowd.faces) for scenes in crowds for crowd in scenes) > 10
    shares = []
    for answer in (Says(crowds), Says(crowds, turn=90.0), Says(crowds, move=0.45)):
        figures = recipe.figures(answer, batch)
        shares.append(float(figures["missed"].nanmean()))
        assert float(figures["false"].sum()) == 0.0
    assert shares[0] < 0.1 and shares[1] > 0.9 and shares[2] > 0.9


def test_focal_loss_is_lowest_at_the_truth_and_blind_where_unsure() -> None:
    marks = torch.zeros(1, 5, 5)
    marks[0, 2, 2] = 1.0
    nowhere = torch.zeros(1, 5, 5, dtype=torch.bool)
    unsure = nowhere.clone()
    unsure[0, 0, 0] = True
    right = torch.full((1, 5, 5), -9.0)
    right[0, 2, 2] = 9.0
    wrong = right.clone()
    wrong[0, 0, 0] = 9.0
    assert focal_loss(right, marks, nowhere) < 1e-3 < focal_loss(wrong, marks, nowhere)
    assert focal_loss(wrong, marks, unsure) == pytest.approx(float(focal_loss(right, marks, unsure)))


def test_it_learns(batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    job = settings(steps=30, optimizer={"warmup": 2, "learning_rate": 3e-3})
    learner = Learner(DetectorRecipe(job, CPU), job, CPU)
    losses = [sum(learner.learn(batch).values()) for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])


def test_portraits_are_cut_around_dlibs_window(tmp_path: Path, astronaut: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), astronaut[:300, 60:380, ::-1])
    (tmp_path / "note.txt").write_text("no photo")
    (cut,) = read_portraits(tmp_path)
    assert cut.picture.shape[0] == cut.picture.shape[1] and cut.roll == 0.0
    assert cut.size == pytest.approx(cut.picture.shape[0] / 2.2, rel=0.02)


def test_folder_without_faces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="portraits"):
        read_portraits(tmp_path)
