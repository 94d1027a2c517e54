"""The faces of a collection: read off the manifest of its job, and put together by person."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from facerecon_ray.config.people import GroupingSettings
from facerecon_ray.errors import InputError
from facerecon_ray.stages.people.following import UNFOLLOWED, FramedFaces, follow
from facerecon_ray.stages.people.grouping import NOBODY, GroupedFaces, group_faces
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.people import IDENTITY_SCHEMA
from facerecon_ray.storage.photos.person_list import person_of_photos
from facerecon_ray.storage.run_record import RunRecord
from facerecon_ray.storage.uris import split_fragment, split_frame

_COLUMNS = ["photo_uri", "face_index", "status", "descriptor", "pose", "quality", "bbox"]
_ID_LENGTH = 12


@dataclass(frozen=True)
class Collection:
    """N faces that tell of their persons, in the order of the manifest.

    part         (N,) names of the manifest's parts that have them
    row          (N,) their rows there
    photo_uri    (N,)
    face_index   (N,)
    descriptor   (N, 128)
    box           (N, 4) x0, y0, x1, y1 in photo pixels
    yaw, quality  (N,) degrees; 0 to 1
    """

    part: np.ndarray
    row: np.ndarray
    photo_uri: np.ndarray
    face_index: np.ndarray
    descriptor: np.ndarray
    box: np.ndarray
    yaw: np.ndarray
    quality: np.ndarray

    @staticmethod
    def of(manifest: Manifest, where: str) -> "Collection":
        """Read the faces of a job.

        Raises
        ------
        InputError
            when none of them has what people need
        """
        parts = manifest.parts()
        tables = []
        for name, table in zip(parts, manifest.tables(_COLUMNS, parts), strict=True):
            table = table.append_column("part", pa.array([name] * len(table), pa.string()))
            table = table.append_column("row", pa.array(range(len(table)), pa.int64()))
            tables.append(table.filter(pc.is_valid(table["descriptor"])))
        if not tables or not sum(map(len, tables)):
            raise InputError(
                f"{where}: no face in it tells of its person; reconstruct with --people "
                "(docs/privacy.md says what that stores)"
            )
        table = pa.concat_tables(tables).combine_chunks()
        return Collection(
            np.array(table["part"].to_pylist(), object),
            table["row"].to_numpy(),
            np.array(table["photo_uri"].to_pylist(), object),
            table["face_index"].to_numpy(),
            _matrix(table["descriptor"], 128),
            _matrix(table["bbox"], 4),
            pc.struct_field(table["pose"], "yaw").to_numpy(),
            table["quality"].to_numpy(),
        )

    @property
    def size(self) -> np.ndarray:
        """(N,) photo pixels on the shorter side of the boxes."""
        return np.asarray((self.box[:, 2:] - self.box[:, :2]).min(1))

    @property
    def keys(self) -> list[tuple[str, int]]:
        """Photo and face of each."""
        return list(zip(self.photo_uri.tolist(), self.face_index.tolist(), strict=True))

    @property
    def tracks(self) -> np.ndarray:
        """(N,) tracks of the faces in clips."""
        clips, seconds = zip(*map(split_frame, self.photo_uri.tolist()), strict=True)
        framed = np.array([second is not None for second in seconds])
        clip = np.where(framed, np.unique(np.array(clips), return_inverse=True)[1], UNFOLLOWED)
        return follow(FramedFaces(clip, np.array(seconds, float), self.box, self.descriptor))

    def recognised(self, known: pa.Table, settings: GroupingSettings) -> list[str | None]:
        """Each face's person by its descriptor, None for faces of nobody; persons that are known keep theirs."""
        person_of = _as_dict(known)
        names = sorted(set(person_of.values()))
        number_of = {name: number for number, name in enumerate(names)}
        keys = self.keys
        good = self.quality >= settings.founder_quality
        good &= (np.abs(self.yaw) <= settings.founder_yaw) & (self.size >= settings.founder_size)
        numbers = group_faces(
            GroupedFaces(
                self.descriptor,
                np.unique(self.photo_uri.astype(str), return_inverse=True)[1],
                good,
                np.array([number_of.get(person_of.get(key, ""), NOBODY) for key in keys]),
                self.tracks,
            ),
            settings,
        )
        founder: dict[int, tuple[str, int]] = {}
        for key, number in zip(keys, numbers.tolist(), strict=True):
            if number >= len(names):
                founder[number] = min(key, founder.get(number, key))
        taken = set(names)
        named = dict(enumerate(names))
        for number, key in sorted(founder.items(), key=lambda item: item[1]):
            named[number] = _new_id(key, taken)
            taken.add(named[number])
        return [named.get(number) for number in numbers.tolist()]

    def declared(self, path: Path) -> list[str | None]:
        """Each face's person by a list of photos and persons: the largest face of each photo that is in it, of a clip
        that of each frame, of an archive that of each photo.

        Raises
        ------
        InputError
            when it names no photo of the collection
        """
        person_of = person_of_photos(path)
        largest: dict[str, int] = {}
        size = self.size
        for number, photo in enumerate(self.photo_uri):
            if photo not in person_of and (file := split_fragment(photo)[0]) in person_of:
                person_of[photo] = person_of[file]
            if photo in person_of and size[number] > size[largest.get(photo, number)] - (photo not in largest):
                largest[photo] = number
        if not largest:
            raise InputError(f"groups {path}: none of its {len(person_of)} photos has a face in the collection")
        people: list[str | None] = [None] * len(self.photo_uri)
        for photo, number in largest.items():
            people[number] = person_of[photo]
        return people


def identities(collection: Collection, people: list[str | None]) -> pa.Table:
    """Which face is whose, without those of nobody."""
    rows = [(*key, person) for key, person in zip(collection.keys, people, strict=True) if person is not None]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.table(dict(zip(IDENTITY_SCHEMA.names, columns, strict=True)), schema=IDENTITY_SCHEMA)


def stamp_of(record: RunRecord) -> str:
    """Of the job whose faces people have: one that was done anew has other faces under the same names."""
    return record.runs[0].started if record.runs else ""


def members_of(keys: list[tuple[str, int]], stamp: str) -> str:
    """Digest of a person's faces and of the job that found them."""
    digest = hashlib.sha256(stamp.encode())
    for photo, face in sorted(keys):
        digest.update(f"\0{photo}\0{face}".encode())
    return digest.hexdigest()[:32]


def _as_dict(known: pa.Table) -> dict[tuple[str, int], str]:
    columns = (known[name].to_pylist() for name in IDENTITY_SCHEMA.names)
    return {(photo, face): person for photo, face, person in zip(*columns, strict=True)}


def _new_id(founder: tuple[str, int], taken: set[str]) -> str:
    """Name of a person, by the face that founded it; another one where that face's person is somebody else by now."""
    attempt = 0
    while True:
        digest = hashlib.sha256(f"{founder[0]}\0{founder[1]}\0{attempt}".encode()).hexdigest()
        if (name := digest[:_ID_LENGTH]) not in taken:
            return name
        attempt += 1


def _matrix(column: pa.ChunkedArray, width: int) -> np.ndarray:
    """(N, width) of a column of lists of a fixed size without nulls."""
    values = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(values).reshape(-1, width).astype(np.float32)
