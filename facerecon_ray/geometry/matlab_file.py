"""MATLAB's .mat files, up to version 7."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from facerecon_ray.errors import AssetError, FaceReconError

HDF5 = b"\x89HDF\r\n\x1a\n"
"""How the contents of a file of version 7.3 begin, after 512 bytes of MATLAB's own or none."""


def read_matlab(
    path: Path, error: type[FaceReconError] = AssetError, names: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """Arrays of a file by their names.

    Parameters
    ----------
    path : of the file
    error : what is raised
    names : the arrays that are read; without them all

    Raises
    ------
    error
        when the file is missing, is no MATLAB file, or is one of version 7.3
    """
    try:
        with path.open("rb") as file:
            start = file.read(512 + len(HDF5))
            if start.endswith(HDF5) or start.startswith(HDF5):
                raise error(
                    f"{path}: this is a file of MATLAB 7.3, which cannot be read; "
                    "load it in MATLAB and save it anew with save(..., '-v7')"
                )
            file.seek(0)
            contents: dict[str, np.ndarray] = loadmat(file, variable_names=names)
    except FaceReconError:
        raise
    except Exception as problem:  # the parser raises errors of every kind on damaged files
        reason = isinstance(problem, OSError) and problem.strerror
        raise error(f"{path}: {reason or 'this is no MATLAB file, or it is damaged'}") from problem
    return contents
