"""Two random heads of the face model, for tests of alignment and errors."""

import numpy as np
import torch

from facerecon_ray.geometry.face_model import FaceModel

MODEL = FaceModel.default()
TRIANGLES = MODEL.triangles.numpy()
FACE = MODEL.face_vertices.numpy()


def random_head(seed: int) -> np.ndarray:
    """(N, 3) float64 metres."""
    generator = torch.Generator().manual_seed(seed)
    shape = 0.8 * torch.randn(1, MODEL.shape_size, generator=generator)
    return MODEL.vertices(shape, torch.zeros(1, MODEL.expression_size))[0].double().numpy()
