import sys
from pathlib import Path

import pytest
import torch

from facerecon_ray.cli import main
from facerecon_ray.networks.view_generator import ViewGenerator, load_weights
from facerecon_ray.networks.weight_file import weight_bytes


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call `facerecon model` beside the weights of a rotator; returns exit code and everything it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    weights = weight_bytes(ViewGenerator().state_dict(), "rotator", {})
    (tmp_path / "rotator.safetensors").write_bytes(weights)

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["facerecon", "model", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            main()
        captured = capsys.readouterr()
        return int(exit_info.value.code or 0), captured.out + captured.err

    return call


def test_exported_network_is_one_file_of_the_format_that_was_asked_for(model, tmp_path: Path):
    options = ("--weights", "rotator.safetensors", "--format", "torch")
    code, text = model("export", "rotator", "--output", "rotator.program", *options)
    assert code == 0 and "Wrote rotator.program" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rotator.program", "rotator.safetensors"]
    with (tmp_path / "rotator.program").open("rb") as file:
        assert list(torch.export.load(file).module()(torch.zeros(3, 5, 256, 256))) == ["picture"]


def test_compressed_weights_are_smaller_and_are_loaded_as_others(model, tmp_path: Path):
    code, text = model("compress", "rotator.safetensors", "--output", "small.safetensors")
    assert code == 0 and "Wrote small.safetensors" in text
    load_weights(tmp_path / "small.safetensors")
    assert (tmp_path / "small.safetensors").stat().st_size < 0.55 * (tmp_path / "rotator.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "face", "--output", "face.pt2"], "network 'face': choose detector, fitter, two-view, prnet"),
        (["export", "prnet", "--output", "prnet.bin"], "prnet.bin: its name ends in neither .onnx nor .pt2"),
        (
            ["export", "prnet", "--output", "prnet.pt2", "--weights", "rotator.safetensors"],
            "the file is of another network",
        ),
        (["compress", "none.safetensors", "-o", "small.safetensors"], "none.safetensors: no such file"),
        (["calibrate", "rotator.safetensors", "-o", "fitter.safetensors"], "no data: name pairs by --data or"),
        (
            ["calibrate", "rotator.safetensors", "-o", "fitter.safetensors", "--data", "pairs"],
            "they are rotator's; only a fitter",
        ),
        (["people", "--scans-model", "none.npz", "--output", "heads"], "the model of scans none.npz does not exist"),
        (["compress", "rotator.safetensors", "-o", "nowhere/small.safetensors"], "cannot write nowhere/small"),
    ],
)
def test_mistakes_are_one_line(model, arguments: list[str], message: str):
    code, text = model(*arguments)
    assert code == 2 and message in text and len(text.strip().splitlines()) == 1
