import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from facerecon_ray.cli.model import model_build, model_heads
from facerecon_ray.errors import OutputError
from facerecon_ray.networks.network_export import export_network
from facerecon_ray.networks.weight_file import compress
from facerecon_ray.training.calibration import calibrate
from facerecon_ray.whole_file import check_file, whole_file, write_whole


def test_an_earlier_file_stays_when_the_new_one_is_not_finished(tmp_path: Path):
    path = tmp_path / "file"
    write_whole(b"old", path)
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(b"rows", pipe)
    reader.join(10)
    assert read == [b"rows"]
    assert pipe.is_fifo()


def test_a_full_device_is_an_error():
    with pytest.raises(OutputError, match=r"cannot write /dev/full: No space left on device"):
        write_whole(bytes(100_000), Path("/dev/full"))
    assert Path("/dev/full").is_char_device()


def test_a_link_stays_and_its_file_is_written(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "file")
    write_whole(b"new", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "file").read_bytes() == b"new"


def test_what_is_in_the_way_is_said(tmp_path: Path):
    (tmp_path / "a").symlink_to(tmp_path / "a")
    for path, reason in (
        (tmp_path, "it is a folder"),
        (tmp_path / "nowhere" / "file", f"there is no folder {tmp_path}/nowhere"),
        (tmp_path / "a", "Too many levels of symbolic links|Symlink loop"),
        (tmp_path / ("long" * 100), "File name too long"),
    ):
        with pytest.raises(OutputError, match=reason):
            write_whole(b"", path)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_is_refused(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission"):
        check_file(tmp_path / "file")


@pytest.mark.parametrize(
    "command",
    [
        lambda output: model_build(output=output),
        lambda output: model_heads(output=output),
        lambda output: export_network("detector", output, file_format="torch"),
        lambda output: compress(Path("nothing.safetensors"), output),
        lambda output: calibrate(Path("nothing.safetensors"), ["nowhere"], [], output),
    ],
)
def test_what_works_for_minutes_asks_first_where_it_may_write(command: Callable[[Path], object], tmp_path: Path):
    with pytest.raises(OutputError, match="it is a folder"):
        command(tmp_path)
