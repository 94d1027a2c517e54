"""Position maps to what a user opens: meshes, previews and 3D landmarks."""

from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.reconstruct import ExportSettings
from facerecon_ray.geometry.crop_camera import crop_camera
from facerecon_ray.geometry.crop_transform import apply_transform, invert_transform
from facerecon_ray.geometry.face_model import LANDMARKS, FaceModel
from facerecon_ray.geometry.face_texture import face_textures
from facerecon_ray.geometry.landmarks import landmarks_on_vertices
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.geometry.smooth_border import SmoothBorder
from facerecon_ray.geometry.textured_mesh import TexturedMesh
from facerecon_ray.stages.chain import EXPORT
from facerecon_ray.stages.photo_cover import shown_bounds
from facerecon_ray.stages.preview import preview_jpeg
from facerecon_ray.stages.stage import ROWS_AT_ONCE_ON_CPU, Batch, Column, Stage
from facerecon_ray.storage.mesh_files import encode_mesh
from facerecon_ray.storage.pairs.pair_codec import unpack_image

Topology = Literal["smooth", "dense", "model"]


class Exporter(Stage):
    """Make the files of each face.

    Input columns   crop, rotated, position_map, crop_transform, photo_width, photo_height, pose, camera; detail, where
                    textures are to be finer than the crops, is dropped
    Output columns  mesh          file contents of the mesh, empty when meshes are not wanted
                    preview       JPEG, empty when previews are not wanted
                    viewer        GLB of the smooth topology, for the gallery; empty as mesh
                    landmarks_3d  (68, 3) photo pixels, z towards the camera in the same unit, 0 at the head's origin

    Meshes are in the model frame, whatever the pose in the photo was.
    """

    name: ClassVar[str] = EXPORT.name
    drops: ClassVar[tuple[str, ...]] = ("detail",)
    rows_at_once = ROWS_AT_ONCE_ON_CPU

    def __init__(self, settings: ExportSettings, face_model: FaceModel | Path | None = None) -> None:
        self.outputs = {
            "mesh": Column(bytes),
            "preview": Column(bytes),
            "viewer": Column(bytes),
            "landmarks_3d": Column(np.float32, (LANDMARKS, 3)),
        }
        self._settings = settings
        self._model = FaceModel.open(face_model)
        self._layout = UvLayout.of(self._model)
        self._border = SmoothBorder.of(self._model, self._layout)

    @torch.no_grad()
    def process(self, batch: Batch) -> Batch:
        """Encode the faces of a batch."""
        faces = _Faces(self._layout, self._border, batch)
        settings, none = self._settings, [b""] * len(batch["pose"])
        files = self._files(faces) if settings.meshes else none
        if not settings.meshes or (settings.format == "glb" and settings.vertices == "smooth"):
            views = files
        else:
            views = [encode_mesh(mesh, "glb") for mesh in faces.meshes("smooth")]
        return {
            "mesh": np.array(files, object),
            "preview": np.array(faces.previews() if settings.previews else none, object),
            "viewer": np.array(views, object),
            "landmarks_3d": faces.landmarks(self._model),
        }

    @torch.no_grad()
    def files(self, batch: Batch) -> list[bytes]:
        """The column mesh."""
        return self._files(_Faces(self._layout, self._border, batch))

    @torch.no_grad()
    def meshes(self, batch: Batch, topology: Topology) -> list[TexturedMesh]:
        """The faces' meshes as arrays."""
        return _Faces(self._layout, self._border, batch).meshes(topology)

    @torch.no_grad()
    def landmarks(self, batch: Batch) -> np.ndarray:
        """(B, 68, 3) the column landmarks_3d."""
        return _Faces(self._layout, self._border, batch).landmarks(self._model)

    def _files(self, faces: "_Faces") -> list[bytes]:
        settings = self._settings
        return [encode_mesh(mesh, settings.format) for mesh in faces.meshes(settings.vertices)]


class _Faces:
    """The faces of a batch in both frames: B faces, M vertices of the face region."""

    def __init__(self, layout: UvLayout, border: SmoothBorder, batch: Batch) -> None:
        self._layout, self._border, self._batch = layout, border, batch
        self._maps = torch.from_numpy(batch["position_map"])
        pose, camera = (torch.from_numpy(batch[name]) for name in ("pose", "camera"))
        self._camera = crop_camera(pose, camera, batch["crop_transform"])

    def meshes(self, topology: Topology) -> list[TexturedMesh]:
        layout, border = self._layout, self._border
        if topology == "model":
            normals = vertex_normals(self._vertices, layout.triangles, "model")
            return self._textured(self._vertices, normals, layout.triangles, layout.vertex_uv)
        if topology == "smooth":
            return self._textured(self._smooth, self._smooth_normals, layout.triangles, border.vertex_uv)
        vertices = self._read(border.pixel_uv)
        normals = torch.nn.functional.normalize(layout.over_pixels(self._smooth_normals), dim=-1)
        return self._textured(vertices, normals, layout.grid_triangles, border.pixel_uv)

    def previews(self) -> list[bytes]:
        pictures = zip(self._batch["crop"], self._batch["rotated"], strict=True)
        meshes = zip(self._layout.read(self._maps, self._border.vertex_uv), self._smooth, strict=True)
        return [
            preview_jpeg(crop, rotated, points, vertices, self._layout.triangles)
            for (crop, rotated), (points, vertices) in zip(pictures, meshes, strict=True)
        ]

    def landmarks(self, model: FaceModel) -> np.ndarray:
        """(B, 68, 3) photo pixels."""
        vertices = torch.zeros(len(self._vertices), len(model.mean), 3)
        vertices[:, self._layout.vertices] = self._vertices
        in_crop = self._camera.project(landmarks_on_vertices(model, vertices, self._camera.angles)).numpy()
        to_photo = invert_transform(self._batch["crop_transform"])
        flat = apply_transform(to_photo, in_crop[..., :2])
        unit = np.sqrt(np.abs(np.linalg.det(to_photo[..., :2])))
        return np.concatenate([flat, in_crop[..., 2:] * unit[:, None, None]], -1).astype(np.float32)

    @cached_property
    def _vertices(self) -> Tensor:
        """(B, M, 3) model frame."""
        return self._read(self._layout.vertex_uv)

    @cached_property
    def _smooth(self) -> Tensor:
        """(B, M, 3) model frame, with a smooth border."""
        return self._read(self._border.vertex_uv)

    @cached_property
    def _smooth_normals(self) -> Tensor:
        return vertex_normals(self._smooth, self._layout.triangles, "model")

    def _read(self, uv: Tensor) -> Tensor:
        """(B, Q, 3) what the maps show at places (Q, 2) of the UV square, model frame."""
        return self._camera.unproject(self._layout.read(self._maps, uv))

    def _textured(self, vertices: Tensor, normals: Tensor, triangles: Tensor, uv: Tensor) -> list[TexturedMesh]:
        return [
            TexturedMesh(face.numpy(), normal.numpy(), triangles.numpy(), uv.numpy(), texture)
            for face, normal, texture in zip(vertices, normals, self._textures, strict=True)
        ]

    @cached_property
    def _textures(self) -> list[np.ndarray]:
        """(S, S, 3) uint8 each."""
        crops = self._batch["crop"]
        details = self._batch.get("detail", np.full(len(crops), b"", object))
        pictures = [unpack_image(detail) if detail else crop for crop, detail in zip(crops, details, strict=True)]
        bounds = shown_bounds(self._batch)
        return face_textures(self._layout, self._maps, pictures, self._camera.scale, bounds)
