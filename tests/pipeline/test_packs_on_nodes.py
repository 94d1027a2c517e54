"""Photos from archives into packs on a cluster of several nodes, in a bucket."""

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from cluster_nodes import ClusterNodes
from packed_faces import packed_faces, rows_of
from s3_server import S3Server
from toy_drivers import driver, photos_begun, wait_for

from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.run_record import load_record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ARCHIVES, PHOTOS = 3, 16


def archive(number: int) -> bytes:
    """A tar of photos with two faces, one or none."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for photo in range(PHOTOS):
            text = f"faces={photo % 3}".encode()
            member = tarfile.TarInfo(f"p{number}{photo:02d}.jpg")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    return data.getvalue()


@pytest.mark.parametrize("nodes", [(3, 1)], indirect=True)
def test_a_node_lost_in_the_middle_leaves_packs_with_each_face_once_where_the_manifest_says(
    nodes: ClusterNodes, seaweed: S3Server, tmp_path: Path
) -> None:
    bucket, log = f"s3://{seaweed.bucket()}", tmp_path / "log"
    archives, output = open_store(f"{bucket}/in", seaweed.settings), OutputFolder(f"{bucket}/out", seaweed.settings)
    for number in range(ARCHIVES):
        archives.write(f"{number:05d}.tar", archive(number))
    job = driver(
        f"{bucket}/in/{{00000..{ARCHIVES - 1:05d}}}.tar",
        output.uri,
        0.25,
        log,
        f"s3.endpoint_url={seaweed.endpoint}",
        "export.pack=shard",
        "shard_photos=16",
        RAY_ADDRESS=nodes.address,
        TOY_PLAN="sized",
    )
    wait_for(lambda: photos_begun(log) > PHOTOS and any(output.store.list("packs/part-")), job)
    nodes.take_away(log.with_suffix(".node").read_text())  # where photos are read and faces found
    assert job.poll() is None, "the job was over before the node was lost"
    _, errors = job.communicate(timeout=280)
    assert job.returncode == 0, errors
    numbers = [(number, photo) for number in range(ARCHIVES) for photo in range(PHOTOS)]
    faces = {f"{number:05d}.tar#p{number}{photo:02d}.jpg": photo % 3 for number, photo in numbers}
    assert packed_faces(output).keys() == {(name, face) for name, count in faces.items() for face in range(count)}
    rows = Counter(row["photo_uri"].rpartition("/")[2] for row in rows_of(output))
    assert rows == {name: max(count, 1) for name, count in faces.items()}
    record = load_record(output.store)
    assert record is not None and [run.outcome for run in record.runs] == ["finished"]
    assert not list(output.store.list("meshes/"))
