"""Synthetic subjects before the camera: their photos with what is true in them, and the same heads really turned."""

import hashlib
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.geometry.crop_transform import CROP_SIZE, cut_crop, transform_beside
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import angles_from_rotation, rotation_from_angles
from facerecon_ray.synthesis.appearance.dressing import Dresser
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.people.subjects import SubjectSampler, head_geometry
from facerecon_ray.synthesis.portraits.photo_library import PhotoLibrary
from facerecon_ray.synthesis.rendering.backgrounds import Backgrounds
from facerecon_ray.synthesis.rendering.head_scene import HeadScene
from facerecon_ray.synthesis.rendering.scene_rendering import SceneRenderer
from facerecon_ray.synthesis.rendering.view_sampling import View, ViewSampler, rotated_view

PAINTED, FROM_PHOTO = "painted", "photo"
"""Where a subject's skin is from, as its attributes say."""

NOISE = zlib.crc32(b"noise")
"""Landmarks err by other random numbers than those from which the views are drawn."""


class PhotographedSubject:
    """One subject and its views.

    Parameters
    ----------
    number : of the subject in the data set
    scene : the dressed head
    views : of the photos
    renderer : takes them
    face : (M,) vertices of the face region
    """

    def __init__(
        self, number: int, scene: HeadScene, views: tuple[View, ...], renderer: SceneRenderer, face: np.ndarray
    ) -> None:
        self.number, self.scene, self.views = number, scene, views
        self._renderer, self._face = renderer, face

    def photos(self) -> dict[str, np.ndarray]:
        """Columns of V rows: photo, points, surface, noise_seed, and what says whose view it is."""
        count, seed = len(self.views), self.scene.seed
        rendered = [self._renderer.render(self.scene, view) for view in self.views]
        return {
            "subject": np.full(count, self.number, np.int64),
            "subject_seed": np.full(count, seed, np.int64),
            "view": np.arange(count, dtype=np.int32),
            "source": np.full(count, Photographer.name, object),
            "status": np.full(count, "ok", object),
            "error": np.full(count, "", object),
            "origin": np.full(count, "", object),
            "attributes": np.full(count, self.scene.attributes, object),
            "photo": np.stack([rendering.image for rendering in rendered]),
            "points": np.stack([rendering.points for rendering in rendered]),
            "surface": np.broadcast_to(self.scene.surface, (count, *self.scene.surface.shape)),
            "noise_seed": np.array([(seed, NOISE + view) for view in range(count)], np.uint64),
        }

    def turned(self, known: dict[str, np.ndarray], wanted: np.ndarray) -> dict[str, np.ndarray]:
        """The same photos with the head in other poses, beside the crops.

        Parameters
        ----------
        known : points, crop_transform and pose of the photos; a view's own angles may differ from its pose by the
            head's frame and the perspective
        wanted : (V, 3) yaw, pitch and roll in degrees, measured like the pose

        Returns
        -------
        Columns true_rotated (V, 256, 256, 3) and true_rotated_pose
        """
        own = torch.tensor([view.angles for view in self.views])
        before, after = (rotation_from_angles(torch.from_numpy(angles)) for angles in (known["pose"], wanted))
        angles = angles_from_rotation(after @ before.mT @ rotation_from_angles(own)).tolist()
        crops = np.zeros((len(self.views), CROP_SIZE, CROP_SIZE, 3), np.uint8)
        for row, view in enumerate(self.views):
            yaw, pitch, roll = angles[row]
            rendering = self._renderer.render(self.scene, rotated_view(view, (yaw, pitch, roll)))
            face, turned = known["points"][row, self._face], rendering.points[self._face]
            crops[row] = cut_crop(rendering.image, transform_beside(known["crop_transform"][row], face, turned))
        return {"true_rotated": crops, "true_rotated_pose": wanted}


class Photographer:
    """Makes the subjects of a job and takes their photos; a subject is a pure function of the job and its number.

    Parameters
    ----------
    job : what to make
    report : receives a line now and then while skin textures are taken from photos

    Raises
    ------
    FaceReconError
        when a package is missing, or a folder has no pictures that can be used
    """

    name = "synthetic"

    def __init__(self, job: SynthesisJob, report: Callable[[str], None] = lambda line: None) -> None:
        self.model = FaceModel.open(job.face_model)
        self._seed, self._photo_share = job.seed, job.textures.share
        self._sampler = SubjectSampler(job.people, head_geometry(job.face_model))
        self._dresser = Dresser(self._sampler.geometry)
        self._views = ViewSampler(job.views, job.light, job.camera, job.occluders)
        self._renderer = SceneRenderer(job.renderer, Backgrounds(job.backgrounds, (job.output,)), job.occluders)
        self._library = open_photos(job, self._sampler.geometry, report) if job.photos else None

    def __len__(self) -> int:
        """Number of subjects that there are: one for every seed."""
        return sys.maxsize

    def seed(self, number: int) -> int:
        """Seed of a subject, 0 to 2^63 - 1, from the data set's seed and the subject's number."""
        digest = hashlib.sha256(f"{self._seed}/{number}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1

    def subject(self, number: int) -> PhotographedSubject:
        """Dress a subject and choose its views."""
        subject = self._sampler.subject(self.seed(number))
        face = self.model.face_vertices.numpy()
        return PhotographedSubject(
            number, self._dressed(subject), self._views.views(subject.seed), self._renderer, face
        )

    def _dressed(self, subject: Subject) -> HeadScene:
        rng = subject.rng("skin source")
        if self._library is None or rng.random() >= self._photo_share:
            scene, origin = self._dresser.dress(subject), PAINTED
        else:
            # A photo's own tone says nothing of this person's: the row's attributes do.
            painted = self._dresser.skin(subject)
            skin = self._library.skin(painted, rng).over(painted)
            scene, origin = self._dresser.dress(subject, skin), FROM_PHOTO
        return replace(scene, attributes={**scene.attributes, "skin": origin})


def open_photos(job: SynthesisJob, geometry: HeadGeometry, report: Callable[[str], None]) -> PhotoLibrary:
    """Skin textures of the job's photos, taken now where they have not been before."""
    assert job.photos is not None
    return PhotoLibrary.open(job.photos, geometry, job.textures, job.s3, report, job.output)
