"""The synthetic people among the bundled photos: subjects that `facerecon synthesize` would make, in one view each.

python benchmarks/sample_photos.py facerecon_ray/assets/photos
"""

import sys
from pathlib import Path

import cv2

from facerecon_ray.config.synthesis import OccluderSettings, SynthesisJob, ViewSettings
from facerecon_ray.synthesis.subject_views import Photographer

PEOPLE = (15, 28, 38, 44)
"""Numbers of the subjects."""

SEED = 2026

VIEWS = ViewSettings(
    yaws=(-35.0,), yaw_noise=70.0, pitch=8.0, roll=6.0, size=640, pixels_per_metre=(800.0, 860.0), distance=(1.2, 3.0)
)


def main() -> None:
    """Photograph and write them."""
    folder = Path(sys.argv[1])
    job = SynthesisJob(output="unused", seed=SEED, views=VIEWS, occluders=OccluderSettings(share=0.0))
    photographer = Photographer(job)
    for number in PEOPLE:
        (photo,) = photographer.subject(number).photos()["photo"]
        file = folder / f"synthetic_person_{number}.jpg"
        cv2.imwrite(str(file), photo[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 90))


if __name__ == "__main__":
    main()
