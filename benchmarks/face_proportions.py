"""Where dlib sees brows, nose and mouth in photos, and where in rendered heads that look up or down by some degrees.

    python benchmarks/face_proportions.py --photos FOLDER [--photos FOLDER...] [--heads 60]

The same predictor looks at both, so its own habits cancel. Heights are below the eyes' middle, in distances between
the eyes, of near-frontal faces. Noses and mouths tell at which pitch of the face model people look level into the
camera; brows, which pitch hardly moves, tell whether rendered brows sit where those of people do.
"""

import argparse
from pathlib import Path

import dlib
import numpy as np
import torch
from repaired_identity import faces_in

from facerecon_ray.config.synthesis import PairSettings, SynthesisJob
from facerecon_ray.networks.landmark_predictor import LandmarkPredictor
from facerecon_ray.stages.pair_truth import PairTruth
from facerecon_ray.synthesis.rendering.view_sampling import rotated_view
from facerecon_ray.synthesis.subject_views import Photographer

PITCHES = (0.0, -3.5, -7.0, -10.5)
MOST_TURNED = 0.08
"""How far the nose's tip may lie from the middle, in distances between the eyes."""

PLACES = {
    "brows": range(17, 27),
    "nose tip": [30],
    "nose base": [33],
    "upper lip": [51],
    "mouth": [62, 66],
    "chin": [8],
}


class Looker:
    """Finds dlib's landmarks in crops."""

    def __init__(self) -> None:
        self._detector, self._predictor = dlib.get_frontal_face_detector(), LandmarkPredictor()

    def __call__(self, crop: np.ndarray) -> np.ndarray | None:
        """(68, 2) upright about the eyes' middle, in distances between the eyes; None without a near-frontal face."""
        boxes = self._detector(np.ascontiguousarray(crop), 1)
        if not len(boxes):
            return None
        box = max(boxes, key=lambda found: found.area())
        sides = np.array([box.left(), box.top(), box.right(), box.bottom()], float)
        marks = upright(self._predictor.predict(crop, sides))
        return marks if abs(marks[30, 0]) < MOST_TURNED else None


def upright(marks: np.ndarray) -> np.ndarray:
    """(68, 2) about the eyes' middle, the eyes level, in distances between the eyes."""
    right, left = marks[36:42].mean(0), marks[42:48].mean(0)
    x, y = left - right
    return (marks - (left + right) / 2) @ np.array([[x, -y], [y, x]]) / (x * x + y * y)


def say(name: str, found: list[np.ndarray | None]) -> None:
    marks = np.stack([one for one in found if one is not None])
    heights = "".join(f"{marks[:, list(which), 1].mean():>11.3f}" for which in PLACES.values())
    print(f"{name:28}{len(marks):>6}{heights}", flush=True)


def rendered(look: Looker, heads: int, pitch: float) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
    """Heads without beard, glasses and hat, seen by a good camera: dlib's landmarks, and the face model's own."""
    job = SynthesisJob.model_validate(
        {
            "output": "nowhere",
            "people": {"beard_share": 0, "glasses_share": 0, "headwear_share": 0},
            "views": {"yaws": [-5], "yaw_noise": 10, "roll": 0, "distance": [1.5, 3.0]},
        }
    )
    photographer = Photographer(job)
    truth = PairTruth(PairSettings(landmarks="exact"), photographer.model)
    found: list[np.ndarray | None] = []
    own: list[np.ndarray | None] = []
    for number in range(heads):
        subject = photographer.subject(number)
        view = subject.views[0]
        subject.views = (rotated_view(view, (view.angles[0], pitch, 0.0)),)
        known = truth.process(subject.photos())
        found.append(look(known["crop"][0]))
        own.append(upright(known["landmarks_3d"][0, :, :2]))
    return found, own


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, action="append", default=[])
    parser.add_argument("--heads", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    look = Looker()
    print(f"{'':28}{'faces':>6}" + "".join(f"{name:>11}" for name in PLACES))
    for folder in options.photos:
        say(folder.name, [look(crop) for crop in faces_in(folder)["crop"]])
    for pitch in PITCHES:
        found, own = rendered(look, options.heads, pitch)
        say(f"rendered, pitch {pitch:g}", found)
        say("  the model's own", own)


if __name__ == "__main__":
    main()
