"""Subjects of the face model itself before plain pictures: everything but the making of people is real."""

import os

import numpy as np
import torch

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.stages.stage import Batch

SIZE = 320


class ToyViews:
    def __init__(self, number: int, seed: int, model: FaceModel, yaws: list[float]) -> None:
        self.number, self.seed = number, seed
        rng = np.random.default_rng([seed, number])
        count = len(yaws)
        self.angles = np.stack([[yaw, *rng.uniform(-20, 20, 2)] for yaw in yaws]).astype(np.float32)
        self.shape = rng.normal(0.0, 0.7, (1, model.shape_size)).astype(np.float32)
        self.expression = rng.uniform(0.0, 0.5, (1, model.expression_size)).astype(np.float32)
        self.vertices = model.vertices(torch.from_numpy(self.shape), torch.from_numpy(self.expression))
        self.camera = Camera(
            torch.from_numpy(self.angles), torch.full((count,), 900.0), torch.full((count, 2), SIZE / 2.0)
        )
        coarse = torch.from_numpy(rng.uniform(0, 255, (count, 3, 9, 9)).astype(np.float32))
        smooth = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")
        self.photo = smooth.permute(0, 2, 3, 1).byte().numpy()

    def photos(self) -> Batch:
        count = len(self.angles)
        return {
            "subject": np.full(count, self.number, np.int64),
            "subject_seed": np.full(count, self.seed, np.int64),
            "view": np.arange(count, dtype=np.int32),
            "source": np.full(count, "toy", object),
            "origin": np.full(count, "", object),
            "attributes": np.full(count, {"age": 20.0 + self.number, "hair": "none", "gender": 0.25}, object),
            "status": np.full(count, "ok", object),
            "error": np.full(count, "", object),
            "photo": self.photo,
            "points": self.camera.project(self.vertices.expand(count, -1, -1)).numpy(),
            "surface": self.vertices.expand(count, -1, -1).numpy(),
            "noise_seed": np.array([(self.seed, view) for view in range(count)], np.uint64),
        }

    def turned(self, known: Batch, wanted: np.ndarray) -> Batch:
        return {"true_rotated": 255 - known["crop"], "true_rotated_pose": wanted}


class ToySource:
    """Two views of each subject; subject 3 cannot be made."""

    name = "toy"

    def __init__(self, job: SynthesisJob) -> None:
        self.model = FaceModel.default()
        self._yaws = list(job.views.yaws)

    def __len__(self) -> int:
        return 1000

    def seed(self, number: int) -> int:
        return 77 + number

    def subject(self, number: int) -> ToyViews:
        if number == 3:
            raise PhotoError("subject 3 blinked")
        return ToyViews(number, self.seed(number), self.model, self._yaws)


class BlinkingSource(ToySource):
    """None of its subjects can be made."""

    def subject(self, number: int) -> ToyViews:
        raise PhotoError(f"subject {number} blinked")


class DeadlySource(ToySource):
    """Its subject 2 ends the process."""

    def subject(self, number: int) -> ToyViews:
        if number == 2:
            os._exit(1)
        return super().subject(number)


def toy_job(output: object, **settings: object) -> SynthesisJob:
    """A job whose subjects take a fraction of a second; their photos show no face that a network could find."""
    tree = {"output": str(output), "subjects": 8, "shards": {"subjects": 2}, "views": {"yaws": (-60.0, 10.0)}}
    return SynthesisJob.model_validate(
        tree | {"pairs": {"landmarks": "exact"}, "fit": {"method": "landmarks"}} | settings
    )
