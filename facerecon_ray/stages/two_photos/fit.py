"""Two photos of a person to one fitted face: each photo's own pose and expression, and the shape of both."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from facerecon_ray.config.reconstruct import FitSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.shape_of_person import packed
from facerecon_ray.networks.face_descriptor import OTHER_PERSON, OTHER_PERSON_IN_PROFILE, PROFILE_YAW
from facerecon_ray.stages.face_fitting import fit_columns
from facerecon_ray.stages.fit import Fitter
from facerecon_ray.stages.fit_trust import trust
from facerecon_ray.stages.second_view import second_view_outputs, whole_camera
from facerecon_ray.stages.stage import REASON, Batch
from facerecon_ray.stages.two_photos.side import as_side, side_of


class TwoPhotoFitter(Fitter):
    """Stands where one photo is fitted, and none is rotated: the side photo is the second view.

    A row fails where the side photo shows no face that can be fitted, or certainly another person.

    Input columns    crop, crop_transform, photo_width, photo_height, focal_length, landmarks (photo pixels), and the
                     same of the side photo with `side_` before their names; side_distance. side_crop is dropped
    Output columns   those of `Fitter`: landmarks, pose, camera, expression, fit_error and quality are of the front
                     photo, shape of both
                     those of `Rotator`: rotated is the crop of the side photo, rotated_camera and rotated_yaw are
                     that photo's, and visible_share is 1
                     side_expression    of the side photo
    With people      descriptor of the front photo's face, shape_information of both, see `PersonEvidence`
    """

    drops: ClassVar[tuple[str, ...]] = ("side_crop",)

    def __init__(
        self,
        settings: FitSettings,
        face_model: FaceModel | Path | None = None,
        fitter: Path | None = None,
        people: bool = False,
    ) -> None:
        """See `Fitter`."""
        super().__init__(settings, face_model, fitter, people)
        self.outputs |= {**second_view_outputs(), **as_side({"expression": self.outputs["expression"]})}

    @torch.inference_mode()
    def process(self, batch: Batch) -> Batch:
        """Fit the faces of a batch."""
        side, count = side_of(batch), len(batch["crop"])
        names = ("crop", "crop_transform", "photo_width", "photo_height", "focal_length", "landmarks")
        both = {name: np.concatenate([batch[name], side[name]]) for name in names}
        photos = torch.from_numpy(both["crop"]).to(self._device).permute(0, 3, 1, 2).float()
        alone = self._fit(photos, both)
        trusted = trust(alone.fit, both, alone.found)
        person = torch.arange(count, device=self._device).repeat(2)
        evidence = alone.evidence(self._model).by_person(person)
        shape = evidence.shape
        fit = self._fit.with_shape(alone, shape[person])
        columns = {name: values.cpu().numpy() for name, values in fit_columns(fit, both["crop_transform"]).items()}
        front, of_side = ({name: values[part] for name, values in columns.items()} for part in _halves(count))
        yaws = np.abs([front["pose"][:, 0], of_side["pose"][:, 0]])
        reasons = trusted.reasons[:count].copy()
        for of_sides in (trusted.reasons[count:], _of_two_persons(batch["side_distance"], yaws)):
            good = reasons == ""
            reasons[good] = [reason and f"side photo: {reason}" for reason in of_sides[good]]
        of_person = {}
        if self._evidence is not None:
            of_person = {
                "descriptor": self._evidence.descriptors(photos, alone.fit)[:count].cpu().numpy(),
                "shape_information": packed(evidence.information).cpu().numpy(),
            }
        return {
            **front,
            **of_person,
            "shape": shape.cpu().numpy(),
            "rotated": batch["side_crop"],
            "rotated_camera": whole_camera(fit.camera)[count:].cpu().numpy(),
            "rotated_yaw": of_side["pose"][:, 0],
            "visible_share": np.ones(count, np.float32),
            "quality": trusted.quality[:count],
            **as_side({"expression": of_side["expression"]}),
            REASON: reasons,
        }


def _halves(count: int) -> tuple[slice, slice]:
    return slice(0, count), slice(count, 2 * count)


def _of_two_persons(distance: np.ndarray, yaws: np.ndarray) -> np.ndarray:
    """(B,) one sentence for each pair that shows two persons for certain, empty for the others.

    Parameters
    ----------
    distance : (B,) between the faces' descriptors
    yaws : (2, B) of the faces, degrees without sign
    """
    limits = np.where((yaws < PROFILE_YAW).all(0), OTHER_PERSON, OTHER_PERSON_IN_PROFILE)
    sentence = "it shows another person than the front photo; their faces are {:.2f} apart, one person's at most {:g}"
    rows = zip(distance, limits, strict=True)
    return np.array([sentence.format(apart, limit) if apart > limit else "" for apart, limit in rows], object)
