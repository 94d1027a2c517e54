import os
import subprocess
import sys
from pathlib import Path

import pytest

from facerecon_ray.cluster import scratch as module
from facerecon_ray.cluster.scratch import scratch_folder
from facerecon_ray.errors import OutputError

HOLDER = """
import sys
from facerecon_ray.cluster.scratch import scratch_folder
with scratch_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_machine_without_a_folder_for_temporary_files_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(module, "_SHORT_FOLDER", tmp_path / "gone")
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path / ("long" * 10)))
    message = r"cannot make a folder for Ray in .*gone: No such file .*; set TMPDIR to .* at most 20 characters"
    with pytest.raises(OutputError, match=message), scratch_folder():
        pass


def test_where_the_usual_folder_may_not_be_written_it_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(module, "_SHORT_FOLDER", tmp_path / "gone")
    monkeypatch.setattr(module.tempfile, "tempdir", "/var/tmp")
    with scratch_folder() as folder:
        assert folder.parent == Path("/var/tmp")


def test_the_folder_of_a_killed_process_is_deleted_by_the_next_one_and_that_of_a_living_one_is_not():
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    folders = [Path(holder.stdout.readline().strip()) for holder in holders]  # type: ignore[union-attr]
    try:
        for folder in folders:
            os.utime(folder / ".in-use", (0, 0))
        holders[0].kill()
        holders[0].wait()
        with scratch_folder() as own:
            assert own.stat().st_mode & 0o777 == 0o700
            assert [folder.exists() for folder in folders] == [False, True]
        assert not own.exists()
    finally:
        for holder in holders:
            holder.communicate()
    assert not folders[1].exists()
