"""The user's home folder, which containers that run under any number do not have."""

import os
import tempfile
from pathlib import Path


def lend_home() -> None:
    """Give this process a home for the libraries that ask for one while they are imported, where its user has none."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(temporary_home())


def temporary_home() -> Path:
    """A folder for temporary files that is closed to other users; made if it is not there."""
    folder = Path(tempfile.gettempdir(), f"facerecon_ray-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
