import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load

from facerecon_ray.config.assets import HEADS
from facerecon_ray.synthesis.people import anny_heads
from facerecon_ray.synthesis.people.anny_heads import HeadSampler, pack_heads


def test_same_seed_gives_the_same_heads_and_others_differ(sampler: HeadSampler) -> None:
    first, again = (sampler.shapes(4, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = sampler.shapes(4, np.random.default_rng(6))
    assert np.linalg.norm(first - other, axis=-1).mean() > 0.002


def test_actions_move_the_face_and_leave_the_neutral_head(sampler: HeadSampler) -> None:
    offsets = sampler.action_offsets()
    assert len(offsets) == len(sampler.action_names) == 52
    jaw = np.linalg.norm(offsets[sampler.action_names.index("jawOpen")], axis=-1)
    assert jaw.max() > 0.01
    assert (jaw < 1e-6).mean() > 0.2, "the skull stays"


def test_one_head_is_the_same_as_in_a_batch(sampler: HeadSampler) -> None:
    phenotypes = {"gender": 0.3, "age": 0.8, "weight": 0.6, "african": 0.2, "asian": 0.5, "caucasian": 0.3}
    changes = {"chin-width-incr": 0.7, "l-ear-scale-incr": -0.4}
    actions = {"jawOpen": 0.5, "mouthSmileLeft": 0.8}
    strengths = torch.tensor([[actions.get(name, 0.0) for name in sampler.action_names]], dtype=torch.float64)
    expected = sampler._model(phenotype_kwargs=phenotypes, local_changes_kwargs=changes, facial_actions=strengths)[
        "vertices"
    ][0]
    np.testing.assert_allclose(sampler.head(phenotypes, changes, actions), expected.numpy(), atol=1e-6)


def test_heads_are_there_in_seconds_without_a_home_and_nothing_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("anny", reason="sampling heads needs the package anny (the extra 'synthesis')")
    script = "from facerecon_ray.synthesis.people.anny_heads import HeadSampler; print(HeadSampler().average().shape)"
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir(mode=0o500)
    temporary.mkdir()
    known = {name: value for name, value in os.environ.items() if not name.startswith(("ANNY", "XDG"))}
    environment = {**known, "HOME": str(home), "TMPDIR": str(temporary)}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=250)
    assert run.stdout.strip() == "(4538, 3)", run.stderr
    assert not list(home.rglob("*")) and not list(temporary.glob("facerecon*"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_packed_heads_are_those_of_the_installed_anny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anny", reason="sampling heads needs the package anny (the extra 'synthesis')")
    monkeypatch.setattr(anny_heads, "PACKED_LEVEL", 1)
    pack_heads(tmp_path / "heads.zst")
    made, packed = (unpacked(path) for path in (tmp_path / "heads.zst", HEADS))
    assert made.keys() == packed.keys()
    for name, values in packed.items():
        # To a fraction of a millimetre: not every run of anny's own work gives the same last digits, and
        # where two of its choices are as good as one another, not every processor makes the same.
        other = (made[name].double() - values.double()).abs() > 5e-4
        assert made[name].shape == values.shape and other.double().mean() < 2e-3, name


def unpacked(path: Path) -> dict[str, torch.Tensor]:
    with pa.input_stream(path, compression="zstd") as file:
        return load(file.read())
