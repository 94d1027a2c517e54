from pathlib import Path

import numpy as np
import pytest
import skimage.data
from scipy import io
from typer.testing import CliRunner

from facerecon_ray.cli import main  # noqa: F401 - registers the commands
from facerecon_ray.cli.app import app
from facerecon_ray.errors import SettingsError
from facerecon_ray.evaluation.picture_crops import PictureCrops, encode_png


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the layout of AFLW2000-3D with one photo, whose landmarks are those that the predictor finds."""
    folder = tmp_path_factory.mktemp("aflw")
    picture = skimage.data.astronaut()
    found = PictureCrops("cpu").find([picture])["landmarks"][0]
    points = np.vstack([found.T + 0.5, np.zeros(68)])
    (folder / "image1.png").write_bytes(encode_png(picture))
    io.savemat(folder / "image1.mat", {"pt3d_68": points, "Pose_Para": np.zeros((1, 7))})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "code"), [(0.06, 0), (0.0001, 3)])
def test_the_exit_code_says_whether_the_gates_were_passed(
    ray_cluster: None, photos: Path, tmp_path: Path, limit: float, code: int
) -> None:
    gates = tmp_path / "gates.yaml"
    gates.write_text(f"gates: [{{metric: landmark_nme, model: fitted, max: {limit}}}]")
    options = ["--data", f"landmarks={photos}", "--output", str(tmp_path / "out"), "--gates", str(gates)]
    result = CliRunner().invoke(app, ["evaluate", *options, "--set", "work.device=cpu"])
    assert result.exit_code == code, result.output
    assert ("FAILED" in result.output) == (code == 3)
    assert (tmp_path / "out" / "index.html").is_file()
    assert " event=progress tasks=1 total=1\n" in result.output


@pytest.mark.parametrize("data", ["embeded", "scans", "landmarks=", "embedded=4"])
def test_data_that_cannot_be_meant_is_refused(data: str) -> None:
    result = CliRunner().invoke(app, ["evaluate", "--data", data])
    assert isinstance(result.exception, SettingsError)
    assert "scans=DIR" in str(result.exception)
