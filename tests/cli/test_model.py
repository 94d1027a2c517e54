import sys
from pathlib import Path

import pytest
import torch

from facerecon_ray.cli import main
from facerecon_ray.networks.view_generator import ViewGenerator
from facerecon_ray.networks.weight_file import weight_bytes


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call `facerecon model export` beside the weights of a rotator; returns exit code and everything it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    weights = weight_bytes(ViewGenerator().state_dict(), "rotator", {})
    (tmp_path / "rotator.safetensors").write_bytes(weights)

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["facerecon", "model", "export", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            main()
        captured = capsys.readouterr()
        return int(exit_info.value.code or 0), captured.out + captured.err

    return call


def test_exported_network_is_one_file_of_the_format_that_was_asked_for(export, tmp_path: Path):
    options = ("--weights", "rotator.safetensors", "--format", "torch")
    code, text = export("rotator", "--output", "rotator.program", *options)
    assert code == 0 and "Wrote rotator.program" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rotator.program", "rotator.safetensors"]
    with (tmp_path / "rotator.program").open("rb") as file:
        assert list(torch.export.load(file).module()(torch.zeros(3, 5, 256, 256))) == ["picture"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["face", "--output", "face.pt2"], "network 'face': choose fitter, two-view, prnet, rotator"),
        (["prnet", "--output", "prnet.bin"], "prnet.bin: its name ends in neither .onnx nor .pt2"),
        (["prnet", "--output", "prnet.pt2", "--weights", "rotator.safetensors"], "the file is of another network"),
    ],
)
def test_mistakes_are_one_line(export, arguments: list[str], message: str):
    code, text = export(*arguments)
    assert code == 2 and message in text and len(text.strip().splitlines()) == 1
