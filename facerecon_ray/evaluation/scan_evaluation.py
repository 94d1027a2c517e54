"""One scan through the protocol: turned to the front, drawn from 27 sides, reconstructed, aligned, scored."""

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from facerecon_ray.config.evaluation import ProtocolSettings
from facerecon_ray.config.reconstruct import ChainSettings, FitSettings, PeopleSettings, RotateSettings
from facerecon_ray.evaluation.frontal_alignment import FrontalAligner, FrontalPose, known_pose
from facerecon_ray.evaluation.models import Model, ModelSpec
from facerecon_ray.evaluation.picture_crops import PictureCrops, was_found
from facerecon_ray.evaluation.recognition import MeshRecognition
from facerecon_ray.evaluation.rows import ATTRIBUTES, LOOKS, NOT_RECONSTRUCTED, OK
from facerecon_ray.evaluation.scan import Scan, decimated
from facerecon_ray.evaluation.scan_pictures import Framing, pictures_of
from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS, FaceModel
from facerecon_ray.geometry.icp_alignment import Alignment, align_to_scan
from facerecon_ray.geometry.landmarks import landmarks_in_picture, landmarks_on_vertices
from facerecon_ray.geometry.mesh_errors import box_size, corresponding_nme, landmark_nme, mesh_errors
from facerecon_ray.geometry.pose import rotation_from_angles
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.similarity import Similarity
from facerecon_ray.geometry.surface import Surface
from facerecon_ray.geometry.textured_mesh import TexturedMesh
from facerecon_ray.stages.chain import FIT, ROTATE, ChainPart, exporter
from facerecon_ray.stages.stage import Batch

NO_FACE = 0.25
"""Distance of an aligned mesh's landmarks to the scan's, over their box size, from which on it is not scored: a flat
patch lies on a cheek with hardly any distance, and would win."""


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """A scan that looks straight ahead.

    data, name  of the row
    scan        as it is measured
    drawn       as it is drawn, perhaps thinned
    pose        how it is brought to the front
    """

    data: str
    name: str
    scan: Scan
    drawn: Scan
    pose: FrontalPose


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What one model made of one picture, for a closer look.

    picture, crop, rotated  (256, 256, 3) uint8
    mesh                    in the frame of the aligned scan, metres
    error                   (M,) distance of the mesh's vertices to the scan over the mesh's size; None without a mesh
    """

    picture: np.ndarray
    crop: np.ndarray
    rotated: np.ndarray
    mesh: TexturedMesh | None
    error: np.ndarray | None


class ScanEvaluator:
    """Everything that the protocol needs, loaded once.

    Parameters
    ----------
    models : to compare
    protocol : its settings
    device : auto, cpu, cuda or cuda:N
    people : whether pictures of a head are merged too
    """

    def __init__(
        self, models: tuple[ModelSpec, ...], protocol: ProtocolSettings, device: str = "auto", people: bool = False
    ) -> None:
        self._protocol = protocol
        self.face_model = FaceModel.default()
        self._layout = UvLayout.of(self.face_model)
        self._finder = PictureCrops(device)
        # How scans are aligned must not depend on the networks that are evaluated.
        self._frontal = FrontalAligner(PictureCrops(device, untrained=True), self.face_model)
        chain = ChainSettings(
            fit=FitSettings(device=device),
            rotate=RotateSettings(device=device),
            people=PeopleSettings(enabled=people),
        )
        self._fit_and_rotate = ChainPart(chain, FIT, ROTATE)
        self._export = exporter(chain)
        self._models = {spec.name: Model(spec, device) for spec in models}
        self._recognition = MeshRecognition(self.face_model, self._layout) if protocol.recognition else None

    def prepare(self, data: str, name: str, scan: Scan) -> PreparedScan:
        """Turn a scan to the front, unless it is known how it lies.

        Raises
        ------
        InputError
            when there is no face on it
        """
        drawn = decimated(scan, self._protocol.most_triangles)
        pose = self._frontal(drawn) if scan.photos is None else known_pose(scan.photos.landmarks)
        return PreparedScan(data, name, scan, drawn, pose)

    def rows(self, prepared: PreparedScan, angles: list[tuple[float, float]]) -> list[dict[str, Any]]:
        """Score all models on pictures of a scan.

        Parameters
        ----------
        prepared : the scan
        angles : yaw and pitch of each picture, degrees

        Returns
        -------
        rows of ROW_SCHEMA, one a model and picture
        """
        start = time.perf_counter()
        views = Views(self, prepared, angles)
        rows = [row for model in self._models.values() for row in views.rows(model)]
        seconds = (time.perf_counter() - start) / len(rows)
        return [{**row, "seconds": seconds} for row in rows]

    def look(self, prepared: PreparedScan, angles: tuple[float, float], model: str) -> Reconstruction:
        """What one model made of one picture."""
        return Views(self, prepared, [angles]).look(self._models[model])


class Views:
    """Pictures of one scan from some sides.

    faces   rows of faces that are fitted and turned, one a picture
    """

    def __init__(self, evaluator: ScanEvaluator, prepared: PreparedScan, angles: list[tuple[float, float]]) -> None:
        self._of, self._prepared, self._angles = evaluator, prepared, angles
        pose, scan = prepared.pose, prepared.scan
        size = evaluator._protocol.size
        self._framings = [Framing(pose.to_head, (yaw, pitch, 0.0), size, pose.zoom) for yaw, pitch in angles]
        drawn = pictures_of(prepared.drawn)
        self._pictures = [drawn.draw(framing) for framing in self._framings]
        nose = pose.to_head.inverse().apply(pose.nose_tip[None])
        places = np.stack([drawn.project(nose, framing)[0, :2] for framing in self._framings])
        self.faces = evaluator._fit_and_rotate(evaluator._finder.find(self._pictures, places))
        self._surface = Surface(pose.to_head.apply(scan.vertices), scan.triangles)
        self._truth = None if scan.correspondence is None else pose.to_head.apply(scan.correspondence)
        self._true_landmarks = self._landmarks_in_pictures()

    def rows(self, model: Model) -> list[dict[str, Any]]:
        batch = model(self.faces)
        made = was_found(batch)
        meshes = self._meshes(batch)
        rows = []
        for index, mesh in enumerate(meshes):
            row = self._circumstances(index) | {"model": model.name}
            if mesh is None:
                rows.append(row | {"status": NOT_RECONSTRUCTED, "error": batch["error"][index]})
            elif not np.isfinite(mesh.vertices).all():
                rows.append(row | {"status": NOT_RECONSTRUCTED, "error": "the mesh has vertices that are not numbers"})
            else:
                rows.append(row | self.scores(mesh.vertices))
        self._add_landmarks(rows, batch, made)
        self._add_recognition(rows, meshes)
        return rows

    def look(self, model: Model) -> Reconstruction:
        batch = model(self.faces)
        mesh, error = self._meshes(batch)[0], None
        if mesh is not None:
            vertices = self._aligned(mesh.vertices)[1]
            mesh = replace(mesh, vertices=vertices)
            error = self._surface.distance(vertices) / mesh_errors(vertices, self._surface, vertices[0]).box
        return Reconstruction(self._pictures[0], batch["crop"][0], batch["rotated"][0], mesh, error)

    def _meshes(self, batch: Batch) -> list[TexturedMesh | None]:
        made = np.flatnonzero(was_found(batch))
        meshes: list[TexturedMesh | None] = [None] * len(self._angles)
        if len(made):
            rows = {name: values[made] for name, values in batch.items()}
            for index, mesh in zip(made, self._of._export.meshes(rows, "model"), strict=True):
                meshes[index] = mesh
        return meshes

    def _aligned(self, vertices: np.ndarray) -> tuple[Alignment, np.ndarray]:
        """The alignment of a mesh to the scan, begun at the landmarks, and its vertices there."""
        start = Similarity.between(self._mesh_landmarks(vertices), self._prepared.pose.landmarks)
        alignment = align_to_scan(vertices, self._surface, start)
        return alignment, alignment.transform.apply(vertices)

    def _mesh_landmarks(self, vertices: np.ndarray) -> np.ndarray:
        """(51, 3) landmarks 18 to 68 on a mesh."""
        whole = torch.zeros(1, len(self._of.face_model.mean), 3)
        whole[0, self._of._layout.vertices] = torch.from_numpy(vertices)
        landmarks = landmarks_on_vertices(self._of.face_model, whole, torch.zeros(1, 3))
        return np.asarray(landmarks[0, CONTOUR_LANDMARKS:].double().numpy())

    def scores(self, mesh: np.ndarray) -> dict[str, Any]:
        """What a row says of a mesh, by its vertices (M, 3) float32."""
        alignment, vertices = self._aligned(mesh)
        away = self._landmarks_away(mesh, alignment)
        if away > NO_FACE:
            reason = f"the mesh is no face: laid onto the scan, its landmarks are over {NO_FACE:.0%} of their size off"
            return {"status": NOT_RECONSTRUCTED, "error": reason, "landmarks_3d": away}
        errors = mesh_errors(vertices, self._surface, self._prepared.pose.nose_tip)
        scores: dict[str, Any] = {
            "status": OK,
            "landmarks_3d": away,
            "nme": errors.nme,
            "nme_median": errors.median,
            "nme_p90": errors.p90,
            "icp_fit": alignment.fit,
            "icp_start": alignment.start,
            "icp_agreement": alignment.agreement,
        }
        if self._prepared.pose.unit:
            scores |= {"mm": errors.mm if np.isfinite(errors.mm) else None, "box": errors.box}
        if self._truth is not None:
            truth = self._truth[self._of._layout.vertices.numpy()]
            scores["nme_corresponding"] = corresponding_nme(mesh, truth)
        return scores

    def _landmarks_away(self, mesh: np.ndarray, alignment: Alignment) -> float:
        """Mean distance of the aligned mesh's 51 landmarks to the scan's, over the size of the latter's box."""
        truth = self._prepared.pose.landmarks
        moved = alignment.transform.apply(self._mesh_landmarks(mesh))
        return float(np.linalg.norm(moved - truth, axis=-1).mean() / box_size(truth))

    def _circumstances(self, index: int) -> dict[str, Any]:
        """What a row says of the scan, the picture and the rotation, whatever the model."""
        prepared, faces = self._prepared, self.faces
        yaw, pitch = self._angles[index]
        row: dict[str, Any] = {
            "data": prepared.data,
            "item": prepared.name,
            "yaw": yaw,
            "pitch": pitch,
            "note": "; ".join(prepared.scan.notes) or None,
            "unit": prepared.pose.unit or None,
            "frontal_rounds": prepared.pose.rounds,
            "frontal_residual": prepared.pose.residual,
            **{name: prepared.scan.attributes.get(name) for name in (*ATTRIBUTES, *LOOKS)},
        }
        if prepared.scan.photos is not None:
            row["distance"] = prepared.scan.photos.standpoints[yaw, pitch].distance
        if was_found(faces)[index]:
            estimated = faces["pose"][index].astype(float)
            row |= {name: float(faces[name][index]) for name in _ROTATION_MEASURES}
            row |= {"estimated_yaw": estimated[0], "estimated_pitch": estimated[1]}
            row["pose_error"] = _degrees_between(estimated, np.array([yaw, pitch, 0.0]))
        return row

    def _landmarks_in_pictures(self) -> np.ndarray | None:
        """(B, 68, 2) true landmarks in the pictures' pixels."""
        scan = self._prepared.scan
        if scan.correspondence is None:
            return None
        drawn = pictures_of(self._prepared.drawn)
        points = np.stack([drawn.project(scan.correspondence, framing) for framing in self._framings])
        upright = torch.zeros(len(points))
        landmarks = landmarks_in_picture(self._of.face_model, torch.from_numpy(points).float(), upright)
        return np.asarray(landmarks[..., :2].numpy())

    def _add_landmarks(self, rows: list[dict[str, Any]], batch: Batch, made: np.ndarray) -> None:
        if self._true_landmarks is None or not made.any():
            return
        index = np.flatnonzero(made)
        found = self._of._export.landmarks({name: values[index] for name, values in batch.items()})
        for place, error in zip(index, landmark_nme(found[..., :2], self._true_landmarks[index]), strict=True):
            rows[place]["landmark_nme"] = float(error)

    def _add_recognition(self, rows: list[dict[str, Any]], meshes: list[TexturedMesh | None]) -> None:
        if self._of._recognition is None:
            return
        for index, (row, mesh) in enumerate(zip(rows, meshes, strict=True)):
            if mesh is not None and row["status"] == OK:
                cosine, distance = self._of._recognition.compare(self._photo_descriptors[index], mesh)
                row |= {"recognition": cosine, "recognition_distance": distance}

    @cached_property
    def _photo_descriptors(self) -> list[np.ndarray]:
        """Of every picture; a picture without a face gets one that nobody asks for."""
        assert self._of._recognition is not None
        return [
            self._of._recognition.of_photo(picture, landmarks) if found else np.zeros(0)
            for picture, landmarks, found in zip(
                self._pictures, self.faces["landmarks"], was_found(self.faces), strict=True
            )
        ]


_ROTATION_MEASURES = ("detection_score", "fit_error", "visible_share", "quality", "rotated_yaw")


def _degrees_between(first: np.ndarray, second: np.ndarray) -> float:
    """Angle of the rotation between two poses (3,)."""
    a, b = rotation_from_angles(torch.from_numpy(np.stack([first, second]))).numpy()
    return float(np.degrees(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1.0, 1.0))))
