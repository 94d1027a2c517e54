import os
import stat
import subprocess
import sys
from pathlib import Path

WITHOUT_PASSWD = "import pwd; pwd.getpwuid = {}.__getitem__; "


def test_a_user_in_no_passwd_starts_what_trains(tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | {"TMPDIR": str(tmp_path)}
    program = WITHOUT_PASSWD + "import facerecon_ray.training.run, pathlib; print(pathlib.Path.home())"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    home = tmp_path / f"facerecon_ray-{os.getuid()}"
    assert done.stdout.strip() == str(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
