from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from facerecon_ray.errors import AssetError
from facerecon_ray.networks.weight_file import (
    NETWORK,
    begin_with,
    compress,
    load_network,
    read_metadata,
    weight_bytes,
)


def network(width: int = 4, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Conv2d(width, 2, 1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Weights of a network of width 4."""
    path = tmp_path / "net.safetensors"
    path.write_bytes(weight_bytes(network().state_dict(), "net", {"step": "7"}))
    return path


def test_filters_are_kept_as_float16_and_the_other_numbers_as_they_are(path: Path) -> None:
    state = network().state_dict()
    kept = load_file(path)
    assert {name: value.dtype for name, value in kept.items() if value.ndim > 1} == {
        "0.weight": torch.float16,
        "2.weight": torch.float16,
    }
    for name, value in kept.items():
        assert torch.equal(value, state[name].half() if value.ndim > 1 else state[name]), name
    assert kept["1.num_batches_tracked"].dtype == torch.int64


def test_the_file_says_what_it_is_for(path: Path) -> None:
    assert read_metadata(path, "net") == {NETWORK: "net", "step": "7"}


def test_weights_that_were_written_are_loaded_as_float32(path: Path) -> None:
    loaded = load_network(network(seed=1), path, "net")
    assert not loaded.training
    for name, value in loaded.state_dict().items():
        expected = network().state_dict()[name]
        assert value.dtype == expected.dtype
        assert torch.allclose(value.float(), expected.float(), atol=1e-3), name


def test_compressed_weights_are_half_as_large_and_half_a_step_off_at_most(tmp_path: Path) -> None:
    wide = nn.Sequential(nn.Conv2d(64, 32, 3), nn.BatchNorm2d(32), nn.ConvTranspose2d(32, 48, 4))
    nn.init.zeros_(wide[0].weight[5])
    whole, small = tmp_path / "whole.safetensors", tmp_path / "small.safetensors"
    whole.write_bytes(weight_bytes(wide.state_dict(), "net", {"step": "7"}))
    compress(whole, small)
    assert read_metadata(small, "net") == {NETWORK: "net", "step": "7"}
    assert small.stat().st_size < 0.55 * whole.stat().st_size
    expected = {name: value.clone() for name, value in wide.state_dict().items()}
    found = load_network(wide, small, "net").state_dict()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        if value.ndim < 2:
            assert torch.equal(found[name], value), name
            continue
        step = value.flatten(1).abs().amax(1) / 127
        off = (found[name] - value).flatten(1).abs().amax(1)
        assert (off <= 0.51 * step + 1e-4).all(), name
        assert off[step > 0].max() > 0


def test_weights_in_channels_last_are_written_in_their_own_order(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(
        weight_bytes(network().to(memory_format=torch.channels_last).state_dict(), "net", {})
    )
    loaded = load_network(network(seed=1), tmp_path / "net.safetensors", "net")
    assert torch.allclose(loaded[0].weight, network()[0].weight, atol=1e-3)


def test_a_network_begins_with_what_fits_and_keeps_the_rest(path: Path) -> None:
    given = load_file(path)
    wider = network(width=6, seed=1)
    before = {name: value.clone() for name, value in wider.state_dict().items()}
    kept = begin_with(wider, path, "net")
    after = wider.state_dict()
    taken = {"1.num_batches_tracked", "2.bias"}
    assert set(kept) == set(before) - taken
    assert all(torch.equal(after[name], before[name]) for name in kept)
    assert torch.equal(after["2.bias"], given["2.bias"])
    same = network(seed=1)
    assert begin_with(same, path, "net") == []
    assert torch.equal(same[0].weight, given["0.weight"].float())


def test_a_file_of_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    save_file({"0.weight": torch.zeros(1), "other": torch.zeros(2)}, tmp_path / "other.safetensors")
    target = network()
    before = target[0].weight.clone()
    with pytest.raises(AssetError, match=r"net weights .*other\.safetensors: nothing in the file fits this network"):
        begin_with(target, tmp_path / "other.safetensors", "net")
    assert torch.equal(target[0].weight, before)


@pytest.mark.parametrize(
    "read", [lambda path: begin_with(network(), path, "net"), lambda path: read_metadata(path, "net")]
)
def test_missing_and_unreadable_files_are_named(read, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "weights.safetensors"
    with pytest.raises(AssetError, match=r"net weights .*weights\.safetensors: no such file"):
        read(path)
    path.write_text("these are no weights")
    with pytest.raises(AssetError, match=r"weights\.safetensors: not a readable"):
        read(path)
