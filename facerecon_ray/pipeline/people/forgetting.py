"""`facerecon forget`: take photos, or a person, out of a job's output and out of the people that were made of it.

Files go first, then the rows, then what people have of them; the list of who is whose goes last. All names follow from
the photo's, so the same command finds after a kill what is left to do, and doing it twice does nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from facerecon_ray.config.reconstruct import ReportSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError, OutputError
from facerecon_ray.pipeline.model_files import check_face_model
from facerecon_ray.pipeline.people.collection import members_of, stamp_of
from facerecon_ray.pipeline.people.merging import FACE_COLUMNS, MEMBERS, PERSON, PeopleFiles, PersonMaker
from facerecon_ray.report.gallery import write_gallery
from facerecon_ray.report.people_page import write_people_page
from facerecon_ray.report.run_report import write_run_report
from facerecon_ray.storage.layout import MESHES, PREVIEWS, VIEWER, photo_files, photo_key
from facerecon_ray.storage.manifest import FORGOTTEN, Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import assemble, delete_others, new_pack, others, repacked
from facerecon_ray.storage.people import PeopleOutput
from facerecon_ray.storage.run_lock import claimed
from facerecon_ray.storage.run_record import RunRecord, load_record, save_record
from facerecon_ray.storage.schema import MANIFEST_SCHEMA, URIS
from facerecon_ray.storage.uris import is_s3, split_fragment, uri_of, with_fragment

Key = tuple[str, int | None]
"""A photo and a face of it; None: the whole photo, clip or archive."""


@dataclass
class Forgotten:
    """What is gone.

    rows      rows of the manifest that say no more than that
    files     files that were deleted in the job's output
    people    persons that were deleted or made anew without what is forgotten, in all outputs of people
    missing   outputs of people that are named in the job's record and are not there any more
    """

    rows: int = 0
    files: int = 0
    people: int = 0
    missing: list[str] = field(default_factory=list)


def forget(
    output: str, photos: Iterable[str], person: str | None, s3: S3Settings, face_model: Path | None = None
) -> Forgotten:
    """Forget photos or a person.

    Parameters
    ----------
    output : of the job
    photos : as the manifest names them, or as local paths; a clip or an archive stands for all that is in it
    person : name in an output of people that was made of it
    s3 : how S3 is reached
    face_model : of the job, for persons that have other photos left

    Raises
    ------
    InputError
        when there is no such job, photo or person
    OutputError
        when another run writes there, or something of it is left
    """
    out = OutputFolder(output, s3)
    record = load_record(out.store)
    if record is None:
        raise InputError(f"{out.uri}: there is no run.json; name the output of `facerecon reconstruct`")
    done = Forgotten()
    groups = [PeopleOutput(OutputFolder(uri, s3)) for uri in record.people]
    done.missing = [people.output.uri for people in groups if people.record() is None]
    groups = [people for people in groups if people.output.uri not in done.missing]
    if groups:
        check_face_model(record, face_model)
    keys: set[Key] = {(_photo(photo), None) for photo in photos}
    if person is not None:
        keys = _faces_of(person, groups)
    with claimed(out.store):
        # What a job wrote until it let go of its output.
        record = load_record(out.store) or record
        _clear_job(out, record, keys, done)
    for people in groups:
        with claimed(people.output.store):
            _clear_people(out, record, people, keys, face_model, s3, done)
    _verify(out, record, groups, keys)
    return done


def _photo(text: str) -> str:
    if is_s3(text) or text.startswith("file://"):
        return text
    file, fragment = split_fragment(text)
    return with_fragment(uri_of(Path(file).absolute()), fragment)


def _faces_of(person: str, groups: list[PeopleOutput]) -> set[Key]:
    found: set[Key] = set()
    for people in groups:
        for row in people.identities().to_pylist():
            if row["person"] == person:
                found.add((row["photo_uri"], row["face_index"]))
    if not found:
        where = ", ".join(people.output.uri for people in groups) or "none is known; `facerecon people` makes them"
        raise InputError(f"there is no person {person} in the people that were made of it ({where})")
    return found


def _is_meant(keys: set[Key], photo: str, face: int | None) -> bool:
    return not keys.isdisjoint(_names_of(photo, face))


def _names_of(photo: str, face: int | None) -> tuple[Key, ...]:
    """How a face may be meant."""
    return (photo, face), (photo, None), (split_fragment(photo)[0], None)


def _clear_job(out: OutputFolder, record: RunRecord, keys: set[Key], done: Forgotten) -> None:
    manifest = Manifest(out)
    parts: dict[str, pa.Table] = {}
    known: set[Key] = set()
    for name, table in zip(manifest.parts(), manifest.tables(["photo_uri", "face_index"]), strict=True):
        rows = list(zip(table["photo_uri"].to_pylist(), table["face_index"].to_pylist(), strict=True))
        meant = [_is_meant(keys, *row) for row in rows]
        known |= {name for row in rows for name in _names_of(*row) if name in keys}
        if any(meant):
            parts[name] = _without(manifest.read(name), meant, done)
    if unknown := sorted(photo for photo, face in keys - known if face is None):
        raise InputError(f"{out.uri} has no photo {unknown[0]}; `facerecon manifest` lists those it has")
    for name in _files(out, record, keys):
        out.store.delete(name)
        done.files += 1
    for name, table in parts.items():
        _write_part(out, manifest, manifest.shard_of(name), table)
    totals = manifest.totals()
    record.photos, record.rows = totals.photos, totals.rows
    save_record(out, record)
    write_gallery(out, ReportSettings().gallery_faces)
    write_run_report(out)


def _write_part(out: OutputFolder, manifest: Manifest, shard: int, rows: pa.Table) -> None:
    """Write a part in place of the earlier one; faces in a pack get one without those that are forgotten."""
    pack = new_pack(shard)
    rows, extents = repacked(rows, pack)
    if extents:
        assemble(out, pack, extents)
    manifest.write(shard, rows)
    delete_others(out, shard, rows)


def _without(table: pa.Table, meant: list[bool], done: Forgotten) -> pa.Table:
    """A part whose rows that are meant say no more than which photo and face they were."""
    rows = table.to_pylist()
    nothing = dict.fromkeys(MANIFEST_SCHEMA.names)
    for number, is_meant in enumerate(meant):
        if is_meant and rows[number]["status"] != FORGOTTEN:
            kept = {name: rows[number][name] for name in ("photo_uri", "face_count", "face_index")}
            rows[number] = {**nothing, **kept, "status": FORGOTTEN}
            done.rows += 1
    return pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)


def _files(out: OutputFolder, record: RunRecord, keys: set[Key]) -> list[str]:
    """Names of the files of faces that are there."""
    found = []
    for photo, face in keys:
        key = photo_key(photo, record.photo_root)
        for folder in (MESHES, PREVIEWS, VIEWER):
            starts = photo_files(key) if face is None else (f"{key}/{face}.",)
            found += [stored.name for start in starts for stored in out.store.list(f"{folder}/{start}")]
    return found


def _clear_people(
    out: OutputFolder,
    record: RunRecord,
    people: PeopleOutput,
    keys: set[Key],
    face_model: Path | None,
    s3: S3Settings,
    done: Forgotten,
) -> None:
    """Delete persons who lose all of their faces, and make those anew who have some left."""
    identities, rows, made = people.identities(), people.people(), people.record()
    if made is None:
        return
    faces = [(row["photo_uri"], row["face_index"], row["person"]) for row in identities.to_pylist()]
    meant = [_is_meant(keys, photo, face) for photo, face, _ in faces]
    touched = {person for (_, _, person), is_meant in zip(faces, meant, strict=True) if is_meant}
    if not touched:
        return
    left: dict[tuple[str, int], str] = {
        (photo, face): person
        for (photo, face, person), is_meant in zip(faces, meant, strict=True)
        if person in touched and not is_meant
    }
    people.delete_people(touched)
    kept = rows.filter(pa.array([person not in touched for person in rows[PERSON].to_pylist()], pa.bool_()))
    if left:
        files = PeopleFiles(out.uri, people.output.uri, face_model, s3)
        kept = pa.concat_tables([kept, PersonMaker(files)(_rows_of(out, left, stamp_of(record)))])
    kept = kept.sort_by(PERSON)
    people.save_people(kept)
    write_people_page(people, kept, made.settings["gallery_people"])
    people.save_identities(identities.filter(pa.array([not is_meant for is_meant in meant], pa.bool_())))
    done.people += len(touched)


def _rows_of(out: OutputFolder, person_of: dict[tuple[str, int], str], stamp: str) -> pa.Table:
    """Rows of faces, with their persons."""
    members: dict[str, list[tuple[str, int]]] = {}
    for key, person in person_of.items():
        members.setdefault(person, []).append(key)
    digests = {person: members_of(keys, stamp) for person, keys in members.items()}
    found = []
    for table in Manifest(out).tables(FACE_COLUMNS):
        keys = list(zip(table["photo_uri"].to_pylist(), table["face_index"].to_pylist(), strict=True))
        rows = [row for row, key in enumerate(keys) if key in person_of]
        persons = [person_of[keys[row]] for row in rows]
        part = table.take(pa.array(rows, pa.int64())).append_column(PERSON, pa.array(persons, pa.string()))
        found.append(part.append_column(MEMBERS, pa.array([digests[person] for person in persons], pa.string())))
    return pa.concat_tables(found)


def _verify(out: OutputFolder, record: RunRecord, groups: list[PeopleOutput], keys: set[Key]) -> None:
    """Read everything again, and refuse to say that it is gone where it is not."""
    left = [out.store.describe(name) for name in _files(out, record, keys)]
    manifest = Manifest(out)
    for name, table in zip(
        manifest.parts(), manifest.tables(["photo_uri", "face_index", "status", *URIS]), strict=True
    ):
        meant = [row for row in table.to_pylist() if _is_meant(keys, row["photo_uri"], row["face_index"])]
        left += [f"a row of {row['photo_uri']} in {out.uri}" for row in meant if row["status"] != FORGOTTEN]
        left += map(out.store.describe, others(out, manifest.shard_of(name), table) if meant else ())
    for people in groups:
        of_people = [(row["photo_uri"], row["face_index"]) for row in people.identities().to_pylist()]
        of_people += [
            (face["photo_uri"], face["face_index"]) for row in people.people().to_pylist() for face in row["faces"]
        ]
        left += [f"{photo} in {people.output.uri}" for photo, face in of_people if _is_meant(keys, photo, face)]
    if left:
        raise OutputError(f"not everything is gone, start the same command again: {left[0]} is left")
