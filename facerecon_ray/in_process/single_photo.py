"""Faces of one photo, or of two photos of a person, in this process: the job's stages without Ray."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from PIL import Image

from facerecon_ray.config.reconstruct import (
    ChainSettings,
    CropSettings,
    ExportSettings,
    FitSettings,
    PeopleSettings,
    ReconstructSettings,
    RotateSettings,
)
from facerecon_ray.errors import InputError, OutputError, PhotoError
from facerecon_ray.geometry.textured_mesh import TexturedMesh
from facerecon_ray.stages.chain import CROP, RECONSTRUCT, ChainPart, exporter
from facerecon_ray.stages.export import Exporter
from facerecon_ray.stages.export import Topology as MeshTopology
from facerecon_ray.stages.stage import NO_FACE, OK, Batch, select
from facerecon_ray.storage.mesh_files import FORMATS, encode_mesh
from facerecon_ray.storage.photos.photo_file import encode_photo
from facerecon_ray.storage.uris import is_clip_name

if TYPE_CHECKING:
    from facerecon_ray.in_process.person_photos import Person

LOADED_SETTINGS = 2
"""Sets of stages that stay in memory, one for each combination of settings that was used."""

Method = Literal["fitted", "two-view", "prnet"]
Topology = Literal["auto", "smooth", "dense", "model"]
Kind = Literal["photo", "pair", "people"]
AnyImage = str | Path | bytes | np.ndarray | Image.Image


@dataclass(frozen=True)
class Face:
    """One face of a photo; of two photos of a person, what is said of the photo is said of the front one.

    mesh             vertices, normals, triangles, uv and texture; metres, y up, the face looks along +z
    coloured_mesh    the same for files with a colour for each vertex instead of a texture: with more vertices, if the
                     topology was left open
    pose             (3,) yaw, pitch, roll in the photo, degrees
    distance         metres from the camera: by the focal length that the photo states, else as the face looks
    landmarks        (68, 2) photo pixels
    landmarks_3d     (68, 3) photo pixels, z towards the camera in the same unit
    bbox             (4,) x0, y0, x1, y1 in photo pixels
    detection_score  of the face detector
    quality          0 to 1, how far the mesh can be trusted
    crop             (256, 256, 3) uint8
    rotated          (256, 256, 3) uint8, the turned face, or the crop of the side photo
    position_map     (256, 256, 3) float16 UV position map, crop pixels / 256
    """

    mesh: TexturedMesh = field(repr=False)
    coloured_mesh: TexturedMesh = field(repr=False)
    pose: np.ndarray
    distance: float
    landmarks: np.ndarray = field(repr=False)
    landmarks_3d: np.ndarray = field(repr=False)
    bbox: np.ndarray
    detection_score: float
    quality: float
    crop: np.ndarray = field(repr=False)
    rotated: np.ndarray = field(repr=False)
    position_map: np.ndarray = field(repr=False)

    @property
    def vertices(self) -> np.ndarray:
        """(V, 3) float32 metres."""
        return self.mesh.vertices

    @property
    def triangles(self) -> np.ndarray:
        """(T, 3) int64, counter-clockwise seen from outside."""
        return self.mesh.triangles

    @property
    def uv(self) -> np.ndarray:
        """(V, 2) float32 place in the texture, v from the top down."""
        return self.mesh.uv

    @property
    def texture(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return self.mesh.texture

    def export(self, path: str | Path) -> Path:
        """Write the mesh; the suffix says how: .glb in metres, .obj and .ply in millimetres.

        Raises
        ------
        OutputError
            when the suffix is another one, or the file cannot be written
        """
        return write_mesh(self.mesh, self.coloured_mesh, Path(path))


@overload
def reconstruct(
    image: AnyImage,
    side: AnyImage | None = None,
    *,
    method: Method = "fitted",
    topology: Topology = "auto",
    weights: Path | None = None,
    face_model: Path | None = None,
    fitter: Path | None = None,
    device: str = "auto",
) -> list[Face]: ...


@overload
def reconstruct(
    image: list[Any] | tuple[Any, ...],
    *,
    method: Method = "fitted",
    topology: Topology = "auto",
    weights: Path | None = None,
    face_model: Path | None = None,
    fitter: Path | None = None,
    device: str = "auto",
) -> "Person": ...


def reconstruct(
    image: AnyImage | list[Any] | tuple[Any, ...],
    side: AnyImage | None = None,
    *,
    method: Method = "fitted",
    topology: Topology = "auto",
    weights: Path | None = None,
    face_model: Path | None = None,
    fitter: Path | None = None,
    device: str = "auto",
) -> "list[Face] | Person":
    """Reconstruct every face in a photo, with a photo from the side too the face that both show, or one person from a
    list of their photos, or from a clip.

    The first call loads the models, which takes seconds; later ones with the same settings use them again.

    Parameters
    ----------
    image : path of a photo, contents of a photo file, (H, W, 3) or (H, W) uint8 array, or PIL image; or a list of
        such, photos of one person; or the path of a clip, alone or in the list, of which frames are taken
    side : another photo of the same person, from another side, in place of the view that is made of the first
    method : fitted, two-view or prnet
    topology : smooth, the face model's triangles, the outer ones drawn in to a smooth border; dense, a vertex for each
        pixel of the UV position map, its border smooth; model, the face model's own vertices; auto, smooth, and dense
        in files whose vertices carry the colours
    weights : weights of the network (.safetensors); without them, those that come with the package
    face_model : a face model (.npz); without one, the embedded model is used
    fitter : weights of the fitter (.safetensors) for that face model, which without them is fitted to the landmarks
        alone
    device : auto, cpu, cuda or cuda:N

    Returns
    -------
    The faces, the highest detection score first; none when the photo has no face. Faces that cannot be fitted are left
    out where others can. With `side` one face: of faces at least half as large as their photo's largest, the two that
    are most alike. Of a list and of a clip the person, see `Person`

    Raises
    ------
    InputError
        when there is no such file, or the array is no photo
    PhotoError
        when the photo cannot be used, or none of its faces; when `side` shows no face or another person
    AssetError, SettingsError
        when a model file is missing or of another kind, or there is no such device
    """
    is_clip = isinstance(image, str | Path) and is_clip_name(str(image))
    if isinstance(image, list | tuple) or is_clip:
        from facerecon_ray.in_process.person_photos import reconstruct_person

        if side is not None:
            raise InputError(
                f"both a {'clip' if is_clip else 'list of photos'} and a side photo are given; put all into one list"
            )
        images = image if isinstance(image, list | tuple) else [image]
        return reconstruct_person(images, method, topology, weights, face_model, fitter, device)
    kind: Kind = "pair" if side is not None else "photo"
    stages, export = loaded_stages(method, weights, face_model, fitter, device, kind)
    photo = photo_batch([image])
    if side is not None:
        photo["side_photo_bytes"] = np.array([_contents(side)], object)
    batch = stages(photo)
    if (batch["status"] == NO_FACE).all():
        return []
    good = batch["status"] == OK
    if not good.any():
        raise PhotoError(batch["error"][0])
    return faces_of(select(batch, good), export, topology)


def write_mesh(mesh: TexturedMesh, coloured: TexturedMesh, path: Path) -> Path:
    """Write a mesh, or one whose vertices carry the colours; the suffix says how, as in `Face.export`."""
    kind = next((name for name in FORMATS if path.suffix.lower() == f".{name}"), None)
    if kind is None:
        raise OutputError(f"{path}: a mesh is written as {', '.join('.' + name for name in FORMATS)}")
    try:
        path.write_bytes(encode_mesh(mesh if kind == "glb" else coloured, kind))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
    return path


def photo_batch(images: Sequence[AnyImage]) -> Batch:
    """Photos as the read stage gives them."""
    return {
        "photo_uri": np.full(len(images), "", object),
        "photo_bytes": np.array([_contents(image) for image in images], object),
        "status": np.full(len(images), OK, object),
        "error": np.full(len(images), "", object),
    }


def both_topologies(topology: Topology) -> list[MeshTopology]:
    """Of files with a texture and of those whose vertices carry the colours."""
    return [ExportSettings(format=kind, topology=topology).vertices for kind in FORMATS if kind != "obj"]


def faces_of(batch: Batch, export: Exporter, topology: Topology) -> list[Face]:
    """Faces of rows that have been through the stages and are ok."""
    columns = zip(
        *(export.meshes(batch, kind) for kind in both_topologies(topology)),
        batch["pose"],
        (1 / batch["camera"][:, 3]).tolist(),
        batch["landmarks"],
        export.landmarks(batch),
        batch["bbox"],
        batch["detection_score"].tolist(),
        batch["quality"].tolist(),
        *(batch[name] for name in ("crop", "rotated", "position_map")),
        strict=True,
    )
    return [Face(*values) for values in columns]


def loaded_stages(
    method: Method, weights: Path | None, face_model: Path | None, fitter: Path | None, device: str, kind: Kind
) -> tuple[ChainPart, Exporter]:
    """What makes position maps of photos, and the export stage, for what is known of the photos; arguments and errors
    as those of `reconstruct`."""
    return _stages(
        ChainSettings(
            pairs=kind == "pair",
            face_model=face_model,
            fitter=fitter,
            crop=CropSettings(device=device),
            fit=FitSettings(method="landmarks" if face_model and not fitter else "network", device=device),
            rotate=RotateSettings(device=device),
            reconstruct=ReconstructSettings(method=method, weights=weights, device=device),
            people=PeopleSettings(enabled=kind == "people"),
        )
    )


@lru_cache(maxsize=LOADED_SETTINGS)
def _stages(settings: ChainSettings) -> tuple[ChainPart, Exporter]:
    return ChainPart(settings, CROP, RECONSTRUCT, asked=("rotated",)), exporter(settings)


def _contents(image: AnyImage) -> bytes:
    """The photo as the contents of a file, whatever form it has."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | Path):
        try:
            return Path(image).read_bytes()
        except OSError as error:
            raise InputError(f"photo {image}: {error.strerror}") from None
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or not image.size:
            raise InputError(
                f"a photo is an (H, W, 3) or (H, W) array of uint8; this one is {image.shape} of {image.dtype}"
            )
        image = Image.fromarray(image)
    return encode_photo(image)
