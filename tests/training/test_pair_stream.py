import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import ray

from facerecon_ray.config.training import FitterTraining, TrainJob
from facerecon_ray.errors import InputError, StorageError
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.dataset_card import new_card, save_card
from facerecon_ray.storage.pairs.pair_schema import pair_rows
from facerecon_ray.storage.pairs.pair_shards import shard_summaries, write_shard
from facerecon_ray.training.board import open_board
from facerecon_ray.training.pair_stream import endless_batches, pair_dataset, shards_of

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))
from pairs import pair_batch
from training_pairs import quick_job

pytestmark = pytest.mark.usefixtures("ray_cluster")

COLUMNS = ("subject", "view", "pose")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of two subjects for training and one for validation; of three rows of a subject one has failed."""
    folder = tmp_path_factory.mktemp("set")
    store = open_store(folder)
    for index in range(3):
        split = "validation" if index == 2 else "train"
        subjects = [pair_rows(pair_batch(2 * index + number, split), "jpeg") for number in range(2)]
        write_shard(store, index, subjects, 2 * index, {})
    card = new_card({}, 0, 6, {})
    card.summarise(shard_summaries(store), 3)
    save_card(store, card)
    return folder


def job(folder: Path, **settings: object) -> TrainJob:
    return quick_job(FitterTraining, folder, "out", **settings)


def keys(batches: Iterator[dict[str, np.ndarray]]) -> list[tuple[int, int]]:
    return [(int(s), int(v)) for batch in batches for s, v in zip(batch["subject"], batch["view"], strict=True)]


def test_every_good_row_of_the_split_comes_once_in_each_pass_and_in_another_order(folder: Path) -> None:
    stream = pair_dataset(job(folder), "train", COLUMNS, open_board()).iterator()
    batches = endless_batches(stream, job(folder, batch_size=4, data_stream={"shuffle_rows": 8}), seed=1)
    passes = [keys(islice(batches, 2)) for _ in range(3)]
    wanted = Counter((subject, view) for subject in range(4) for view in (0, 2))
    assert [Counter(one) for one in passes] == [wanted] * 3
    assert len(set(map(tuple, passes))) > 1


def test_rows_have_the_wanted_columns_only(folder: Path) -> None:
    (batch,) = pair_dataset(job(folder), "validation", COLUMNS, open_board()).iter_batches(batch_size=None)
    assert set(batch) == set(COLUMNS)
    assert sorted(set(batch["subject"])) == [4, 5]


def test_a_damaged_row_is_left_out_and_the_board_says_why(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    path = copy / "shards" / "part-000001.parquet"
    contents = path.read_bytes()
    first = contents.index(b"\xff\xd8\xff")
    path.write_bytes(contents[:first] + bytes(3) + contents[first + 3 :])
    board = open_board()
    found = keys(pair_dataset(job(copy), "train", (*COLUMNS, "crop"), board).iter_batches(batch_size=None))
    assert len(found) == 7
    standing = ray.get(board.standing.remote())
    assert (standing.skipped, standing.error) == (1, None)
    assert standing.reason == "its bytes are not a picture"


def test_a_damaged_shard_ends_the_training_with_its_name(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    path = copy / "shards" / "part-000001.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    board = open_board()
    with pytest.raises(Exception, match=r"part-000001\.parquet is damaged"):
        keys(pair_dataset(job(copy), "train", COLUMNS, board).iter_batches(batch_size=None))
    error = ray.get(board.standing.remote()).error
    assert isinstance(error, StorageError)
    assert "part-000001.parquet is damaged" in str(error)
    assert ray.get(board.error.remote()) is not None


def test_fewer_rows_than_a_batch_are_an_error(folder: Path) -> None:
    stream = pair_dataset(job(folder), "train", COLUMNS, open_board()).iterator()
    batches = endless_batches(stream, job(folder, batch_size=9), seed=0)
    with pytest.raises(InputError, match="smaller than batch_size 9"):
        next(batches)


def test_a_missing_set_or_split_is_named(folder: Path, tmp_path: Path) -> None:
    assert shards_of(job(folder), "train") == [0, 1]
    with pytest.raises(InputError, match=r"no data set; `facerecon synthesize --output .*empty` makes one"):
        shards_of(job(tmp_path / "empty"), "train")
    with pytest.raises(InputError, match="no rows for test"):
        shards_of(job(folder), "test")
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "shards" / "part-000002.json").unlink()
    with pytest.raises(InputError, match="no rows for validation"):
        shards_of(job(copy), "validation")


def test_processes_that_pass_rows_on_load_no_torch() -> None:
    script = "import sys, facerecon_ray.training.pair_stream; print('torch' in sys.modules)"
    known = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    loaded = subprocess.run([sys.executable, "-c", script], env=known, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"
