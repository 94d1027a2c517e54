"""What a worker does, in this process: going on, and whatever can be wrong with what it is given."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from facerecon_ray.config.training import FitterTraining, PrnetTraining, RotatorTraining, TrainJob
from facerecon_ray.errors import AssetError, InputError, StorageError, TrainingError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.fitter import FitterNetwork, telling_points
from facerecon_ray.storage import folder_store
from facerecon_ray.storage.objects import open_store
from facerecon_ray.training.board import Standing
from facerecon_ray.training.worker import is_best

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
from s3_server import S3Server
from training_pairs import quick_job, write_pairs

Train = Callable[[TrainJob], Standing]


@pytest.fixture(scope="module")
def begun_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("begun") / "out"


@pytest.fixture
def begun(begun_folder: Path, train_here: Train, pairs: Path, tmp_path: Path) -> Path:
    """Output of a rotator's training, the fastest, after two steps."""
    if not begun_folder.exists():
        train_here(quick_job(RotatorTraining, pairs, begun_folder, validate_every=2))
    return Path(shutil.copytree(begun_folder, tmp_path / "out"))


def last_step(output: Path) -> int:
    return int(torch.load(output / "checkpoints" / "last.pt", weights_only=True)["step"])


def contents(output: Path) -> dict[str, bytes]:
    return {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}


def test_a_training_that_has_its_steps_says_so(begun: Path, pairs: Path, train_here: Train) -> None:
    standing = train_here(quick_job(RotatorTraining, pairs, begun, steps=1))
    assert "2 steps were done before" in standing.lines


def test_a_training_goes_on_from_its_last_checkpoint(begun: Path, pairs: Path, train_here: Train) -> None:
    before = torch.load(begun / "checkpoints" / "last.pt", weights_only=True)
    standing = train_here(quick_job(RotatorTraining, pairs, begun, steps=3))
    after = torch.load(begun / "checkpoints" / "last.pt", weights_only=True)
    assert "Going on after step 2 of 3" in standing.lines
    assert after["step"] == 3
    assert [entry["step"] for entry in after["history"]] == [2, 3]
    assert after["history"][0] == before["history"][0]
    assert after["seconds"] > before["seconds"] > 0
    first, last = (state["optimizers"]["generator"]["state"][0]["step"] for state in (before, after))
    assert last - first == 1
    assert len(list((begun / "tensorboard").iterdir())) == 2


def test_a_finished_training_does_nothing_more(begun: Path, pairs: Path, train_here: Train) -> None:
    before = contents(begun)
    train_here(quick_job(RotatorTraining, pairs, begun))
    assert contents(begun) == before


def test_a_learning_rate_that_is_far_too_large_is_noticed_and_leaves_the_last_checkpoint_as_it_was(
    begun: Path, pairs: Path, train_here: Train
) -> None:
    before = contents(begun)
    optimizer = {"warmup": 0, "learning_rate": 1e38, "schedule": "constant"}
    with pytest.raises(TrainingError, match=r"step \d: the loss of .* is no number .*lower optimizer\.learning_rate"):
        train_here(quick_job(RotatorTraining, pairs, begun, optimizer=optimizer, steps=4, validate_every=4))
    after = contents(begun)
    assert {name: after[name] for name in before} == before
    assert last_step(begun) == 2


def test_a_full_disk_keeps_the_older_checkpoint_and_the_training_goes_on_when_there_is_room(
    begun: Path, pairs: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(begun)
    write = folder_store._write_flushed

    def full(path: Path, pieces: Iterable[bytes]) -> None:
        data = b"".join(pieces)
        if len(data) > 1 << 20:
            raise OSError(28, os.strerror(28))
        write(path, (data,))

    job = quick_job(RotatorTraining, pairs, begun, steps=3)
    with monkeypatch.context() as patch:
        patch.setattr(folder_store, "_write_flushed", full)
        with pytest.raises(StorageError, match="No space left on device"):
            train_here(job)
    for name in ("checkpoints/last.pt", "checkpoints/best.pt", "rotator.safetensors"):
        assert (begun / name).read_bytes() == before[name]
    assert not [path for path in begun.rglob("*") if path.suffix == ".tmp"]
    train_here(job)
    assert last_step(begun) == 3


def test_a_training_that_ends_before_its_last_files_are_there_writes_them_again(
    pairs: Path, tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = folder_store._write_flushed
    last = ("rotator.safetensors", "figures.json")
    job = quick_job(RotatorTraining, pairs, tmp_path, steps=1)
    for lost in last:

        def broken(path: Path, pieces: Iterable[bytes], lost: str = lost) -> None:
            if lost in path.name:
                raise OSError(5, os.strerror(5))
            write(path, pieces)

        with monkeypatch.context() as patch, pytest.raises(StorageError, match=lost):
            patch.setattr(folder_store, "_write_flushed", broken)
            train_here(job)
    train_here(job)
    assert all((tmp_path / name).exists() for name in last)
    assert last_step(tmp_path) == 1


def test_a_damaged_checkpoint_is_named_and_the_best_one_may_take_its_place(
    begun: Path, pairs: Path, train_here: Train
) -> None:
    last = begun / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[: 1 << 16])
    job = quick_job(RotatorTraining, pairs, begun, steps=3)
    with pytest.raises(TrainingError, match=r"checkpoints/last\.pt is damaged .*copy checkpoints/best\.pt over it"):
        train_here(job)
    shutil.copy(begun / "checkpoints" / "best.pt", last)
    train_here(job)
    assert last_step(begun) == 3


def test_a_checkpoint_of_another_network_is_refused(begun: Path, pairs: Path, train_here: Train) -> None:
    before = contents(begun)
    with pytest.raises(TrainingError, match=r"last\.pt is of rotator, not of prnet"):
        train_here(quick_job(PrnetTraining, pairs, begun))
    assert contents(begun) == before


def test_weights_to_begin_with_are_taken_where_they_fit(pairs: Path, tmp_path: Path, train_here: Train) -> None:
    model = FaceModel.default()
    points = telling_points(model)
    torch.manual_seed(5)
    save_file(
        FitterNetwork(
            model.shape_size + 3, model.expression_size, len(model.dense_landmarks), points, torch.arange(len(points))
        ).state_dict(),
        tmp_path / "larger.safetensors",
    )
    optimizer = {"warmup": 0, "learning_rate": 1e-12, "average": 0.0}
    job = quick_job(
        FitterTraining, pairs, tmp_path / "out", steps=1, optimizer=optimizer, init=tmp_path / "larger.safetensors"
    )
    standing = train_here(job)
    (line,) = [line for line in standing.lines if line.startswith("Beginning with")]
    assert line.endswith("larger.safetensors; 2 of its tensors do not fit and begin at random")
    with (
        safe_open(tmp_path / "larger.safetensors", "pt") as given,
        safe_open(tmp_path / "out" / "fitter.safetensors", "pt") as trained,
    ):
        name = "hidden.0.weight"
        assert torch.allclose(given.get_tensor(name), trained.get_tensor(name).float(), atol=1e-3)
        assert trained.metadata()["network"] == "fitter"
        assert trained.metadata()["face_model"] == model.fingerprint


def test_weights_of_which_nothing_fits_are_refused(pairs: Path, tmp_path: Path, train_here: Train) -> None:
    save_file({"stem.0.weight": torch.zeros(1, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(AssetError, match=r"other\.safetensors: nothing in the file fits"):
        train_here(quick_job(FitterTraining, pairs, tmp_path / "out", init=tmp_path / "other.safetensors"))


def test_a_batch_larger_than_the_data_is_refused(pairs: Path, tmp_path: Path, train_here: Train) -> None:
    with pytest.raises(InputError, match=r"smaller than batch_size 7; make more subjects, or lower batch_size"):
        train_here(quick_job(RotatorTraining, pairs, tmp_path, batch_size=7))


def test_a_damaged_row_is_left_out_and_counted(tmp_path: Path, train_here: Train) -> None:
    data = write_pairs(tmp_path / "pairs", train=2)
    shard = tmp_path / "pairs" / "shards" / "part-000000.parquet"
    contents = shard.read_bytes()
    first = contents.index(b"\xff\xd8\xff")
    shard.write_bytes(contents[:first] + bytes(3) + contents[first + 3 :])
    standing = train_here(quick_job(RotatorTraining, data, tmp_path / "out", steps=1))
    assert standing.skipped >= 1
    assert "not a picture" in standing.reason
    assert last_step(tmp_path / "out") == 1


def test_a_set_without_a_whole_row_for_validation_is_named(tmp_path: Path, train_here: Train) -> None:
    data = write_pairs(tmp_path / "pairs", train=1)
    shard = tmp_path / "pairs" / "shards" / "part-000001.parquet"
    shard.write_bytes(shard.read_bytes().replace(b"\xff\xd8\xff", bytes(3)))
    with pytest.raises(InputError, match="no row for validation is whole"):
        train_here(quick_job(RotatorTraining, data, tmp_path / "out", steps=1))


@pytest.mark.slow
def test_data_and_output_may_lie_on_s3(seaweed: S3Server, train_here: Train) -> None:
    bucket = f"s3://{seaweed.bucket()}"
    write_pairs(f"{bucket}/pairs", train=1, s3=seaweed.settings)
    s3 = seaweed.settings.model_dump()
    train_here(quick_job(RotatorTraining, f"{bucket}/pairs", f"{bucket}/out", steps=1, s3=s3))
    standing = train_here(quick_job(RotatorTraining, f"{bucket}/pairs", f"{bucket}/out", steps=2, s3=s3))
    assert "Going on after step 1 of 2" in standing.lines
    names = {stored.name for stored in open_store(f"{bucket}/out", seaweed.settings).list()}
    expected = {"checkpoints/last.pt", "checkpoints/best.pt", "rotator.safetensors", "figures.json"}
    assert expected | {"samples/step-0000001.png", "samples/step-0000002.png"} <= names
    assert len([name for name in names if name.startswith("tensorboard/")]) == 2


@pytest.mark.parametrize(
    ("figure", "earlier", "best"),
    [
        (0.5, [], True),
        (0.5, [0.4, 0.6], False),
        (0.4, [0.4, 0.6], True),
    ],
)
def test_the_best_validation_is_the_one_whose_goal_is_smallest(
    figure: float, earlier: list[float], best: bool
) -> None:
    assert is_best(figure, earlier) is best
