import sys
from pathlib import Path

import numpy as np
import pytest

from facerecon_ray.errors import AssetError, PhotoError
from facerecon_ray.pipeline.synthesis.pair_maker import PairMaker
from facerecon_ray.stages.fit import Fitter
from facerecon_ray.storage.pairs.pair_schema import pair_arrays
from facerecon_ray.storage.pairs.pair_shards import SIZE

sys.path.insert(0, str(Path(__file__).parents[2]))
from toy_subjects import ToySource, toy_job


@pytest.fixture(scope="module")
def maker() -> PairMaker:
    job = toy_job("unused", views={"yaws": (-70.0, -30.0, 20.0, 44.9)})
    return PairMaker(job, ToySource(job))


def test_rows_hold_the_truth_and_the_estimate_side_by_side(maker: PairMaker) -> None:
    rows = pair_arrays(maker.rows(0), SIZE)
    subject = maker._source.subject(0)
    np.testing.assert_allclose(rows["pose"], subject.angles, atol=0.1)
    np.testing.assert_allclose(rows["shape"], subject.shape.repeat(4, 0), atol=0.2)
    assert np.abs(rows["fitted_pose"] - rows["pose"]).max() < 15.0
    assert (rows["fitted_pose"] != rows["pose"]).all()
    np.testing.assert_allclose(rows["given_landmarks"], rows["landmarks_3d"][..., :2], atol=0.01)


def test_true_rotated_pose_is_level_and_turned_as_far_as_the_rotate_stage_turned_its_estimate(
    maker: PairMaker,
) -> None:
    rows = pair_arrays(maker.rows(1), SIZE)
    step = rows["rotated_yaw"] - rows["fitted_pose"][:, 0]
    np.testing.assert_allclose(np.abs(step), 30.0, atol=1e-3)
    np.testing.assert_allclose(rows["true_rotated_pose"][:, 0] - rows["pose"][:, 0], step, atol=1e-3)
    np.testing.assert_array_equal(rows["true_rotated_pose"][:, 1], 0.0)
    np.testing.assert_array_equal(rows["true_rotated_pose"][:, 2], rows["pose"][:, 2])


def test_a_subject_is_equal_to_the_bit_whoever_was_made_before(maker: PairMaker) -> None:
    first = maker.rows(2)
    maker.rows(5)
    assert maker.rows(2).equals(first)


def test_a_subject_that_cannot_be_made_is_one_failed_row_with_the_reason(maker: PairMaker) -> None:
    (row,) = maker.rows(3).to_pylist()
    assert (row["status"], row["error"]) == ("failed", "subject 3 blinked")
    assert (row["subject"], row["subject_seed"]) == (3, 80)
    assert row["crop"] is None
    assert row["pose"] is None


def test_a_view_whose_landmarks_cannot_be_fitted_fails_alone(
    maker: PairMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Fitter.process

    def fit(stage: Fitter, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if 2 in batch["view"]:
            raise PhotoError("the landmarks cannot be fitted")
        return process(stage, batch)

    monkeypatch.setattr(Fitter, "process", fit)
    rows = maker.rows(4)
    assert rows["status"].to_pylist() == ["ok", "ok", "failed", "ok"]
    assert rows["error"].to_pylist()[2] == "the landmarks cannot be fitted"
    assert rows["rotated"].is_null().to_pylist() == [False, False, True, False]
    assert rows["position_map"].null_count == rows["true_rotated"].null_count == 0


def test_a_missing_package_ends_the_job(maker: PairMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> None:
        raise AssetError("anny is missing")

    monkeypatch.setattr(maker._source, "subject", refuse)
    with pytest.raises(AssetError):
        maker.rows(0)


def test_splits_have_their_shares_and_do_not_depend_on_the_number_of_subjects() -> None:
    job = toy_job("unused", split={"validation": 0.1, "test": 0.2})
    maker = PairMaker(job, ToySource(job))
    splits = np.array([maker._split(seed) for seed in range(4000)])
    shares = [(splits == name).mean() for name in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.02)
    wider = PairMaker(toy_job("unused", split={"validation": 0.3, "test": 0.2}), ToySource(job))
    assert all(wider._split(seed) == "test" for seed in np.flatnonzero(splits == "test")[:50].tolist())
