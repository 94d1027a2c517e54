"""What a run works through: embedded subjects, foreign heads, scans of a folder, photos with landmarks."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facerecon_ray.config.evaluation import EvaluationData, ProtocolSettings
from facerecon_ray.errors import InputError, SettingsError
from facerecon_ray.evaluation.embedded_subjects import embedded_scan
from facerecon_ray.evaluation.foreign_heads import HeadFolder, list_heads, read_head
from facerecon_ray.evaluation.landmark_files import AnnotatedPhoto, list_photos
from facerecon_ray.evaluation.rows import EMBEDDED, FOREIGN, SCANS
from facerecon_ray.evaluation.scan import Scan
from facerecon_ray.evaluation.scan_files import ScanFile, list_scans, read_scan
from facerecon_ray.evaluation.subjects_table import ATTRIBUTES_FILE, read_attributes
from facerecon_ray.storage.uris import as_bytes

DEFAULT_SUBJECTS = 4


@dataclass(frozen=True)
class ScanItem:
    """One scan to evaluate: an embedded subject's number, a foreign head, or a file with what is known of its
    subject.
    """

    data: str
    name: str
    number: int | None = None
    child: bool = False
    head: HeadFolder | None = None
    file: ScanFile | None = None
    attributes: tuple[tuple[str, float], ...] = ()

    def load(self) -> Scan:
        """Make or read the scan.

        Raises
        ------
        InputError
            when it cannot be used
        """
        if self.number is not None:
            return embedded_scan(self.number, self.child)
        if self.head is not None:
            return read_head(self.head)
        assert self.file is not None
        if self.file.path is None:
            raise InputError(self.file.reason)
        return replace(read_scan(self.file.path), attributes=dict(self.attributes))


@dataclass(frozen=True)
class Items:
    """All of a run."""

    scans: tuple[ScanItem, ...]
    photos: tuple[AnnotatedPhoto, ...]


def list_items(data: EvaluationData, protocol: ProtocolSettings) -> Items:
    """Everything that the settings name.

    Raises
    ------
    InputError, SettingsError
        when a folder is missing or has nothing to evaluate, or its pictures are not the protocol's
    """
    subjects = data.subjects
    if subjects is None:
        others = data.children or data.foreign or data.scans or data.landmarks
        subjects = 0 if others else DEFAULT_SUBJECTS
    first = data.first_subject
    scans = [ScanItem(EMBEDDED, f"subject {number}", number) for number in range(first, first + subjects)]
    scans += [
        ScanItem(EMBEDDED, f"child {number}", number, child=True) for number in range(first, first + data.children)
    ]
    if data.foreign:
        scans += _foreign(data.foreign, protocol)[: data.limit]
    if data.scans:
        files = list_scans(data.scans)
        known = read_attributes(data.scans)
        if known and known.keys().isdisjoint(file.subject for file in files):
            raise InputError(
                f"{data.scans / ATTRIBUTES_FILE}: none of its subjects is a scan in the folder; "
                f"it says {next(iter(known))!r} where the scans are named like {files[0].subject!r}"
            )
        scans += [
            ScanItem(SCANS, file.subject, file=file, attributes=tuple(known.get(file.subject, {}).items()))
            for file in files[: data.limit]
        ]
    photos = list_photos(data.landmarks)[: data.limit] if data.landmarks else []
    if not scans and not photos:
        raise InputError(
            "there is nothing to evaluate: data.subjects is 0, and there are no children, foreign heads, scans or "
            "landmarks"
        )
    return Items(tuple(scans), tuple(photos))


def _foreign(folder: Path, protocol: ProtocolSettings) -> list[ScanItem]:
    found = list_heads(folder)
    wanted = {(yaw, pitch) for yaw in protocol.yaws for pitch in protocol.pitches}
    if missing := sorted(wanted - found.sides):
        yaw, pitch = missing[0]
        raise SettingsError(
            f"{folder}: there is no picture at yaw {yaw:g} and pitch {pitch:g}, which the protocol wants"
        )
    return [ScanItem(FOREIGN, head.path.name, head=head) for head in found.heads]


def scan_checksum(scan: Scan) -> str:
    """SHA-256 of everything that pictures and scores depend on."""
    total = hashlib.sha256()
    colours = scan.colours
    arrays = [scan.vertices, scan.triangles, colours.uv, colours.page, colours.vertex, *colours.textures]
    if scan.scene is not None:
        arrays += [array for part in scan.scene.parts for array in (part.vertices, part.texture)]
    if scan.photos is not None:
        total.update(b"".join(scan.photos.files.values()))
        arrays.append(scan.photos.landmarks)
    for array in arrays:
        total.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def combined_checksum(checksums: dict[str, str]) -> str:
    """One SHA-256 for the checksums of named items."""
    lines = "".join(f"{name} {checksum}\n" for name, checksum in sorted(checksums.items()))
    return hashlib.sha256(as_bytes(lines)).hexdigest()


def photo_checksum(photo: AnnotatedPhoto) -> str:
    """SHA-256 of a photo and its annotation."""
    total = hashlib.sha256()
    for path in (photo.photo, photo.truth):
        total.update(path.read_bytes() if Path(path).is_file() else b"-")
    return total.hexdigest()
