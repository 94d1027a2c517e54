"""One person from several photos, or from a clip, in this process: each is fitted, and what all tell is merged."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from facerecon_ray.config.reconstruct import ReadSettings
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
from facerecon_ray.stages.stage import OK, UNREADABLE, Batch, select
from facerecon_ray.storage.pairs.pair_codec import pack_image
from facerecon_ray.storage.uris import frame_uri, is_clip_name

LEAST_SIZE = 0.5
"""Share of the largest face's size in its photo that another one must have to be the person's."""

MOST_FRAMES = 64
"""Of a clip, spread over all of it: more tell little more."""

AT_ONCE = 8
"""Photos that are decoded at a time."""


@dataclass(frozen=True)
class Person:
    """One person from N photos, or frames of clips.

    mesh             the face without expression; metres, y up, it looks along +z
    coloured_mesh    the same for files with a colour for each vertex instead of a texture
    shape            (S,) coefficients of the face model, standard deviations
    deviation        (S,) what is left open of them
    spread           millimetres that are left open of the face's places, root of the mean square
    quality          0 to 1, the best of the merged photos'
    photos           names of the photos, of frames clip.mp4#t=SECONDS; empty for those that are no files
    faces            for each photo the person's face as that photo alone shows it; None where it shows none
    left_out         for each photo why it was not merged; empty where it was
    """

    mesh: TexturedMesh = field(repr=False)
    coloured_mesh: TexturedMesh = field(repr=False)
    shape: np.ndarray = field(repr=False)
    deviation: np.ndarray = field(repr=False)
    spread: float
    quality: float
    photos: tuple[str, ...] = field(repr=False)
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
    stages, export = loaded_stages(method, weights, face_model, fitter, device, "people")
    names: list[str] = []
    parts: list[Batch] = []
    photos = _photos(images)
    while some := list(islice(photos, AT_ONCE)):
        parts.append(stages(_batch(some, len(names))))
        names += [name for name, _, _ in some]
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    reasons = [""] * len(names)
    for photo, status, error in zip(rows["photo"].tolist(), rows["status"], rows["error"], strict=True):
        reasons[photo] = reasons[photo] or ("" if status == OK else error)
    usable = np.flatnonzero(rows["status"] == OK)
    if not len(usable):
        raise PhotoError(f"none of {len(names)} photos shows a face that can be used: {reasons[0]}")
    chosen = _alike(rows, usable)
    faces = select(rows, chosen)
    builder = _builder(face_model)
    merged = builder.merge(faces)
    best = builder.best(faces, merged)
    alone = faces_of(faces, export, topology)
    found = builder.face(faces, merged, best, [alone[row].texture for row in best])
    of_photo: list[Face | None] = [None] * len(names)
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
        tuple(names),
        tuple(of_photo),
        tuple(reasons),
    )


def _photos(images: Sequence[AnyImage]) -> Iterator[tuple[str, AnyImage, str]]:
    """Name of each photo and of each frame of a clip, the photo, and why it cannot be used, empty where it can."""
    for image in images:
        if isinstance(image, str | Path) and is_clip_name(str(image)):
            yield from _frames(Path(image))
        else:
            yield str(image) if isinstance(image, str | Path) else "", image, ""


def _frames(path: Path) -> Iterator[tuple[str, AnyImage, str]]:
    """The same of a clip; where it breaks off, that is said under its own name.

    Raises
    ------
    InputError
        when there is no such file
    PhotoError
        when nothing of it can be decoded
    """
    from facerecon_ray.storage.photos.clip_file import Clip

    settings = ReadSettings()
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"clip {path}: {error.strerror}") from None
    with closing(Clip(file, settings.max_pixels)) as clip:
        moments, fault = clip.moments(settings.frames_per_second)
        wanted = np.array(list(moments))
        for moment in wanted[np.unique(np.linspace(0, len(wanted) - 1, MOST_FRAMES).round().astype(int))].tolist():
            name = frame_uri(str(path), moment)
            try:
                yield name, pack_image(clip.picture(moment), "jpeg"), ""
            except PhotoError as error:
                yield name, b"", str(error)
        if fault:
            yield str(path), b"", fault


def _batch(photos: Sequence[tuple[str, AnyImage, str]], first: int) -> Batch:
    """Photos as the read stage gives them, with their numbers from the first one's on."""
    _, images, errors = zip(*photos, strict=True)
    batch = photo_batch(images)
    error = np.array(errors, object)
    status = np.where(error == "", batch["status"], UNREADABLE)
    return {**batch, "status": status, "error": error, "photo": first + np.arange(len(photos))}


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
