from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import trimesh
from s3_server import S3Server

from facerecon_ray.cluster import tasks
from facerecon_ray.cluster.nodes import parse_nodes
from facerecon_ray.config.people import PeopleJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.errors import AssetError, FaceReconError, InputError, OutputError
from facerecon_ray.pipeline.people.job import PeopleResult, run_people
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.people import PeopleOutput
from facerecon_ray.storage.run_record import load_record, save_record

Write = Callable[..., OutputFolder]


def run(out: Path | str, people: Path | str, **settings: object) -> PeopleResult:
    job = load_job(PeopleJob, None, {"input": str(out), "output": str(people), **settings})
    return run_people(job, lambda *_: None)


def people_of(folder: Path) -> dict[str, set[tuple[str, int]]]:
    """Faces of each person."""
    rows = pq.read_table(folder / "people.parquet").to_pylist()
    return {
        row["person"]: {(Path(face["photo_uri"]).stem, face["face_index"]) for face in row["faces"]} for row in rows
    }


def test_people_are_found_once_each_with_a_face_of_all_their_photos(
    ray_cluster: None, write_collection: Write, tmp_path: Path
) -> None:
    write_collection(tmp_path / "out")
    result = run(tmp_path / "out", tmp_path / "people")
    assert (result.people, result.made, result.faces, result.of_nobody) == (2, 2, 6, 0)
    groups = people_of(tmp_path / "people")
    assert sorted(sorted({photo for photo, _ in faces}) for faces in groups.values()) == [
        ["ann1", "ann2", "both"],
        ["bob1", "bob2", "both"],
    ]
    rows = pq.read_table(tmp_path / "people" / "people.parquet").to_pylist()
    faces = Manifest(OutputFolder(tmp_path / "out")).read("manifest/part-00000000.parquet").to_pylist()
    for row in rows:
        assert row["photos"] == 3 and all(face["used"] for face in row["faces"])
        members = groups[row["person"]]
        own = [face["shape"] for face in faces if (Path(face["photo_uri"]).stem, face["face_index"]) in members]
        assert len(own) == 3
        assert np.corrcoef(row["shape"], np.mean(own, 0))[0, 1] > 0.8
        assert 0 < max(row["deviation"]) <= 1.0 and 0 < row["spread"] < 10
        (mesh,) = trimesh.load(tmp_path / "people" / row["mesh_uri"]).geometry.values()
        assert min(mesh.visual.material.baseColorTexture.size) >= 256
        assert 0.1 < mesh.extents[1] < 0.3
        assert (tmp_path / "people" / row["preview_uri"]).stat().st_size > 5000
    page = (tmp_path / "people" / "index.html").read_text()
    assert page.count('class="card"') == 2 and "3 photos" in page and "http:" not in page and "https:" not in page
    record = load_record(OutputFolder(tmp_path / "out").store)
    assert record is not None and record.people == [str(tmp_path / "people")]


def test_people_for_whom_lost_nodes_leave_no_room_wait_for_the_same_command(
    ray_cluster: None, write_collection: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_collection(tmp_path / "out")
    nodes = iter([parse_nodes(["2x4cpu"])])
    monkeypatch.setattr(tasks, "live_cluster", lambda: next(nodes, parse_nodes(["0cpu"])))
    monkeypatch.setattr(tasks, "QUIET_SECONDS", -1.0)
    monkeypatch.setattr(tasks, "_LOOK_SECONDS", 0.0)
    with pytest.raises(FaceReconError, match=r"no task of people runs: no node has room .* command continues"):
        run(tmp_path / "out", tmp_path / "people")
    monkeypatch.undo()
    assert run(tmp_path / "out", tmp_path / "people").made == 2


def test_persons_keep_their_names_when_photos_are_added_and_only_theirs_are_made_anew(
    ray_cluster: None, write_collection: Write, tmp_path: Path
) -> None:
    write_collection(tmp_path / "out", "ann1", "ann2", "bob1")
    assert run(tmp_path / "out", tmp_path / "people").made == 2
    before = people_of(tmp_path / "people")
    assert run(tmp_path / "out", tmp_path / "people").made == 0
    write_collection(tmp_path / "out", "ann1", "ann2", "bob1", "bob2")
    assert run(tmp_path / "out", tmp_path / "people").made == 1
    after = people_of(tmp_path / "people")
    assert after.keys() == before.keys()
    assert sorted(len(after[person] - before[person]) for person in after) == [0, 1]
    write_collection(tmp_path / "out", "bob1", "bob2")
    assert run(tmp_path / "out", tmp_path / "people").people == 1
    assert {path.stem for path in (tmp_path / "people" / "people").glob("*.glb")} == set(
        people_of(tmp_path / "people")
    )


def test_what_a_killed_run_has_made_is_not_made_again(
    ray_cluster: None, write_collection: Write, tmp_path: Path
) -> None:
    write_collection(tmp_path / "out")
    run(tmp_path / "out", tmp_path / "people")
    people = PeopleOutput(OutputFolder(tmp_path / "people"))
    rows, names = people.people(), people_of(tmp_path / "people")
    (tmp_path / "people" / "people.parquet").unlink()
    people.save_part(0, rows.slice(0, 1))
    assert run(tmp_path / "out", tmp_path / "people").made == 1
    assert people_of(tmp_path / "people") == names
    assert not list((tmp_path / "people" / "people").glob("part-*"))


def test_people_of_a_list_need_no_recognition_and_have_its_names(
    ray_cluster: None, write_collection: Write, tmp_path: Path
) -> None:
    write_collection(tmp_path / "out")
    groups = tmp_path / "groups.csv"
    groups.write_text("photo,person\n/photos/ann1.jpg,Ann B.\n/photos/ann2.jpg,Ann B.\n/photos/bob1.jpg,Bob\n")
    result = run(tmp_path / "out", tmp_path / "people", groups=str(groups))
    assert (result.people, result.of_nobody) == (2, 3)
    assert people_of(tmp_path / "people") == {"Ann B.": {("ann1", 0), ("ann2", 0)}, "Bob": {("bob1", 0)}}
    assert "viewer.html#Ann%20B." in (tmp_path / "people" / "index.html").read_text()
    with pytest.raises(OutputError, match="people as a list names them"):
        run(tmp_path / "out", tmp_path / "people")


def test_people_of_a_bucket_are_made_in_a_bucket(
    ray_cluster: None, write_collection: Write, seaweed: S3Server
) -> None:
    bucket = seaweed.bucket()
    settings = PeopleJob.model_validate(
        {"input": f"s3://{bucket}/out", "output": f"s3://{bucket}/people", "s3": {"endpoint_url": seaweed.endpoint}}
    )
    write_collection(settings.input, "ann1", "bob1", s3=settings.s3)
    result = run_people(settings, lambda *_: None)
    assert (result.people, result.made) == (2, 2)
    assert run_people(settings, lambda *_: None).made == 0
    people = PeopleOutput(OutputFolder(settings.output, settings.s3)).people()
    assert len(people) == 2 and people["mesh_uri"].null_count == 0


def test_what_cannot_be_grouped_is_refused_with_what_to_do(write_collection: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run\.json; name the output of `facerecon reconstruct`"):
        run(tmp_path / "nothing", tmp_path / "people")
    output = write_collection(tmp_path / "out")
    with pytest.raises(OutputError, match="it holds the job itself"):
        run(tmp_path / "out", tmp_path / "out")
    rows = Manifest(output).read("manifest/part-00000000.parquet")
    place = rows.schema.get_field_index("descriptor")
    empty = rows.schema.empty_table()
    Manifest(output).write(0, rows.set_column(place, "descriptor", [[None] * len(rows)]).cast(empty.schema))
    with pytest.raises(InputError, match="reconstruct with --people"):
        run(tmp_path / "out", tmp_path / "people")
    assert not (tmp_path / "people").exists() or not list((tmp_path / "people").glob("*.parquet"))


def test_faces_of_another_face_model_are_refused(write_collection: Write, tmp_path: Path) -> None:
    output = write_collection(tmp_path / "out")
    record = load_record(output.store)
    assert record is not None
    save_record(output, record.model_copy(update={"assets": {"face_model": "sha256:0"}}))
    with pytest.raises(AssetError, match=r"fitted with another face model than the embedded one; name theirs"):
        run(tmp_path / "out", tmp_path / "people")
    assert not (tmp_path / "people").exists()
