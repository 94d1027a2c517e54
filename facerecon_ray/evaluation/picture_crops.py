"""Faces in rendered pictures, through the same stages as photos: detector, landmarks, crop."""

import cv2
import numpy as np

from facerecon_ray.config.reconstruct import ChainSettings, CropSettings
from facerecon_ray.stages.chain import CROP, ChainPart
from facerecon_ray.stages.stage import OK, Batch, select


class PictureCrops:
    """Turns pictures into rows of the crop stage, one a picture.

    Parameters
    ----------
    device : auto, cpu, cuda or cuda:N
    untrained : whether dlib alone finds faces and landmarks, and nothing that this project trains
    """

    def __init__(self, device: str = "auto", untrained: bool = False) -> None:
        dlib = {"detector": "mmod", "landmarks": "dlib"} if untrained else {}
        settings = ChainSettings(crop=CropSettings.model_validate({"device": device, **dlib}))
        self._crop = ChainPart(settings, CROP, CROP)

    def find(self, pictures: list[np.ndarray], places: np.ndarray | None = None) -> Batch:
        """Crop the face of each picture.

        Parameters
        ----------
        pictures : (H, W, 3) uint8 RGB each
        places : (B, 2) where the face is, pixels; of several faces the nearest to it is taken, without places the one
            that the detector is surest of

        Returns
        -------
        the crop stage's columns, one row a picture in the same order; status is no_face where none was found
        """
        return self.find_in_files([encode_png(picture) for picture in pictures], places)

    def find_in_files(self, files: list[bytes], places: np.ndarray | None = None) -> Batch:
        """The same for the contents of picture files."""
        count = len(files)
        photos: Batch = {
            "photo_uri": np.array([str(index) for index in range(count)], object),
            "photo_bytes": np.array([*files, b""], object)[:count],
            "status": np.full(count, OK, object),
            "error": np.full(count, "", object),
        }
        faces = self._crop(photos)
        owner = faces["photo_uri"].astype(int)
        chosen = []
        for index in range(count):
            rows = np.flatnonzero(owner == index)
            if places is not None and len(rows) > 1:
                middles = faces["bbox"][rows].reshape(-1, 2, 2).mean(1)
                rows = rows[np.argsort(np.linalg.norm(middles - places[index], axis=1), kind="stable")]
            chosen.append(rows[0])
        return select(faces, np.array(chosen))


def was_found(faces: Batch) -> np.ndarray:
    """(B,) bool, true for pictures with a face."""
    return np.asarray(faces["status"] == OK)


def encode_png(picture: np.ndarray) -> bytes:
    """Contents of a PNG file of (H, W, 3) uint8 RGB."""
    return bytes(cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1])
