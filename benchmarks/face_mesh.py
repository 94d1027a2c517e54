"""What a user would take instead for landmarks alone: MediaPipe's face mesh, on the same photos.

    python -m venv mediapipe && mediapipe/bin/pip install mediapipe==0.10.21
    mediapipe/bin/python benchmarks/face_mesh.py PHOTOS

478 points of each face in the picture, with a depth of their own kind: no model's shape, no texture, no second view,
no quality, no files. Prints photos, faces, and milliseconds of CPU for each photo and each face, decoding included;
models are loaded before. `main_job.py --folder PHOTOS` says what the job takes for its meshes.
"""

import argparse
import importlib
import time
from pathlib import Path

import cv2

MOST_FACES = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder")
    parser.add_argument("--times", type=int, default=3, help="passes over the photos, of which the quickest counts")
    arguments = parser.parse_args()
    solution = importlib.import_module("mediapipe.python.solutions.face_mesh")
    mesh = solution.FaceMesh(static_image_mode=True, max_num_faces=MOST_FACES, refine_landmarks=True)
    paths = sorted(path for path in arguments.photos.iterdir() if cv2.haveImageReader(str(path)))
    best, faces = float("inf"), 0
    for _ in range(arguments.times):
        start, faces = time.process_time(), 0
        for path in paths:
            photo = cv2.imread(str(path), cv2.IMREAD_COLOR)
            found = mesh.process(cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)).multi_face_landmarks
            faces += len(found or ())
        best = min(best, time.process_time() - start)
    print(f"{len(paths)} photos, {faces} faces")
    print(f"{1000 * best / len(paths):.1f} ms of CPU for each photo, {1000 * best / faces:.1f} for each face")


if __name__ == "__main__":
    main()
