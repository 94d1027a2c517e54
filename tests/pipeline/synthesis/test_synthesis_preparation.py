import sys
from pathlib import Path

import pytest

from facerecon_ray.errors import AssetError, OutputError
from facerecon_ray.pipeline.synthesis.synthesis_preparation import PreparedSet, prepare_synthesis
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.dataset_card import GENERATOR_VERSION, save_card
from facerecon_ray.storage.pairs.pair_schema import pair_rows
from facerecon_ray.storage.pairs.pair_shards import write_shard

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[2] / "storage"))
from pairs import pair_batch
from toy_subjects import toy_job


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A set of 5 subjects in 3 shards, of which the last two are there."""
    prepared = prepare_synthesis(toy_job(tmp_path, subjects=5))
    save_card(prepared.store, prepared.card)
    for task in prepared.todo[1:]:
        subjects = [pair_rows(pair_batch(task.first + i), "jpeg") for i in range(task.subjects)]
        write_shard(prepared.store, task.index, subjects, task.first, {})
    return tmp_path


def todo(prepared: PreparedSet) -> list[tuple[int, int, int]]:
    return [(task.index, task.first, task.subjects) for task in prepared.todo]


def test_a_new_set_is_all_to_do_and_nothing_is_written(tmp_path: Path) -> None:
    prepared = prepare_synthesis(toy_job(tmp_path / "new", subjects=5))
    assert todo(prepared) == [(0, 0, 2), (1, 2, 2), (2, 4, 1)]
    assert not (tmp_path / "new").exists()


def test_only_missing_shards_are_to_do(output: Path) -> None:
    assert todo(prepare_synthesis(toy_job(output, subjects=5))) == [(0, 0, 2)]


def test_a_larger_set_keeps_whole_shards_and_makes_the_last_one_again(output: Path) -> None:
    assert todo(prepare_synthesis(toy_job(output, subjects=8))) == [(0, 0, 2), (2, 4, 2), (3, 6, 2)]


def test_a_smaller_set_is_refused(output: Path) -> None:
    with pytest.raises(OutputError, match="holds 5 subjects already, more than 4"):
        prepare_synthesis(toy_job(output, subjects=4))


def test_changed_settings_are_refused_by_name_and_free_ones_are_not(output: Path) -> None:
    prepare_synthesis(toy_job(output, subjects=5, pool={"workers": 3}))
    with pytest.raises(OutputError, match=r"people\.age was \[18\.0, 85\.0\], now is \[30\.0, 40\.0\]"):
        prepare_synthesis(toy_job(output, subjects=5, people={"age": (30.0, 40.0)}))
    with pytest.raises(OutputError, match="seed was 0, now is 7"):
        prepare_synthesis(toy_job(output, subjects=5, seed=7))


def test_another_generator_or_face_model_is_refused(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = output / "other.npz"
    other.write_bytes(b"another face model")
    with pytest.raises(OutputError, match=r"assets\.face_model was"):
        prepare_synthesis(toy_job(output, subjects=5, face_model=str(other)))
    monkeypatch.setattr("facerecon_ray.pipeline.synthesis.synthesis_preparation.GENERATOR_VERSION", 99)
    with pytest.raises(OutputError, match=f"generator's version was {GENERATOR_VERSION}, now is 99"):
        prepare_synthesis(toy_job(output, subjects=5))


def test_overwrite_starts_anew_with_other_settings(output: Path) -> None:
    prepared = prepare_synthesis(toy_job(output, subjects=3, seed=7), overwrite=True)
    assert todo(prepared) == [(0, 0, 2), (1, 2, 1)]
    assert prepared.card.seed == 7


def test_shards_without_a_card_are_not_touched(output: Path) -> None:
    open_store(output).delete("dataset.json")
    with pytest.raises(OutputError, match=r"shards but no dataset\.json"):
        prepare_synthesis(toy_job(output))


def test_a_missing_asset_is_named_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"nowhere\.npz"):
        prepare_synthesis(toy_job(tmp_path, face_model=str(tmp_path / "nowhere.npz")))
