"""Files in the formats of others, written from the embedded face model: the Basel Face Model's, and 300W-LP's."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from scipy.io import savemat

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.synthesis.model_building.head_rendering import HeadRenderer

SHAPE_SIZE, EXPRESSION_SIZE = 199, 29
PICTURE = 450
MICROMETRES = 1e6
RENDER = 256
OBJ_ORIGIN = (3.0, -8.0, 20.0)


@dataclass(frozen=True)
class Basel:
    """Arrays as BFM.mat has them: micrometres, (3 N, K), and where the files are."""

    folder: Path
    mean: np.ndarray
    shape: np.ndarray
    shape_deviations: np.ndarray
    expression: np.ndarray
    expression_deviations: np.ndarray
    landmarks: np.ndarray

    @property
    def path(self) -> Path:
        return self.folder / "BFM.mat"

    def random(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Raw coefficients, (199, 1) and (29, 1)."""
        shape = rng.normal(size=SHAPE_SIZE) * self.shape_deviations
        return shape[:, None], rng.uniform(0.0, 0.4, EXPRESSION_SIZE)[:, None] * self.expression_deviations[:, None]

    def vertices(self, shape: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """(N, 3) micrometres for raw coefficients."""
        return (self.mean + self.shape @ shape[:, 0] + self.expression @ expression[:, 0]).reshape(-1, 3)


def write_basel(folder: Path) -> Basel:
    """The embedded model as BFM.mat and BFM_UV.mat; shape components beyond its 60 are too weak to be seen."""
    model = FaceModel.default()
    rng = np.random.default_rng(0)
    count = len(model.mean)
    shape = rng.normal(size=(3 * count, SHAPE_SIZE)) * 1e-3
    shape[:, : model.shape_size] = model.shape_basis.flatten(1).numpy().T * MICROMETRES
    expression = model.expression_basis[:EXPRESSION_SIZE].flatten(1).numpy().T * MICROMETRES
    shape_deviations = np.linspace(9e5, 1e4, SHAPE_SIZE)
    expression_deviations = np.linspace(3.0, 0.5, EXPRESSION_SIZE)
    corners = torch.cat([model.contour_corners[:, 0], model.landmark_corners]).numpy()
    weights = torch.cat([model.contour_weights[:, 0], model.landmark_weights]).numpy()
    files = Basel(
        folder,
        model.mean.flatten().numpy().astype(np.float64) * MICROMETRES,
        shape / shape_deviations,
        shape_deviations,
        expression / expression_deviations,
        expression_deviations,
        np.take_along_axis(corners, weights.argmax(1)[:, None], 1)[:, 0],
    )
    arrays = {
        "shapeMU": files.mean[:, None].astype(np.float32),
        "shapePC": files.shape.astype(np.float32),
        "shapeEV": shape_deviations[:, None],
        "expMU": np.zeros((3 * count, 1)),
        "expPC": files.expression.astype(np.float32),
        "expEV": expression_deviations[:, None],
        "tri": (model.triangles.numpy().T + 1).astype(np.int32),
        "kpt_ind": (files.landmarks + 1).astype(np.int32)[None],
    }
    savemat(files.path, {"model": arrays})
    savemat(folder / "BFM_UV.mat", {"UV": model.uv.numpy().astype(np.float64) * (1, -1) + (0, 1)})
    return files


def project_as_matlab(vertices: np.ndarray, pose: np.ndarray, height: int) -> np.ndarray:
    """(3, N) image places in MATLAB's pixels as the code that comes with 300W-LP computes them.

    Parameters
    ----------
    vertices : (N, 3) micrometres
    pose : (7,) pitch, yaw, roll in radians, x, y, z, scale
    """
    phi, gamma, theta = pose[:3]
    r_x = np.array([[1, 0, 0], [0, np.cos(phi), np.sin(phi)], [0, -np.sin(phi), np.cos(phi)]])
    r_y = np.array([[np.cos(gamma), 0, -np.sin(gamma)], [0, 1, 0], [np.sin(gamma), 0, np.cos(gamma)]])
    r_z = np.array([[np.cos(theta), np.sin(theta), 0], [-np.sin(theta), np.cos(theta), 0], [0, 0, 1]])
    points = pose[6] * r_x @ r_y @ r_z @ vertices.T + pose[3:6, None]
    points[1] = height + 1 - points[1]
    return points


@dataclass(frozen=True)
class Writer300wlp:
    """Writes a picture and its .mat."""

    basel: Basel
    paint: HeadRenderer
    folder: Path

    def annotation(self, pose: np.ndarray, seed: int = 0) -> dict[str, Any]:
        """Arrays of a .mat as MATLAB writes them."""
        shape, expression = self.basel.random(np.random.default_rng(seed))
        points = project_as_matlab(self.basel.vertices(shape, expression), pose, PICTURE)
        landmarks = points[:, self.basel.landmarks]
        return {
            "Pose_Para": pose[None],
            "Shape_Para": shape,
            "Exp_Para": expression,
            "pt2d": landmarks[:2],
            "roi": np.array([[1, 1, PICTURE, PICTURE]], np.int16),
            "Illum_Para": np.ones((1, 10)),
            "Color_Para": np.ones((1, 7)),
            "Tex_Para": np.zeros((SHAPE_SIZE, 1)),
        }

    def __call__(
        self, name: str, pose: np.ndarray, seed: int = 0, painted: bool = False, **changes: Any
    ) -> np.ndarray:
        """Write FOLDER/name.jpg, grey unless painted, and .mat; arrays that `changes` sets to None are left out.

        Returns
        -------
        (N, 3) the mesh in the picture, pixels with centres at +0.5, y down
        """
        annotation = self.annotation(pose, seed)
        mesh = self.basel.vertices(annotation["Shape_Para"], annotation["Exp_Para"])
        points = project_as_matlab(mesh, pose, PICTURE).T - (0.5, 0.5, pose[5])
        path = self.folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = self.picture(points, seed) if painted else np.full((PICTURE, PICTURE, 3), 128, np.uint8)
        cv2.imwrite(str(path), picture[..., ::-1])
        kept = {key: value for key, value in {**annotation, **changes}.items() if value is not None}
        savemat(path.with_suffix(".mat"), kept)
        return points

    def picture(self, points: np.ndarray, seed: int) -> np.ndarray:
        """(450, 450, 3) uint8: the head whose vertices lie at places of the picture, without any pose convention."""
        upright = torch.from_numpy(points * (1, -1, 1)).float()[None]
        camera = Camera(torch.zeros(1, 3), torch.ones(1), torch.zeros(1, 2))
        return self.paint(upright, camera, PICTURE, np.random.default_rng(seed))


def pose_para(
    yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, x: float = 225.0, y: float = 225.0
) -> np.ndarray:
    """(7,) from the data set's angles in degrees; the face is about 200 pixels wide."""
    return np.array([*np.deg2rad([pitch, yaw, roll]), x, y, -300.0, 1.3e-3])


@dataclass(frozen=True)
class WriterFaceGen:
    """Writes subjects as FaceGen exports: a mesh in millimetres with an origin of its own, and eight renders."""

    paint: HeadRenderer
    folder: Path

    def __call__(
        self, number: int, sidecars: tuple[str, ...] = (), seed: int = 0, painted: bool = False
    ) -> dict[int, np.ndarray]:
        """Write a subject whose eight renders lie within their yaw ranges.

        Parameters
        ----------
        number : of the subject
        sidecars : what render_K.json says of "yaw", "pitch", "roll", "scale", "x" and "y"; no file when empty
        seed : of the subject and its poses
        painted : whether the renders show the head, not plain grey

        Returns
        -------
        By render, (N, 3) the mesh in the picture, pixels
        """
        model, rng = FaceModel.default(), np.random.default_rng(seed)
        shape = torch.from_numpy(rng.normal(size=(1, model.shape_size))).float()
        expression = torch.from_numpy(rng.uniform(0, 0.3, (1, model.expression_size))).float()
        head = model.vertices(shape, expression)
        folder = self.folder / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        exported = head[0].double().numpy() * 1000 + OBJ_ORIGIN
        lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in exported]
        lines += [f"f {a} {b} {c}" for a, b, c in model.triangles.numpy() + 1]
        (folder / f"subject_{number}.obj").write_text("\n".join(["# a head", *lines, ""]))
        truth = {}
        for index in range(-4, 4):
            angles = (22.5 * index + rng.uniform(0, 22.5), *rng.uniform(-15, 15, 2))
            camera = Camera(torch.tensor([angles]).float(), torch.tensor([800.0]), torch.tensor([[126.0, 130.0]]))
            picture = np.full((RENDER, RENDER, 3), 128, np.uint8)
            if painted:
                picture = self.paint(head, camera, RENDER, np.random.default_rng(seed))
            cv2.imwrite(str(folder / f"render_{index}.png"), picture[..., ::-1])
            truth[index] = camera.project(head)[0].numpy()
            if sidecars:
                x, y = camera.project(torch.tensor([[OBJ_ORIGIN]]).float() / -1000)[0, 0, :2].tolist()
                told = dict(zip(("yaw", "pitch", "roll"), angles, strict=True)) | {"scale": 0.8, "x": x, "y": y}
                text = json.dumps({name: told[name] for name in sidecars})
                (folder / f"render_{index}.json").write_text(text)
        return truth
