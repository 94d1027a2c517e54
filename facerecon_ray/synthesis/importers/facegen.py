"""FaceGen exports as training data: subjects' meshes in the Basel Face Model's topology, and eight renders of each.

Layout: FOLDER/N/subject_N.obj and FOLDER/N/render_-4.png to render_3.png; render K has a yaw between 22.5 K and
22.5 (K + 1) degrees. A file render_K.json beside a render may say its pose or its whole camera (`read_sidecar`);
where there is none, the camera is recovered from the picture (`PoseRecovery`).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from facerecon_ray.config.importing import ImportSettings
from facerecon_ray.errors import InputError, PhotoError
from facerecon_ray.geometry.surface import require_open3d
from facerecon_ray.synthesis.importers.basel_model import open_basel
from facerecon_ray.synthesis.importers.facegen_subject import SubjectMesh, read_sidecar, read_subject
from facerecon_ray.synthesis.importers.imported_view import ImportedView, ImportFailure, ImportSource, read_picture
from facerecon_ray.synthesis.importers.render_pose import PoseRecovery, Render

YAW_STEP = 22.5
RENDERS = range(-4, 4)

FindLandmarks = Callable[[np.ndarray], np.ndarray | None]
"""The 68 landmarks (68, 2) in pixels of the face in a picture (H, W, 3) uint8, None where none is found."""


class FaceGenImporter:
    """Reads a folder of FaceGen exports."""

    name: ClassVar[str] = "facegen"

    def __init__(self, settings: ImportSettings, find_landmarks: FindLandmarks) -> None:
        """Load the face model.

        Raises
        ------
        AssetError
            when the face model cannot be used
        """
        require_open3d()
        self._folder = settings.folder
        self._find_landmarks = find_landmarks
        self.model = open_basel(settings)
        self._recover = PoseRecovery(self.model)

    def sources(self) -> list[ImportSource]:
        """One source for each subject.

        Raises
        ------
        InputError
            when the folder is missing, or there is no subject in it
        """
        if not self._folder.is_dir():
            raise InputError(f"{self._folder}: there is no such folder; one of FaceGen exports was expected")
        names = sorted((path.name for path in self._folder.iterdir() if path.name.isdecimal()), key=int)
        if not any(_mesh_path(self._folder / name).exists() for name in names):
            raise InputError(
                f"{self._folder}: no subjects; N/subject_N.obj with N/render_-4.png to N/render_3.png was expected"
            )
        return [
            ImportSource(name, name, tuple(f"{name}/{_render_name(number)}" for number in RENDERS)) for name in names
        ]

    def views(self, source: ImportSource) -> Iterator[ImportedView | ImportFailure]:
        """The renders of a subject; a mesh that cannot be used is one failure."""
        folder = self._folder / source.name
        try:
            mesh = read_subject(_mesh_path(folder), self.model)
        except PhotoError as error:
            yield ImportFailure(f"{source.name}/{_mesh_path(folder).name}", str(error))
            return
        renders: dict[int, Render] = {}
        for number, name in zip(RENDERS, source.files, strict=True):
            try:
                renders[number] = self._render(folder, number, mesh)
            except PhotoError as error:
                yield ImportFailure(name, str(error))
        vertices = torch.from_numpy(mesh.vertices)[None].float()
        states = self._recover(vertices, renders)
        for number, render in renders.items():
            name = f"{source.name}/{_render_name(number)}"
            if number not in states:
                yield ImportFailure(name, _unknown_pose(self._folder / name))
                continue
            yield ImportedView(name, render.image, vertices, states[number].camera, {"yaw_bin": YAW_STEP * number})

    def _render(self, folder: Path, number: int, mesh: SubjectMesh) -> Render:
        path = folder / _render_name(number)
        if not path.exists():
            raise PhotoError(f"{path}: it is missing; render_-4.png to render_3.png were expected")
        image = read_picture(path)
        told = read_sidecar(path.with_suffix(".json"), mesh)
        yaw_range = (YAW_STEP * number, YAW_STEP * (number + 1))
        if told and told.state:
            return Render(image, yaw_range, state=told.state)
        return Render(image, yaw_range, self._find_landmarks(image), told.rotation if told else None)


def _mesh_path(folder: Path) -> Path:
    return folder / f"subject_{folder.name}.obj"


def _render_name(number: int) -> str:
    return f"render_{number}.png"


def _unknown_pose(path: Path) -> str:
    sidecar = path.with_suffix(".json").name
    return f"{path}: its pose could not be recovered from the picture; {sidecar} with yaw, pitch and roll helps"
