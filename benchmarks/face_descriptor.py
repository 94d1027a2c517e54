"""The face descriptor in torch against dlib's own: how far apart they are, and milliseconds a face.

    python benchmarks/face_descriptor.py --photos FOLDER [--most 25]

Once from the same cut-out face, and once from the photo, where dlib cuts by its own table of a mean face and this
package by the face model's.
"""

import argparse
import time
from pathlib import Path

import dlib
import numpy as np
import torch

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.dlib_models import installed_model
from facerecon_ray.networks.face_descriptor import CHIP_SIZE, MODEL, DescriptorNetwork, FaceDescriber, likeness
from facerecon_ray.networks.face_detectors import build_detector
from facerecon_ray.networks.landmark_predictor import LandmarkPredictor, adjust_boxes
from facerecon_ray.storage.photos.photo_file import decode_photo
from facerecon_ray.storage.uris import is_photo_name

DLIB_MARGIN = 0.25


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--most", type=int, default=25, help="the first photos of the folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    theirs, ours = dlib.face_recognition_model_v1(str(installed_model(MODEL))), FaceDescriber(FaceModel.default())
    network = DescriptorNetwork.from_dlib(installed_model(MODEL))
    finder, predictor = build_detector(CropSettings()), LandmarkPredictor()
    same, own, seconds = [], [], np.zeros(2)
    for path in sorted(path for path in options.photos.iterdir() if is_photo_name(path.name))[: options.most]:
        photo = decode_photo(path.read_bytes(), ReadSettings(max_side=1024)).pixels
        faces = finder.detect([photo])[0]
        boxes = adjust_boxes(faces.boxes, finder.box_adjustment, faces.rolls)
        for marks in predictor.predict_all(photo, boxes, faces.rolls)[0] if len(boxes) else ():
            face = dlib.full_object_detection(
                dlib.rectangle(*marks.min(0).round().astype(int).tolist(), *marks.max(0).round().astype(int).tolist()),
                [dlib.point(round(x), round(y)) for x, y in (marks - 0.5).tolist()],
            )
            chip = dlib.get_face_chip(photo, face, CHIP_SIZE, DLIB_MARGIN)
            pixels = torch.from_numpy(chip).permute(2, 0, 1)[None].float()
            same.append(np.linalg.norm(np.array(theirs.compute_face_descriptor(chip)) - network(pixels)[0].numpy()))
            start = time.perf_counter()
            reference = np.array(theirs.compute_face_descriptor(photo, face))
            middle = time.perf_counter()
            found = ours.describe(photo, marks)
            seconds += (middle - start, time.perf_counter() - middle)
            own.append(likeness(reference, found)[1])
    print(f"{len(own)} faces; distance from dlib's descriptors")
    print(f"  of the same cut-out face  mean {np.mean(same):.6f}, largest {np.max(same):.6f}")
    print(f"  from the photo            mean {np.mean(own):.3f}, largest {np.max(own):.3f}")
    dlib_ms, torch_ms = 1000 * seconds / len(own)
    print(f"ms a face: dlib {dlib_ms:.0f}, torch {torch_ms:.0f}")


if __name__ == "__main__":
    main()
