from pathlib import Path

import cv2
import numpy as np
import pytest

from facerecon_ray.config.synthesis import BackgroundSettings
from facerecon_ray.errors import InputError
from facerecon_ray.synthesis.rendering.background_scenes import KINDS
from facerecon_ray.synthesis.rendering.backgrounds import Backgrounds


def test_a_seed_is_a_background_and_others_differ() -> None:
    pictures = [Backgrounds(BackgroundSettings()).picture(seed, 96) for seed in (0, 0, 1, 2, 3, 4, 5)]
    assert np.array_equal(pictures[0], pictures[1])
    assert all(picture.shape == (96, 96, 3) and picture.dtype == np.uint8 for picture in pictures)
    for i in range(1, 7):
        for j in range(i + 1, 7):
            assert np.abs(pictures[i].astype(int) - pictures[j]).mean() > 5


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.make.__name__)
def test_every_kind_is_made_at_any_size_and_is_not_flat(kind) -> None:
    for size in (40, 200):
        picture = kind.make(size, np.random.default_rng(2))
        assert picture.shape == (size, size, 3)
        assert np.isfinite(picture).all()
        assert picture.std(axis=(0, 1)).max() > 0.5


def test_pictures_of_a_folder_are_used_in_their_share(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    cv2.imwrite(str(tmp_path / "deeper" / "green.png"), np.full((300, 500, 3), (0, 200, 0), np.uint8))
    pure = Backgrounds(BackgroundSettings(folder=tmp_path, folder_share=1.0))
    assert all((pure.picture(seed, 64) == (0, 200, 0)).all() for seed in range(5))
    half = Backgrounds(BackgroundSettings(folder=tmp_path, folder_share=0.5))
    share = np.mean([(half.picture(seed, 16) == (0, 200, 0)).all() for seed in range(60)])
    assert 0.3 < share < 0.7


def test_a_folder_without_pictures_is_named_with_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(InputError, match=r"no pictures in .*expected files that end in .*\.jpg"):
        Backgrounds(BackgroundSettings(folder=tmp_path))
    with pytest.raises(InputError, match="missing is no folder"):
        Backgrounds(BackgroundSettings(folder=tmp_path / "missing"))


def test_damaged_pictures_are_passed_over_and_counted_and_hidden_and_made_ones_are_none(tmp_path: Path) -> None:
    green = np.full((300, 500, 3), (0, 200, 0), np.uint8)
    cv2.imwrite(str(tmp_path / "green.png"), green)
    for name in ("broken.jpg", "empty.png", "._green.png", "out/preview.png", "set/preview.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"" if "empty" in name else b"no picture")
    (tmp_path / "set" / "dataset.json").write_text("{}")
    (tmp_path / "circle").symlink_to(".")
    backgrounds = Backgrounds(BackgroundSettings(folder=tmp_path, folder_share=1.0), (str(tmp_path / "out"),))
    assert all((backgrounds.picture(seed, 16) == (0, 200, 0)).all() for seed in range(20))
    found = backgrounds.collection()
    assert found is not None and (found.pictures, found.damaged) == (3, 2)
    (tmp_path / "green.png").write_bytes((tmp_path / "green.png").read_bytes() + b"more")
    changed = backgrounds.collection()
    assert changed is not None and changed.fingerprint != found.fingerprint


def test_a_folder_in_which_no_picture_can_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    backgrounds = Backgrounds(BackgroundSettings(folder=tmp_path, folder_share=1.0))
    for use in (backgrounds.collection, lambda: backgrounds.picture(0, 32)):
        with pytest.raises(InputError, match=r"none of the 1 pictures .* can be read"):
            use()
