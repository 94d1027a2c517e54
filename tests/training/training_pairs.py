"""A small data set whose rows are true: heads of the face model in clay before noise, in known poses."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.config.training import TrainJob
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.report.training_pictures import clay_overlay
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.dataset_card import new_card, save_card
from facerecon_ray.storage.pairs.pair_schema import pair_rows
from facerecon_ray.storage.pairs.pair_shards import shard_summaries, write_shard

Rows = dict[str, np.ndarray]

SIZE = 256
TURN = 30.0
"""Degrees of yaw between a crop and its rotated view."""


@cache
def layout() -> UvLayout:
    return UvLayout.of(FaceModel.default())


def face_rows(subject: int, rows: int = 2, split: str = "train") -> Rows:
    """Columns of one subject, whose fit is the truth itself."""
    model = FaceModel.default()
    random = torch.Generator().manual_seed(100 + subject)
    shape = torch.randn(1, model.shape_size, generator=random).expand(rows, -1)
    expression = 0.4 * torch.rand(rows, model.expression_size, generator=random)
    angles = (torch.rand(rows, 3, generator=random) - 0.5) * torch.tensor([100.0, 20.0, 20.0])
    place = 128.0 + 8.0 * (torch.rand(rows, 2, generator=random) - 0.5)
    camera = Camera(angles, 850.0 + 100.0 * torch.rand(rows, generator=random), place)
    vertices = model.vertices(shape, expression)
    points = camera.project(vertices)
    noise = torch.randint(0, 256, (rows, SIZE, SIZE, 3), generator=random).byte().numpy()
    turned = camera.with_angles(angles + torch.tensor([TURN, 0.0, 0.0]))
    view = clay_overlay(np.zeros_like(noise), turned.project(vertices), model.triangles)
    head = rasterize(turned.project(vertices), model.triangles, SIZE, SIZE).mask.numpy().astype(np.uint8)
    seen = np.where(np.arange(SIZE) < SIZE // 2, 220, 40).astype(np.uint8)
    landmarks = projected_landmarks(model, vertices, camera)
    fit = camera.row.numpy()
    return {
        "subject": np.full(rows, subject),
        "subject_seed": np.full(rows, 1000 + subject),
        "view": np.arange(rows),
        "source": np.full(rows, "clay", object),
        "origin": np.full(rows, "", object),
        "split": np.full(rows, split, object),
        "attributes": np.full(rows, {"age": 31.5}, object),
        "status": np.full(rows, "ok", object),
        "error": np.full(rows, "", object),
        "crop": clay_overlay(noise, points, model.triangles),
        "crop_transform": np.tile(np.eye(2, 3, dtype=np.float32), (rows, 1, 1)),
        "position_map": layout().position_map(points).half().numpy(),
        "pose": angles.numpy(),
        "camera": fit,
        "shape": shape.numpy(),
        "expression": expression.numpy(),
        "landmarks_3d": landmarks.numpy(),
        "given_landmarks": landmarks[..., :2].numpy(),
        "fitted_pose": angles.numpy(),
        "fitted_camera": fit,
        "fitted_shape": shape.numpy(),
        "fitted_expression": expression.numpy(),
        "fit_error": np.full(rows, 0.01, np.float32),
        "rotated": view,
        "rotated_yaw": turned.angles[:, 0].numpy(),
        "visible_share": np.full(rows, 0.7, np.float32),
        "rotated_seen": head * seen,
        "rotated_head": head * 255,
        "true_rotated": np.where(head[..., None] > 0, np.maximum(view, 60), 0).astype(np.uint8),
        "true_rotated_pose": turned.angles.numpy(),
    }


def as_batch(rows: Rows) -> dict[str, Tensor]:
    """Rows as a recipe gets them."""
    from facerecon_ray.training.batch_tensors import on_device

    numbers = {name: values for name, values in rows.items() if values.dtype != object}
    return on_device(numbers, torch.device("cpu"))


def write_pairs(
    place: Path | str,
    train: int = 3,
    validation: int = 1,
    change: Callable[[Rows], None] | None = None,
    s3: S3Settings | None = None,
) -> str:
    """Write a data set: subjects for training, two rows each, in one shard, those for validation in the next.

    Parameters
    ----------
    place : folder, or s3://bucket/prefix
    train, validation : numbers of subjects
    change : is applied to the rows of each subject for training
    """
    store = open_store(place, s3)
    subjects = [face_rows(number, split="train" if number < train else "validation") for number in range(5)]
    subjects = subjects[: train + validation]
    for rows in subjects[:train] if change else []:
        assert change is not None
        change(rows)
    parts: Sequence[list[Rows]] = [part for part in (subjects[:train], subjects[train:]) if part]
    first = 0
    for index, part in enumerate(parts):
        write_shard(store, index, [pair_rows(rows, "jpeg") for rows in part], first, {})
        first += len(part)
    card = new_card({}, 0, len(subjects), {})
    card.summarise(shard_summaries(store), len(parts))
    save_card(store, card)
    return str(place)


def quick_job(kind: type[TrainJob], data: object, output: object, **settings: Any) -> TrainJob:
    """A training of two steps with two rows each."""
    tree = {
        "data": str(data),
        "output": str(output),
        "steps": 2,
        "batch_size": 2,
        "validate_every": 1,
        "validation_rows": 2,
        "workers": {"cpus": 0.5, "threads": 1, "failures": 0},
        "optimizer": {"warmup": 0, "average": 0.5},
        "data_stream": {"shuffle_rows": 4},
    }
    return kind.model_validate(tree | settings)
