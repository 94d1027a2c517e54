"""What a fitted face tells of its person, for later: who it is, and what its photo tells of the person's shape."""

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import Fit
from facerecon_ray.geometry.shape_of_person import packed
from facerecon_ray.networks.face_descriptor import FaceDescriber
from facerecon_ray.stages.face_fitting import FittedCrops
from facerecon_ray.stages.stage import Column

DESCRIPTOR_SIZE = 128


class PersonEvidence:
    """Loads the face recognition network.

    Raises
    ------
    AssetError
        when the installation lacks its weights
    """

    def __init__(self, model: FaceModel) -> None:
        self._model = model
        self._describe = FaceDescriber(model)
        self._describe.freeze()
        self.outputs = {
            "descriptor": Column(np.float32, (DESCRIPTOR_SIZE,)),
            "shape_information": Column(np.float16, (model.shape_size * (model.shape_size + 1) // 2,)),
        }

    @torch.no_grad()
    def __call__(self, photos: Tensor, fitted: FittedCrops) -> dict[str, Tensor]:
        """Columns of B faces.

        descriptor         (128,) dlib's; of one person mostly less than 0.6 apart
        shape_information  (S (S + 1) / 2,) as `geometry.shape_of_person.packed` gives it

        Parameters
        ----------
        photos : (B, 3, 256, 256) float32 0 to 255
        fitted : the faces
        """
        return {
            "descriptor": self.descriptors(photos, fitted.fit),
            "shape_information": packed(fitted.evidence(self._model).information),
        }

    def descriptors(self, photos: Tensor, fit: Fit) -> Tensor:
        """(B, 128) float32 descriptors of faces in photos (B, 3, 256, 256)."""
        return self._describe(photos, fit.landmarks[..., :2])
