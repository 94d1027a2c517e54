"""One person from several photos, in this process: each is fitted, and what all of them tell is merged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from facerecon_ray.errors import InputError, PhotoError
from facerecon_ray.geometry.textured_mesh import TexturedMesh
from facerecon_ray.in_process.single_photo import (
    AnyImage,
    Face,
    Method,
    Topology,
    both_topologies,
    faces_of,
    loaded_stages,
    photo_batch,
    write_mesh,
)
from facerecon_ray.stages.people.person_face import PersonBuilder
from facerecon_ray.stages.stage import OK, Batch, select

LEAST_SIZE = 0.5
"""Share of the largest face's size in its photo that another one must have to be the person's."""


@dataclass(frozen=True)
class Person:
    """One person from N photos.

    mesh             the face without expression; metres, y up, it looks along +z
    coloured_mesh    the same for files with a colour for each vertex instead of a texture
    shape            (S,) coefficients of the face model, standard deviations
    deviation        (S,) what is left open of them
    spread           millimetres that are left open of the face's places, root of the mean square
    quality          0 to 1, the best of the merged photos'
    faces            for each photo the person's face as that photo alone shows it; None where it shows none
    left_out         for each photo why it was not merged; empty where it was
    """

    mesh: TexturedMesh = field(repr=False)
    coloured_mesh: TexturedMesh = field(repr=False)
    shape: np.ndarray = field(repr=False)
    deviation: np.ndarray = field(repr=False)
    spread: float
    quality: float
    faces: tuple[Face | None, ...] = field(repr=False)
    left_out: tuple[str, ...]

    def export(self, path: str | Path) -> Path:
        """Write the mesh, as `Face.export` does."""
        return write_mesh(self.mesh, self.coloured_mesh, Path(path))


def reconstruct_person(
    images: Sequence[AnyImage],
    method: Method,
    topology: Topology,
    weights: Path | None,
    face_model: Path | None,
    fitter: Path | None,
    device: str,
) -> Person:
    """Reconstruct the person whom all photos show; arguments and errors as those of `reconstruct`.

    Of faces at least half as large as the largest of their photo, those are taken that are most alike.
    """
    if not images:
        raise InputError("the list of photos is empty")
    crop, rotate, rebuild, exporter = loaded_stages(method, weights, face_model, fitter, device, "people")
    photos = photo_batch(images)
    rows = rebuild(rotate(crop({**photos, "photo": np.arange(len(images))})))
    reasons = [""] * len(images)
    for photo, status, error in zip(rows["photo"].tolist(), rows["status"], rows["error"], strict=True):
        reasons[photo] = reasons[photo] or ("" if status == OK else error)
    usable = np.flatnonzero(rows["status"] == OK)
    if not len(usable):
        raise PhotoError(f"none of {len(images)} photos shows a face that can be used: {reasons[0]}")
    chosen = _alike(rows, usable)
    faces = select(rows, chosen)
    builder = _builder(face_model)
    merged = builder.merge(faces)
    best = builder.best(faces, merged)
    alone = faces_of(faces, exporter, topology)
    found = builder.face(faces, merged, best, [alone[row].texture for row in best])
    of_photo: list[Face | None] = [None] * len(images)
    for row, photo in enumerate(faces["photo"].tolist()):
        of_photo[photo] = alone[row]
        disagreement = float(merged.disagreement[row])
        reasons[photo] = (
            ""
            if merged.used[row]
            else f"its shape disagrees with the others' ({disagreement:.1f}): perhaps it shows somebody else"
        )
    mesh, coloured = (builder.mesh(found, kind) for kind in both_topologies(topology))
    return Person(
        mesh,
        coloured,
        merged.shape.numpy(),
        merged.covariance.diagonal().sqrt().float().numpy(),
        found.spread,
        found.quality,
        tuple(of_photo),
        tuple(reasons),
    )


def _alike(rows: Batch, usable: np.ndarray) -> np.ndarray:
    """Rows of the person's face in each photo that has one, in the order of the photos.

    Photos with one large face come first; in others the face is taken that is nearest to those that are chosen.
    """
    size = rows["bbox"][:, 2] - rows["bbox"][:, 0]
    of_photo = [usable[rows["photo"][usable] == photo] for photo in np.unique(rows["photo"][usable])]
    large = [faces[size[faces] >= LEAST_SIZE * size[faces].max()] for faces in of_photo]
    chosen: list[int] = []
    for faces in sorted(large, key=len):
        if chosen:
            apart = rows["descriptor"][faces, None] - rows["descriptor"][chosen]
            chosen.append(int(faces[np.square(apart).sum(-1).mean(1).argmin()]))
        else:
            chosen.append(int(faces[size[faces].argmax()]))
    return np.sort(chosen)


@lru_cache(maxsize=1)
def _builder(face_model: Path | None) -> PersonBuilder:
    return PersonBuilder(face_model)
