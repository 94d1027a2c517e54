import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from facerecon_ray.config.assets import PHOTOS
from facerecon_ray.errors import AssetError, OutputError
from facerecon_ray.pipeline.synthesis.synthesis_preparation import PreparedSet, prepare_synthesis
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.dataset_card import GENERATOR_VERSION, load_card, save_card
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


def test_a_set_from_before_fitting_was_a_stage_of_its_own_is_completed(output: Path) -> None:
    store = open_store(str(output))
    card = load_card(store)
    assert card is not None
    method = card.settings.pop("fit")["method"]
    card.settings["rotate"]["fit"] = method
    save_card(store, card)
    assert todo(prepare_synthesis(toy_job(output, subjects=5))) == [(0, 0, 2)]


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


def test_other_backgrounds_under_the_same_name_are_refused_and_damaged_ones_counted(tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((8, 8, 3), np.uint8))
    (folder / "b.png").write_bytes(b"no picture")
    job = toy_job(folder / "out", backgrounds={"folder": folder})
    lines: list[str] = []
    prepared = prepare_synthesis(job, report=lines.append)
    assert lines == [f"1 of 2 pictures in {folder} cannot be read; they are no backgrounds"]
    save_card(prepared.store, prepared.card)
    (folder / "out" / "preview.png").write_bytes(b"what the job wrote itself")
    assert prepare_synthesis(job).earlier
    cv2.imwrite(str(folder / "a.png"), np.ones((8, 8, 3), np.uint8))
    with pytest.raises(OutputError, match=r"assets\.backgrounds was"):
        prepare_synthesis(job)


def test_a_set_in_the_folder_that_it_is_made_from_is_continued(tmp_path: Path) -> None:
    for photo in list(PHOTOS.glob("*.jpg"))[:2]:
        shutil.copy(photo, tmp_path)
    for place in ("", "out"):
        job = toy_job(tmp_path / place, profile=str(tmp_path))
        prepared = prepare_synthesis(job)
        save_card(prepared.store, prepared.card)
        (tmp_path / place / "preview.png").write_bytes(b"a picture")
        write_shard(prepared.store, 0, [pair_rows(pair_batch(0), "jpeg")] * 2, 0, {})
        assert prepare_synthesis(job).todo == []
        assert prepared.subjects == 2


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
