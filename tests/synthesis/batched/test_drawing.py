import numpy as np
import torch

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.geometry.pose import rotation_from_angles
from facerecon_ray.synthesis.batched.drawing import draw, smooth_normals
from facerecon_ray.synthesis.batched.light import lit
from facerecon_ray.synthesis.batched.views import ViewBatch
from facerecon_ray.synthesis.batched.wardrobe import Wardrobe
from facerecon_ray.synthesis.rendering.head_scene import HeadScene
from facerecon_ray.synthesis.rendering.raster_drawing import RasterDrawing
from facerecon_ray.synthesis.rendering.scene_rendering import LitScene
from facerecon_ray.synthesis.rendering.view_sampling import ViewSampler

SIZE = 96


def test_a_batch_is_drawn_as_each_view_is_alone(wardrobe: Wardrobe, scenes: list[HeadScene]) -> None:
    job = SynthesisJob.model_validate({"output": "unused", "views": {"size": SIZE}})
    sampler = ViewSampler(job.views, job.light, job.camera)
    drawn = [sampler.view(seed, index) for seed, index in ((1, 0), (2, 4), (3, 6))]
    views, rows = ViewBatch.of(drawn, 0), torch.tensor([0, 2, 1])
    heads = wardrobe.worn(rows)
    rotation, normals = rotation_from_angles(views.angles), smooth_normals(heads, heads.vertices)
    light = lit(heads, normals, rotation, views)
    points = views.project(heads.vertices, rotation)
    pictures = draw(heads, points, normals, rotation, light, views, SIZE).permute(0, 2, 3, 1).numpy()
    for picture, row, view in zip(pictures, rows.tolist(), drawn, strict=True):
        scene = LitScene.of(scenes[row])
        alone = RasterDrawing()(scene.head, scene.view(view), SIZE)
        alone[..., :3] *= scene.exposure(view)
        difference = np.abs(picture - alone)
        assert alone[..., 3].mean() > 0.2 and np.median(alone[alone[..., 3] == 1.0]) > 0.05
        assert (difference.max(-1) > 0.02).mean() < 0.004, "a hole's rim or a far edge may fall to another sample"
        assert difference.mean() < 5e-4


def test_holes_in_parts_show_what_is_behind_them(wardrobe: Wardrobe) -> None:
    job = SynthesisJob.model_validate({"output": "unused", "views": {"size": SIZE}})
    frontal = ViewBatch.of([ViewSampler(job.views, job.light, job.camera).view(1, 4)], 0)
    heads = wardrobe.worn(torch.tensor([0]))
    rotation, normals = rotation_from_angles(frontal.angles), smooth_normals(heads, heads.vertices)
    light, points = lit(heads, normals, rotation, frontal), frontal.project(heads.vertices, rotation)
    whole = heads.parts.clone()
    whole[..., 3] = 0
    pictures = []
    for parts in (heads.parts, whole):
        worn = Wardrobe(**{**vars(heads), "parts": parts})
        pictures.append(draw(worn, points, normals, rotation, light, frontal, SIZE)[0])
    changed = ((pictures[0] - pictures[1]).abs().amax(0) > 0.01).float().mean()
    assert 0.01 < float(changed) < 0.2
