"""`facerecon people`: the faces of a job grouped by person, and one face made of all photos of each.

Who is whose is written first (identities.parquet). Persons are made in buckets, each of which writes a part; a person
is done when a row of it was made of just the faces that it has now. So a killed run is continued, and photos that are
added, taken away or forgotten change those persons alone that had or get them.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import ray

from facerecon_ray.cluster.placement import Demand
from facerecon_ray.cluster.tasks import TaskWatch
from facerecon_ray.config.people import PeopleJob
from facerecon_ray.errors import InputError, OutputError
from facerecon_ray.jobs.progress import Progress
from facerecon_ray.jobs.session import ray_session
from facerecon_ray.pipeline.model_files import check_face_model
from facerecon_ray.pipeline.people.collection import Collection, identities, members_of, stamp_of
from facerecon_ray.pipeline.people.merging import FACE_COLUMNS, MEMBERS, PERSON, PeopleFiles, maker_of
from facerecon_ray.report.people_page import write_people_page
from facerecon_ray.storage.layout import PEOPLE, PEOPLE_FILES, RUN_RECORD
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.people import PeopleOutput, PeopleRecord
from facerecon_ray.storage.run_lock import Check, claimed
from facerecon_ray.storage.run_record import load_record, save_record
from facerecon_ray.storage.software import package_version
from facerecon_ray.storage.starts import timestamp

BUCKET_PEOPLE, MOST_BUCKETS = 100, 256
"""People that are made by one task, and tasks at most; of large collections tasks make more people."""

PARTS_AT_ONCE = 16
"""Parts of the manifest that one task shares out among the buckets."""


@dataclass(frozen=True)
class PeopleResult:
    """What an output of people holds now, and how many of them the run made."""

    people: int
    faces: int
    of_nobody: int
    left_out: int
    made: int
    page: str


def run_people(job: PeopleJob, progress: Progress, address: str | None = None) -> PeopleResult:
    """Group the faces of a job and make every person that is missing.

    Raises
    ------
    FaceReconError
        when the input has no faces that tell of persons, or the output cannot be written
    """
    source, people = OutputFolder(job.input, job.s3), PeopleOutput(OutputFolder(job.output, job.s3))
    if source.uri == people.output.uri:
        raise OutputError(f"output {source.uri}: it holds the job itself; choose another folder for its people")
    record = load_record(source.store)
    if record is None:
        raise InputError(f"{source.uri}: there is no {RUN_RECORD}; name the output of `facerecon reconstruct`")
    check_face_model(record, job.face_model)
    people.output.check_writable()
    with claimed(people.output.store) as check:
        made = PeopleRecord(
            facerecon_ray=package_version(),
            input=source.uri,
            groups=job.groups is not None,
            settings=job.model_dump(mode="json", include={"grouping", "gallery_people"}),
        )
        _check_same(people, made)
        collection = Collection.of(Manifest(source), source.uri)
        if job.groups is not None:
            names = collection.declared(job.groups)
        else:
            names = collection.recognised(people.identities(), job.grouping)
        people.save_record(made)
        _tell(source, people.output.uri)
        people.save_identities(identities(collection, names))
        wanted = _members(collection, names, stamp_of(record))
        done = _done(people.people(), wanted)
        todo = {person: members for person, members in wanted.items() if person not in done}
        progress(0, len(todo))
        if todo:
            files = PeopleFiles(source.uri, people.output.uri, job.face_model, job.s3)
            with ray_session(address):
                _make(collection, names, todo, people, files, progress, check)
        rows = people.people()
        keep = [members == wanted.get(person) for person, members in _columns(rows)]
        rows = rows.filter(pa.array(keep, pa.bool_())).sort_by(PERSON)
        check()
        people.save_people(rows)
        people.delete_others(rows[PERSON].to_pylist())
        result = _result(people, rows, names, len(todo), job.gallery_people)
        made.counts = {"people": result.people, "faces": result.faces, "of_nobody": result.of_nobody}
        made.finished = timestamp()
        people.save_record(made)
        return result


def _check_same(people: PeopleOutput, now: PeopleRecord) -> None:
    earlier, uri = people.record(), people.output.uri
    if earlier is None:
        if names := [name for name in (PEOPLE_FILES, PEOPLE) if people.output.store.exists(name)]:
            raise OutputError(f"output {uri}: {', '.join(names)} in it is not the result of a job; choose another")
        return
    if earlier.input != now.input:
        raise OutputError(f"output {uri} holds people of {earlier.input}, not of {now.input}; choose another output")
    if earlier.groups != now.groups:
        was = "people as a list names them" if earlier.groups else "people who were recognised"
        raise OutputError(f"output {uri} holds {was}; choose another output to have it the other way")


def _tell(source: OutputFolder, people: str) -> None:
    """Note in the job's record where its people are, so that `facerecon forget` finds them."""
    record = load_record(source.store)
    if record is not None and people not in record.people:
        with claimed(source.store):
            record = load_record(source.store)
            if record is not None:
                save_record(source, record.model_copy(update={"people": [*record.people, people]}))


def _members(collection: Collection, names: list[str | None], stamp: str) -> dict[str, str]:
    faces: dict[str, list[tuple[str, int]]] = {}
    for key, person in zip(collection.keys, names, strict=True):
        if person is not None:
            faces.setdefault(person, []).append(key)
    return {person: members_of(keys, stamp) for person, keys in faces.items()}


def _done(rows: pa.Table, wanted: dict[str, str]) -> set[str]:
    return {person for person, members in _columns(rows) if wanted.get(person) == members}


def _columns(rows: pa.Table) -> list[tuple[str, str]]:
    return list(zip(rows[PERSON].to_pylist(), rows[MEMBERS].to_pylist(), strict=True))


def _make(
    collection: Collection,
    names: list[str | None],
    todo: dict[str, str],
    people: PeopleOutput,
    files: PeopleFiles,
    progress: Progress,
    check: Check,
) -> None:
    """Make persons: each task of the first kind shares out some parts' faces among buckets, of the second makes the
    persons of a bucket."""
    order = list(dict.fromkeys(person for person in names if person in todo))
    buckets = min(MOST_BUCKETS, -(-len(order) // BUCKET_PEOPLE))
    bucket_of = {person: number * buckets // len(order) for number, person in enumerate(order)}
    shares: dict[str, list[tuple[int, str, int]]] = {}
    for part, row, person in zip(collection.part.tolist(), collection.row.tolist(), names, strict=True):
        if person is not None and person in todo:
            shares.setdefault(part, []).append((row, person, bucket_of[person]))
    parts = list(shares)
    watch = TaskWatch(Demand("people", {"CPU": 1.0, "GPU": 0.0}, {}, 1), "the same command continues the run")
    split, merge = watch.remote(_split, num_returns=buckets), watch.remote(_merge)
    handed = [
        split(files, {part: shares[part] for part in parts[start : start + PARTS_AT_ONCE]}, todo, buckets)
        for start in range(0, len(parts), PARTS_AT_ONCE)
    ]
    handed = [refs if isinstance(refs, list) else [refs] for refs in handed]
    waiting = [merge(files, *(refs[bucket] for refs in handed)) for bucket in range(buckets)]
    del handed
    number, made = people.next_part(), 0
    while waiting:
        done = watch.first_done(waiting)
        waiting.remove(done)
        rows = ray.get(done)
        check()
        people.save_part(number, rows)
        number, made = number + 1, made + len(rows)
        progress(made, len(todo))


def _split(
    files: PeopleFiles, shares: dict[str, list[tuple[int, str, int]]], members: dict[str, str], buckets: int
) -> list[pa.Table] | pa.Table:
    """For each bucket the faces of its persons in some parts of the manifest."""
    manifest = Manifest(OutputFolder(files.input, files.s3))
    found = []
    for part, share in shares.items():
        rows, persons, bucket = zip(*share, strict=True)
        table = manifest.read(part, FACE_COLUMNS).take(pa.array(rows, pa.int64()))
        table = table.append_column(PERSON, pa.array(persons, pa.string()))
        table = table.append_column(MEMBERS, pa.array([members[person] for person in persons], pa.string()))
        found.append(table.append_column("bucket", pa.array(bucket, pa.int32())))
    table = pa.concat_tables(found)
    bucket_of = table["bucket"].to_numpy()
    table = table.drop_columns(["bucket"])
    tables = [table.take(pa.array(np.flatnonzero(bucket_of == number))) for number in range(buckets)]
    return tables if buckets > 1 else tables[0]


def _merge(files: PeopleFiles, *tables: pa.Table) -> pa.Table:
    """Make the persons of a bucket."""
    return maker_of(files)(pa.concat_tables(tables))


def _result(people: PeopleOutput, rows: pa.Table, names: list[str | None], made: int, shown: int) -> PeopleResult:
    faces = rows["faces"].to_pylist()
    left_out = sum(not face["used"] for of_person in faces for face in of_person)
    return PeopleResult(
        people=len(rows),
        faces=sum(map(len, faces)),
        of_nobody=names.count(None),
        left_out=left_out,
        made=made,
        page=write_people_page(people, rows, shown),
    )
