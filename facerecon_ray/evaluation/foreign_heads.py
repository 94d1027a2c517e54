"""People on a topology that is not the face model's: a folder of photographed heads with their true surfaces.

    FOLDER/heads.json                      how they were made, and what is known of each; written last
    FOLDER/person_03_smile/head.npz        surface and landmarks in metres, and where the camera stood
    FOLDER/person_03_smile/yaw+20_pitch-15.png

The pictures are made once, so that models of all kinds, whatever face model they are for, are scored on the same ones.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from facerecon_ray.config.evaluation import ProtocolSettings
from facerecon_ray.config.photos import PhotoTextureSettings
from facerecon_ray.config.synthesis import LightSettings
from facerecon_ray.errors import InputError, OutputError
from facerecon_ray.evaluation.picture_crops import encode_png
from facerecon_ray.evaluation.rows import LOOKS
from facerecon_ray.evaluation.scan import Scan
from facerecon_ray.evaluation.scan_pictures import METRES_ACROSS
from facerecon_ray.evaluation.stored_photos import Side, StoredPhotos
from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS
from facerecon_ray.geometry.mesh_picture import MeshColours
from facerecon_ray.synthesis.foreign.foreign_people import FOREIGN_SEEDS, ForeignHead, ForeignPeople
from facerecon_ray.synthesis.model_building.scans_model import ScansModel
from facerecon_ray.synthesis.people.subjects import SubjectSampler
from facerecon_ray.synthesis.portraits.photo_library import PhotoLibrary
from facerecon_ray.synthesis.rendering.camera_effects import CameraEffects
from facerecon_ray.synthesis.rendering.lighting import sample_light
from facerecon_ray.synthesis.rendering.scene_rendering import SceneRenderer
from facerecon_ray.synthesis.rendering.view_sampling import Standpoint, View

CARD, HEAD = "heads.json", "head.npz"
SCHEMA = 1

DISTANCES = (0.5, 2.0)
"""Metres from the camera to the head, log-uniform: from an arm's length to across a table."""

SEEN = ("skin", "eyes", "teeth")
"""Parts of the scans model that are the true surface."""

PORTRAITS_A_PERSON = 12
"""Portraits that are tried for each person; a skin is drawn from all that can be used."""


@dataclass(frozen=True)
class HeadFolder:
    """One head of a folder.

    path   its folder
    looks  what is known of it, of `LOOKS`
    """

    path: Path
    looks: dict[str, str]


@dataclass(frozen=True)
class HeadSet:
    """A whole folder: its heads, and the sides from which each was photographed."""

    heads: tuple[HeadFolder, ...]
    sides: frozenset[Side]


def make_heads(
    folder: Path,
    scans_model: Path,
    people: int,
    portraits: str | None = None,
    protocol: ProtocolSettings | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> int:
    """Photograph people of a scans model from the protocol's sides, each with and without an expression.

    A person is a function of its number: more people are the same ones and others.

    Parameters
    ----------
    folder : to write, empty or not there
    scans_model : file of the model, see `ScansModel`
    people : how many
    portraits : folder or s3://bucket/prefix of photos for skins; without, skins are painted
    protocol : sides and size of the pictures
    report : receives a line for each head

    Returns
    -------
    number of pictures

    Raises
    ------
    FaceReconError
        when the folder has such heads already or cannot be written, the file is no model of scans, or no portrait
        can be used
    """
    if (folder / CARD).exists():
        raise InputError(f"{folder}: there are foreign heads already; choose another folder, or delete this one")
    model, protocol = ScansModel.load(scans_model), protocol or ProtocolSettings()
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    sampler = SubjectSampler()
    settings = PhotoTextureSettings(most_photos=PORTRAITS_A_PERSON * people)
    library = PhotoLibrary.open(portraits, sampler.geometry, settings, report=report) if portraits else None
    maker = ForeignPeople(model, sampler, library)
    renderer, known = SceneRenderer(), []
    for number in range(people):
        for head in maker.heads(number):
            name = f"person_{number:02}_{head.expression.replace(' ', '_')}"
            with _writing(folder):
                _photograph(folder / name, head, maker, protocol, renderer)
            known.append({"name": name} | {look: head.scene.attributes[look] for look in LOOKS})
            report(f"{name}: head {len(known)} of {2 * people}")
    recipe = {
        "scans_model": hashlib.sha256(scans_model.read_bytes()).hexdigest(),
        "portraits": library.fingerprint if library else None,
        "people": people,
        "distances": DISTANCES,
        "protocol": protocol.model_dump(mode="json", include={"yaws", "pitches", "size"}),
    }
    with _writing(folder):
        (folder / CARD).write_text(json.dumps({"schema": SCHEMA, "recipe": recipe, "heads": known}, indent=1) + "\n")
    return 2 * people * len(protocol.yaws) * len(protocol.pitches)


def list_heads(folder: Path) -> HeadSet:
    """What a folder holds.

    Raises
    ------
    InputError
        when no heads were made there, or by another version
    """
    try:
        card = json.loads((folder / CARD).read_text())
    except OSError:
        raise InputError(
            f"foreign heads {folder}: there is no {CARD}; make them with "
            "facerecon model people --scans-model ICT.npz --output FOLDER"
        ) from None
    except ValueError:
        raise InputError(f"{folder / CARD}: this is no JSON") from None
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        raise InputError(f"{folder / CARD}: made by another version; make the heads again")
    protocol = card["recipe"]["protocol"]
    sides = frozenset((yaw, pitch) for yaw in protocol["yaws"] for pitch in protocol["pitches"])
    heads = tuple(HeadFolder(folder / head["name"], {look: head[look] for look in LOOKS}) for head in card["heads"])
    return HeadSet(heads, sides)


def read_head(head: HeadFolder) -> Scan:
    """A head with its pictures.

    Raises
    ------
    InputError
        when a file is missing or damaged
    """
    try:
        with np.load(head.path / HEAD, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
        sides: list[Side] = [(float(yaw), float(pitch)) for yaw, pitch in held["sides"]]
        standpoints = {
            side: Standpoint((*side, 0.0), float(distance), float(scale), (float(x), float(y)))
            for side, (distance, scale, x, y) in zip(sides, held["cameras"], strict=True)
        }
        files = {side: (head.path / _picture_name(side)).read_bytes() for side in sides}
        photos = StoredPhotos(files, standpoints, held["landmarks"].astype(np.float64))
        vertices, triangles = held["vertices"].astype(np.float64), held["triangles"].astype(np.int64)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"{head.path.name} cannot be read ({error}); make the heads again") from None
    attributes: dict[str, Any] = dict(head.looks)
    return Scan(vertices, triangles, MeshColours(), photos=photos, attributes=attributes)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from None


def _photograph(
    folder: Path, head: ForeignHead, people: ForeignPeople, protocol: ProtocolSettings, renderer: SceneRenderer
) -> None:
    """Write one head. Light, background and distance change from picture to picture, and not with the expression."""
    folder.mkdir(parents=True, exist_ok=True)
    size = protocol.size
    sides = [(yaw, pitch) for yaw in protocol.yaws for pitch in protocol.pitches]
    cameras = []
    for index, side in enumerate(sides):
        rng = np.random.default_rng([FOREIGN_SEEDS + head.number, 1, index])
        view = View(
            angles=(*side, 0.0),
            distance=float(np.exp(rng.uniform(*np.log(DISTANCES)))),
            scale=size / METRES_ACROSS,
            centre=(size / 2, size / 2),
            size=size,
            light=sample_light(LightSettings(), rng),
            camera=CameraEffects(),
            background_seed=int(rng.integers(2**62)),
        )
        cameras.append((view.distance, view.scale, *view.centre))
        (folder / _picture_name(side)).write_bytes(encode_png(renderer.render(head.scene, view).image))
    triangles = np.concatenate([people.model.of_part(part) for part in SEEN])
    used, faces = np.unique(triangles, return_inverse=True)
    np.savez_compressed(
        folder / HEAD,
        vertices=head.vertices[used].astype(np.float32),
        triangles=faces.reshape(-1, 3).astype(np.int32),
        landmarks=head.vertices[people.model.landmarks[CONTOUR_LANDMARKS:]].astype(np.float32),
        sides=np.array(sides),
        cameras=np.array(cameras),
    )


def _picture_name(side: Side) -> str:
    return f"yaw{side[0]:+g}_pitch{side[1]:+g}.png"
