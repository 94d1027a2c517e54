"""The rendered heads among the bundled photos: random people of the face model, each a seed.

python benchmarks/sample_photos.py facerecon_ray/assets/photos
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.model_building.head_rendering import HeadRenderer, frontal_camera

SIZE = 512
PEOPLE = {1: (-25.0, 5.0, 4.0), 4: (12.0, -6.0, -8.0), 9: (38.0, 0.0, 0.0), 14: (-6.0, 10.0, 6.0)}
"""Seeds, and the yaw, pitch and roll at which each person is seen, degrees."""


def main() -> None:
    """Render and write them."""
    folder = Path(sys.argv[1])
    model = FaceModel.default()
    render = HeadRenderer(model)
    for seed, angles in PEOPLE.items():
        rng = np.random.default_rng(seed)
        shape = torch.from_numpy(rng.normal(0.0, 0.9, (1, model.shape_size)).astype(np.float32))
        expression = torch.from_numpy(rng.exponential(0.3, (1, model.expression_size)).astype(np.float32))
        camera = frontal_camera(torch.tensor([angles]), SIZE, face_share=0.55)
        picture = render(model.vertices(shape, expression.clamp(max=2.0)), camera, SIZE, rng)
        cv2.imwrite(str(folder / f"rendered_head_{seed:02d}.jpg"), picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 90))


if __name__ == "__main__":
    main()
