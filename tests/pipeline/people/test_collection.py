from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facerecon_ray.config.people import GroupingSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.pipeline.people.collection import Collection
from facerecon_ray.pipeline.people.forgetting import forget
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.people import IDENTITY_SCHEMA

SECONDS = {"ann1": 0.0, "ann2": 0.5, "both": 1.0, "bob1": 1.5, "bob2": 2.0}


@pytest.fixture
def filmed(write_collection: Callable[..., OutputFolder], tmp_path: Path) -> OutputFolder:
    """The collection's photos as the frames of a clip, with a mesh of each in another folder."""
    output = write_collection(tmp_path / "out")
    rows = Manifest(output).read("manifest/part-00000000.parquet")
    uris = [f"/photos/clip.mp4#t={SECONDS[Path(uri).stem]:.3f}" for uri in rows["photo_uri"].to_pylist()]
    Manifest(output).write(0, rows.set_column(rows.schema.get_field_index("photo_uri"), "photo_uri", [uris]))
    for seconds in SECONDS.values():
        output.write(f"meshes/clip.mp4/t={seconds:.3f}/0.glb", b"mesh")
    output.write("meshes/clip.mp4.jpg/0.glb", b"another photo's")
    return output


def test_faces_of_a_clip_are_one_person_each_by_recognition(filmed: OutputFolder) -> None:
    collection = Collection.of(Manifest(filmed), filmed.uri)
    found = np.array(collection.recognised(IDENTITY_SCHEMA.empty_table(), GroupingSettings()))
    is_ann = np.array([seconds <= 0.5 for _, seconds in frames(collection)])
    is_bob = np.array([seconds >= 1.5 for _, seconds in frames(collection)])
    assert len(set(found)) == 2 and len(set(found[is_ann])) == len(set(found[is_bob])) == 1
    assert (collection.tracks >= 0).all()


def frames(collection: Collection) -> list[tuple[int, float]]:
    """Number and seconds of each face."""
    return [(number, float(uri.partition("#t=")[2])) for number, uri in enumerate(collection.photo_uri)]


def test_a_list_may_say_who_is_in_a_clip_and_otherwise_in_a_frame_of_it(filmed: OutputFolder, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("photo,person\n/photos/clip.mp4,Ann\n/photos/clip.mp4#t=1.500,Bob\n")
    collection = Collection.of(Manifest(filmed), filmed.uri)
    names = collection.declared(groups)
    assert names.count("Ann") == 4 and names.count("Bob") == names.count(None) == 1
    assert [names[number] for number, seconds in frames(collection) if seconds == 1.5] == ["Bob"]


def test_forgetting_a_clip_forgets_all_of_its_frames_and_one_of_them_that_alone(filmed: OutputFolder) -> None:
    done = forget(filmed.uri, ["/photos/clip.mp4#t=0.500"], None, S3Settings())
    assert (done.rows, done.files) == (1, 1)
    done = forget(filmed.uri, ["/photos/clip.mp4"], None, S3Settings())
    assert (done.rows, done.files) == (5, 4)
    rows = Manifest(filmed).read("manifest/part-00000000.parquet")
    assert set(rows["status"].to_pylist()) == {"forgotten"} and rows["descriptor"].null_count == len(rows)
    assert (Path(filmed.uri) / "meshes" / "clip.mp4.jpg" / "0.glb").exists()
