from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import number_of, numbered, write_clip

from facerecon_ray.errors import PhotoError
from facerecon_ray.storage.photos.clip_file import Clip

MOST = 10**8
ITU709 = 1
FORMATS = {
    "clip.mp4": "libx264",
    "clip.mov": "libx265",
    "clip.mkv": "libsvtav1",
    "clip.webm": "libvpx-vp9",
    "clip.avi": "mpeg4",
    "clip.mpg": "mpeg2video",
    "clip.mts": "libx264",
    "clip.wmv": "wmv2",
    "clip.flv": "libx264",
    "clip.ogv": "libvpx",
}


def opened(path: Path) -> Clip:
    return Clip(path.open("rb"), MOST)


@pytest.mark.parametrize("name", FORMATS)
def test_every_moment_shows_its_picture_whatever_the_format_and_the_order(tmp_path: Path, name: str) -> None:
    container = "mpegts" if name.endswith("mts") else None
    rate = 25 if name.endswith("mpg") else 10
    path = write_clip(tmp_path / name, numbered(45, 144, 176), rate, FORMATS[name], container=container)
    clip = opened(path)
    moments, fault = clip.moments(2.0)
    times = list(moments)
    assert fault == "" and times == [0.5 * number for number in range(int(44 / rate * 2) + 1)]
    shown = [number_of(clip.picture(time)) for time in times]
    assert np.abs(np.array(shown) - rate * np.array(times)).max() <= 1
    assert [number_of(clip.picture(time)) for time in reversed(times)] == shown[::-1]
    clip.close()


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_pictures_are_turned_as_the_phone_says(tmp_path: Path, rotation: int) -> None:
    path = write_clip(tmp_path / "clip.mp4", numbered(3), rotation=rotation)
    picture = opened(path).picture(0.0)
    assert picture.shape == ((96, 128, 3) if rotation == 180 else (128, 96, 3))
    found, expected = cv2.VideoCapture(str(path)).read()
    assert found and np.abs(picture.astype(int) - expected[..., ::-1]).mean() < 4


def test_colours_are_those_that_the_clip_says_and_of_large_ones_that_say_nothing_those_of_hd(tmp_path: Path) -> None:
    skin = np.full((720, 1280, 3), (224, 172, 105), np.uint8)
    said = opened(write_clip(tmp_path / "said.mp4", [skin[:96, :128]] * 2, colours=ITU709)).picture(0.0)
    path = write_clip(tmp_path / "unsaid.avi", [skin] * 2, codec="mpeg4", colours=ITU709)
    unsaid = opened(path).picture(0.0)
    assert np.abs(said.mean((0, 1)) - skin[0, 0]).max() < 3 and np.abs(unsaid.mean((0, 1)) - skin[0, 0]).max() < 4


def test_of_a_clip_that_breaks_off_the_rest_is_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (100, 96, 128, 3), dtype=np.uint8)
    path = write_clip(tmp_path / "clip.mp4", noise, options={"movflags": "faststart"})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    clip = opened(path)
    moments, fault = clip.moments(1.0)
    times = list(moments)
    assert fault.startswith("the clip breaks off after ") and fault.endswith(" of 10.0 seconds")
    assert 3 <= len(times) <= 6 and all(clip.picture(time).shape == (96, 128, 3) for time in times)
    with pytest.raises(PhotoError, match="the clip ends before"):
        clip.picture(9.0)


def test_what_is_no_clip_is_refused_with_the_reason(tmp_path: Path) -> None:
    write_clip(tmp_path / "real.mp4", numbered(3))
    files = {
        "empty": b"",
        "junk": b"junk" * 999,
        "headless": (tmp_path / "real.mp4").read_bytes()[:800],
        "playlist": f"ffconcat version 1.0\nfile {tmp_path}/real.mp4\n".encode(),
        "stream": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/real.mp4\n#EXT-X-ENDLIST\n".encode(),
    }
    for name, contents in files.items():
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(PhotoError, match="empty" if name == "empty" else "damaged or of a kind that is not supp"):
            opened(tmp_path / name)
    with pytest.raises(PhotoError, match=r"pictures of 12,288 pixels, more than read\.max_pixels = 12,000"):
        Clip((tmp_path / "real.mp4").open("rb"), 12_000).picture(0.0)
