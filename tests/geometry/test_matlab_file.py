from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from facerecon_ray.errors import AssetError, PhotoError
from facerecon_ray.geometry.matlab_file import read_matlab


def test_arrays_are_read_by_name(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"one": np.eye(3)})
    assert np.array_equal(read_matlab(tmp_path / "a.mat")["one"], np.eye(3))


def test_what_cannot_be_read_is_an_error_of_the_wanted_kind(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"a\.mat: No such file"):
        read_matlab(tmp_path / "a.mat")
    (tmp_path / "a.mat").write_bytes(b"no matlab file" * 100)
    with pytest.raises(PhotoError, match=r"a\.mat: this is no MATLAB file"):
        read_matlab(tmp_path / "a.mat", PhotoError)
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "a.mat").write_bytes(header + b"\x00" * 512)
    with pytest.raises(AssetError, match=r"a\.mat: MATLAB 7\.3 files cannot be read; save it with -v7"):
        read_matlab(tmp_path / "a.mat")
