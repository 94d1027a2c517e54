from dataclasses import replace

import numpy as np
import pytest
from scans_stand_in import save_scans

from facerecon_ray.errors import AssetError
from facerecon_ray.synthesis.model_building.blendshapes import ARKIT_BLENDSHAPES, arkit_offsets
from facerecon_ray.synthesis.model_building.scans_model import ScansModel


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> ScansModel:
    path = tmp_path_factory.mktemp("scans") / "scans.npz"
    save_scans(path)
    return ScansModel.load(path)


def test_sides_are_spelt_out_and_the_tongue_is_left_out(scans: ScansModel) -> None:
    offsets, names = arkit_offsets(scans)
    assert len(ARKIT_BLENDSHAPES) == 52
    assert set(ARKIT_BLENDSHAPES) - set(names) == {"tongueOut"}
    smile = scans.expression[scans.expression_names.index("mouthSmile_L")]
    np.testing.assert_array_equal(offsets[names.index("mouthSmileLeft")], smile)
    jaw = scans.expression[scans.expression_names.index("jawOpen")]
    np.testing.assert_array_equal(offsets[names.index("jawOpen")], jaw)


def test_what_is_split_by_sides_is_added_up(scans: ScansModel) -> None:
    index = scans.expression_names.index("cheekPuff")
    rest = np.delete(scans.expression, index, axis=0)
    names = [name for name in scans.expression_names if name != "cheekPuff"] + ["cheekPuff_L", "cheekPuff_R"]
    halves = np.stack([np.full_like(rest[0], 0.001), np.full_like(rest[0], 0.002)])
    split = replace(scans, expression=np.concatenate([rest, halves]), expression_names=names)
    offsets, found = arkit_offsets(split)
    np.testing.assert_allclose(offsets[found.index("cheekPuff")], 0.003, rtol=1e-5)


def test_a_missing_expression_is_named(scans: ScansModel) -> None:
    names = ["other" if name == "noseSneer_L" else name for name in scans.expression_names]
    with pytest.raises(AssetError, match="noseSneerLeft"):
        arkit_offsets(replace(scans, expression_names=names))
