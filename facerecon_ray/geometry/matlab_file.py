"""MATLAB's .mat files, up to version 7."""

import zlib
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from facerecon_ray.errors import AssetError, FaceReconError


def read_matlab(path: Path, error: type[FaceReconError] = AssetError) -> dict[str, np.ndarray]:
    """Arrays of a file by their names.

    Raises
    ------
    error
        when the file is missing, is no MATLAB file, or is one of version 7.3
    """
    try:
        with path.open("rb") as file:
            contents: dict[str, np.ndarray] = loadmat(file)
    except NotImplementedError:
        raise error(f"{path}: MATLAB 7.3 files cannot be read; save it with -v7") from None
    except (OSError, ValueError, TypeError, EOFError, zlib.error, MatReadError) as problem:
        reason = isinstance(problem, OSError) and problem.strerror
        raise error(f"{path}: {reason or 'this is no MATLAB file'}") from None
    return contents
