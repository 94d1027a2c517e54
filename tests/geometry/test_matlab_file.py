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
    savemat(tmp_path / "a.mat", {"one": np.random.default_rng(0).random((90, 90))}, do_compression=True)
    whole = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AssetError, match=r"a\.mat: this is no MATLAB file, or it is damaged"):
        read_matlab(tmp_path / "a.mat")


@pytest.mark.parametrize("before", [b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(384), b""])
def test_a_file_of_version_7_3_says_what_it_is_and_how_to_save_it_anew(tmp_path: Path, before: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(before + b"\x89HDF\r\n\x1a\n" + bytes(512))
    with pytest.raises(PhotoError, match=r"a\.mat: this is a file of MATLAB 7\.3.*'-v7'"):
        read_matlab(tmp_path / "a.mat", PhotoError)
