"""What the files of one FaceGen subject say: the mesh, and the cameras that sidecar files give.

An OBJ file has the face model's vertices in the model's order, in any unit, x to the subject's left, y up, the face
looking along +z. It is brought to the model's size and into its place by the similarity that fits it to the mean face;
cameras that are told in the OBJ file's frame go with it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES
from facerecon_ray.synthesis.importers.obj_vertices import read_obj_vertices
from facerecon_ray.synthesis.importers.rigid_fit import RigidState

LARGEST_DIFFERENCE = 0.1
"""Of a subject from the mean face, root mean square, as a share of the mean face's size."""

LARGEST_TURN = 45.0
"""Degrees between the OBJ file's axes and the model's."""

ANGLES, PLACE = ("yaw", "pitch", "roll"), ("scale", "x", "y")


@dataclass(frozen=True)
class SubjectMesh:
    """A subject's mesh in the face model's frame.

    vertices  (N, 3) float64 metres
    scale, rotation, translation  similarity from the OBJ file to it
    """

    vertices: np.ndarray
    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def state(self, told: RigidState) -> RigidState:
        """A camera for the OBJ file's own vertices as one for the model's frame."""
        rotation = told.rotation @ self.rotation.T
        scale = told.scale / self.scale
        shift = (rotation @ self.translation * MODEL_TO_IMAGE_AXES)[:2] * scale
        return RigidState(rotation, scale, told.translation - shift)


@dataclass(frozen=True)
class ToldCamera:
    """What a sidecar file says of a render: the rotation, and the whole camera where scale and place are told."""

    rotation: np.ndarray
    state: RigidState | None


def read_subject(path: Path, model: FaceModel) -> SubjectMesh:
    """Read subject_N.obj.

    Raises
    ------
    PhotoError
        when it is no mesh of the face model's topology that looks along +z
    """
    vertices, mean = read_obj_vertices(path), model.mean.double().numpy()
    if len(vertices) != len(mean):
        raise PhotoError(
            f"{path}: it has {len(vertices)} vertices; {len(mean)} were expected, those of the face model in its order"
        )
    scale, rotation, translation = align(vertices, mean)
    aligned = apply_alignment(vertices, scale, rotation, translation)
    difference = np.sqrt(((aligned - mean) ** 2).sum(1).mean()) / np.ptp(mean, axis=0).max()
    if not difference <= LARGEST_DIFFERENCE:
        raise PhotoError(
            f"{path}: its vertices lie {difference:.0%} of the face's size away from the mean face; a face with the "
            "face model's vertices in its order was expected"
        )
    turn = np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
    if turn > LARGEST_TURN:
        raise PhotoError(f"{path}: the face is turned by {turn:.0f} degrees; y up and a look along +z were expected")
    return SubjectMesh(aligned, float(scale), rotation, translation)


def read_sidecar(path: Path, mesh: SubjectMesh) -> ToldCamera | None:
    """Read render_K.json, None where there is no such file.

    It holds yaw, pitch and roll in degrees in this project's convention, and, all three or none, scale in pixels for a
    unit of the OBJ file, and x and y, the pixel at which the OBJ file's origin lies.

    Raises
    ------
    PhotoError
        when it does not hold that
    """
    if not path.exists():
        return None
    try:
        contents = json.loads(path.read_text())
        names = (*ANGLES, *PLACE) if any(name in contents for name in PLACE) else ANGLES
        values = np.array([float(contents[name]) for name in names])
    except (OSError, ValueError, TypeError, KeyError):
        values = np.array([np.nan])
    if not np.isfinite(values).all() or (len(values) == 6 and values[3] <= 0):
        raise PhotoError(
            f"{path}: JSON with the numbers yaw, pitch and roll was expected, and, all or none, scale (positive), x, y"
        )
    told = RigidState.of(values[:3], float(values[3]) if len(values) == 6 else 1.0, values[4:])
    if len(values) == 3:
        return ToldCamera(told.rotation @ mesh.rotation.T, None)
    state = mesh.state(told)
    return ToldCamera(state.rotation, state)
