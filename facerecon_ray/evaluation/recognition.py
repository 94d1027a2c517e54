"""Does the mesh still look like the person: face recognition between a photo and the rendered mesh.

The mesh is drawn straight from the front, whatever the photo's pose: from the photo's own side its texture, which is
the photo's, would hide every error of the shape.
"""

import numpy as np
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import landmarks_on_vertices
from facerecon_ray.geometry.mesh_picture import MeshColours, mesh_picture
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.textured_mesh import TexturedMesh
from facerecon_ray.networks.face_descriptor import FaceDescriber, likeness

PICTURE_SIZE = 256
METRES_ACROSS = 0.24


class MeshRecognition:
    """Compares photos with meshes of the face model's topology.

    Parameters
    ----------
    model, layout : of the meshes
    """

    def __init__(self, model: FaceModel, layout: UvLayout) -> None:
        self._model, self._layout, self._describe = model, layout, FaceDescriber(model)

    def of_photo(self, photo: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(128,) descriptor of the face in a photo (H, W, 3) uint8 with landmarks (68, 2) in pixels."""
        return self._describe.describe(photo, landmarks)

    def compare(self, photo: np.ndarray, mesh: TexturedMesh) -> tuple[float, float]:
        """Cosine between the descriptors of a photo and of a mesh, and their distance.

        Parameters
        ----------
        photo : (128,) descriptor
        mesh : metres, the face looks along +z
        """
        return likeness(photo, self._describe.describe(*self.picture(mesh)))

    def picture(self, mesh: TexturedMesh) -> tuple[np.ndarray, np.ndarray]:
        """(256, 256, 3) uint8 the mesh from the front, and its landmarks (68, 2) there in pixels."""
        vertices = torch.from_numpy(mesh.vertices).float()
        middle = (vertices.amax(0) + vertices.amin(0)) / 2
        scale = PICTURE_SIZE / METRES_ACROSS
        camera = Camera(torch.zeros(1, 3), torch.tensor([scale]), torch.full((1, 2), PICTURE_SIZE / 2))
        whole = torch.zeros(1, len(self._model.mean), 3)
        whole[0, self._layout.vertices] = vertices - middle
        landmarks = camera.project(landmarks_on_vertices(self._model, whole, torch.zeros(1, 3)))
        colours = MeshColours(uv=mesh.uv.astype(np.float32), textures=(mesh.texture,))
        points = camera.project((vertices - middle)[None])
        return mesh_picture(points, self._layout.triangles, colours, PICTURE_SIZE), landmarks[0, :, :2].numpy()
