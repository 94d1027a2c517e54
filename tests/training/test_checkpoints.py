import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from facerecon_ray.errors import StorageError, TrainingError
from facerecon_ray.storage import folder_store
from facerecon_ray.storage.objects import open_store
from facerecon_ray.training.checkpoints import Checkpoints, weights_name

STATE = {"step": 3, "modules": {"net": {"weight": torch.arange(4.0)}}, "history": [{"step": 3, "best": True}]}


def checkpoints(folder: Path, network: str = "two-view") -> Checkpoints:
    return Checkpoints(open_store(folder), network)


def test_a_new_output_has_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoints(tmp_path).last() is None


def test_the_newest_state_comes_back(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path)
    kept.save({**STATE, "step": 2}, best=True)
    kept.save(STATE, best=False)
    state = kept.last()
    assert state is not None
    assert torch.equal(state["modules"]["net"]["weight"], torch.arange(4.0))
    assert (state["step"], state["history"]) == (3, STATE["history"])
    assert torch.load(tmp_path / "checkpoints" / "best.pt", weights_only=True)["step"] == 2


@pytest.mark.parametrize("data", [b"", b"these are no weights", "cut", "flipped"])
def test_a_damaged_checkpoint_is_named_with_a_way_on(tmp_path: Path, data: bytes | str) -> None:
    kept = checkpoints(tmp_path)
    kept.save(STATE, best=False)
    path = tmp_path / "checkpoints" / "last.pt"
    whole = path.read_bytes()
    damaged = {"cut": whole[:-200], "flipped": bytes(300) + whole[300:]}
    path.write_bytes(damaged[data] if isinstance(data, str) else data)
    with pytest.raises(TrainingError, match=r"last\.pt is damaged \(.*copy checkpoints/best\.pt over it"):
        kept.last()


def test_a_checkpoint_of_another_network_or_of_none_is_refused(tmp_path: Path) -> None:
    checkpoints(tmp_path, "prnet").save(STATE, best=False)
    with pytest.raises(TrainingError, match="is of prnet, not of two-view"):
        checkpoints(tmp_path).last()
    torch.save([1, 2], tmp_path / "checkpoints" / "last.pt")
    with pytest.raises(TrainingError, match="is of something else, not of two-view"):
        checkpoints(tmp_path).last()


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "harm"),)

    (tmp_path / "checkpoints").mkdir()
    torch.save({"network": "two-view", "step": Harmful()}, tmp_path / "checkpoints" / "last.pt")
    with pytest.raises(TrainingError, match="is damaged"):
        checkpoints(tmp_path).last()
    assert not (tmp_path / "harm").exists()


def test_a_store_that_takes_nothing_keeps_the_older_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = checkpoints(tmp_path)
    kept.save({**STATE, "step": 1}, best=True)

    def full(path: Path, pieces: Iterable[bytes]) -> None:
        data = b"".join(pieces)
        path.write_bytes(data[: len(data) // 2])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(folder_store, "_write_flushed", full)
    with pytest.raises(StorageError, match="No space left on device"):
        kept.save(STATE, best=True)
    state = kept.last()
    assert state is not None and state["step"] == 1
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.pt", "last.pt"]


def test_weights_and_figures_have_names_of_their_own(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path)
    assert kept.save_weights(b"weights") == str(tmp_path / "two_view.safetensors")
    assert weights_name("two-view") == "two_view.safetensors"
    kept.save_figures([{"step": 1}])
    assert json.loads((tmp_path / "figures.json").read_text()) == [{"step": 1}]
