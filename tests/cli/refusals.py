"""Commands that are refused."""

import sys

import pytest

from facerecon_ray.cli import main


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that exits with 2."""
    monkeypatch.setattr(sys, "argv", ["facerecon", *arguments])
    with pytest.raises(SystemExit) as exit_code:
        main()
    assert exit_code.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line
